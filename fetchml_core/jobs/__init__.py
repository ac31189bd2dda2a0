"""Layer 1: the job, its states as a table, selectors and printed metrics. No I/O."""
