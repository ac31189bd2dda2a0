"""Layer 3: every use case once: identity -> permission -> audit -> action. Doors call `perform`, nothing else."""
