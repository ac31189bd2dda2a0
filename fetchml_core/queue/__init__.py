"""Layer 2: the queue: one small protocol, one contract suite, engines behind it."""
