"""Layer 1: one protocol over one byte stream: bytes in, events out, no I/O."""
