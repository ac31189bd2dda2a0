"""Apple's GPU, by the device files that ``apple_gpu`` names. Layer 2.

It shares the machine's memory.
"""

from __future__ import annotations

from pathlib import Path

from fetchml_core.config.worker import AppleGpu

from .inventory import Gpu
from .probe import Probe


def probe_apple(settings: AppleGpu, memory: int) -> Probe:
    """Look for the GPU: both of its device files must be there.

    Args:
        settings: The section ``apple_gpu``.
        memory: The machine's, in bytes.
    """
    if not settings.enabled:
        return Probe(how="apple_gpu.enabled is false")
    names = [name for name in (settings.metal_device, settings.mps_runtime) if name]
    missing = next((name for name in names if not Path(name).exists()), None)
    if missing is not None or not names:
        return Probe(how=f"no {missing}" if missing else "apple_gpu names no device file")
    gpu = Gpu("apple-0", "apple", 0, "Apple GPU", memory or None, device=names[0])
    return Probe((gpu,), how=" and ".join(names))
