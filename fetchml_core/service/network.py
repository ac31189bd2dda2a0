"""Whether a job may have a network here: the worker's key is what is allowed, and a job has to ask for it."""

from __future__ import annotations

from fetchml_core.errors import InputError

from .host import Host

REFUSED = "network-not-allowed"
REASON = "this host gives no job a network (sandbox.network: none)"


def network_allowed(host: Host) -> bool:
    """Whether a job that asks for a network gets one.

    A plain process has that of the account anyway. Where no host was configured, whoever asks owns the machine.
    """
    return host.embedded or host.worker.launcher == "process" or host.worker.sandbox.network == "full"


def check_network(host: Host, *, wanted: bool) -> None:
    """Refuse a job that asks for a network where the worker file gives none.

    Raises:
        InputError: ``network-not-allowed``.
    """
    if wanted and not network_allowed(host):
        raise InputError(
            REFUSED,
            REASON,
            context=f"--network; {worker_file(host)}",
            hint="submit without --network, or ask whoever runs the host to write  sandbox: {network: full}  there",
        )


def worker_file(host: Host) -> str:
    """Return where the key is written, or would be."""
    return str(host.worker_file or host.base.folder / "worker.yaml")
