"""Layer 3: the worker: claim what fits, run it, record how it ended."""
