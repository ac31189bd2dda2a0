"""What a look for the GPUs of one vendor gives, and who the processes on them are. Layer 2."""

from __future__ import annotations

import pwd
import re
from pathlib import Path

from attrs import frozen

from .files import PROC, read_text
from .inventory import Gpu, GpuProcess

_NAME = re.compile(r"^Name:[ \t]*(.*)$", re.MULTILINE)
_UID = re.compile(r"^Uid:\s+(\d+)", re.MULTILINE)


@frozen
class Probe:
    """What was found.

    Args:
        gpus: In the vendor's order.
        how: How it was found, or why nothing was, in a few words.
        warnings: What is there and does not work.
    """

    gpus: tuple[Gpu, ...] = ()
    how: str = ""
    warnings: tuple[str, ...] = ()


def process_on_gpu(pid: int, memory: int | None, proc: Path = PROC) -> GpuProcess:
    """Return who the process is; program and user are empty where it is gone or nobody may look."""
    status = read_text(proc / str(pid) / "status")
    name, uid = _NAME.search(status), _UID.search(status)
    return GpuProcess(pid, name[1] if name else "", memory, _user(int(uid[1])) if uid else "")


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return str(uid)
