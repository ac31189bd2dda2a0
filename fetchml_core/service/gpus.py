"""What the host of a door has."""

from __future__ import annotations

import os

from fetchml_core.config.environment import check_overrides
from fetchml_core.hardware.inventory import Inventory

from .host import Host


def inventory_of(host: Host) -> Inventory:
    """Return what jobs may be given on *host*."""
    cpus = check_overrides(host.environ)[0].total_cpu or os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Inventory(cpus=float(cpus), memory=memory)
