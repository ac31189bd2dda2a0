"""Jobs of which several fit on any machine at once."""

SMALL = "resources:\n  podman_cpus: '0.5'\n  podman_memory: 256m\n"
"""Lines of a ``worker.yaml``: what a job gets that asks for nothing."""
