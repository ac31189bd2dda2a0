"""LaunchSpec -> a waiting init in a proven sandbox -> a job -> its exit record.

Layer 2. `base` holds the contract, `podman` and `process` keep it; `argv`, `environment` and `spec` decide purely;
`init.py` and its twin `init.sh` run beside the job and define the formats of the control folder; `control`, `log` and
`record` are the worker's side of that folder; `evidence` and `proof` read the host's /proc.
"""
