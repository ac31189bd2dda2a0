"""What the jobs of a host may be given, as its files and its hardware say."""

from __future__ import annotations

from .gpus import inventory_of
from .host import Host
from .limits import job_limits
from .room import Capacity


def capacity_of(host: Host) -> Capacity:
    """Return what the jobs of *host* may be given."""
    inventory = inventory_of(host)
    return Capacity(inventory, job_limits(host.worker, inventory), host.worker.slots)
