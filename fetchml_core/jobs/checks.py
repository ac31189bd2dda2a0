"""What a job may be called, run in, and be given in time: checked where it is typed, and again by the host.

Layer 1, pure. The client checks before it reads a file; the host trusts no client.
"""

from __future__ import annotations

import re

from fetchml_core.errors import InputError
from fetchml_core.units import format_size

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", re.ASCII)
# what Podman takes as an image: never an option, a path or a transport (docker-archive:, dir:)
_IMAGE = re.compile(
    r"[a-z0-9][a-z0-9._-]*(:[0-9]+)?(/[a-z0-9._-]+)*(:[A-Za-z0-9_.-]+)?(@sha256:[0-9a-f]{64})?", re.ASCII
)
_LONGEST_S = 10**9
MAX_RETRIES = 100


def plain_name(text: str) -> str:
    """Return *text* as a job name: what cannot stand in one becomes ``-``; empty where nothing is left."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-._")[:63]


def check_name(name: str) -> None:
    """Raise InputError ``bad-name``."""
    if _NAME.fullmatch(name) is None:
        raise InputError(
            "bad-name",
            "a job name has letters, digits, '_', '.', '-', at most 63, and begins with a letter or digit",
            context=f"--name {name[:80]!r}",
            hint=f"--name {plain_name(name) or 'NAME'}",
        )


def check_image(image: str) -> None:
    """Raise InputError ``bad-image`` for what is no image name; empty means none is asked for."""
    if image and _IMAGE.fullmatch(image) is None:
        raise InputError(
            "bad-image",
            "this is no image name",
            context=f"--image {image[:200]}",
            hint="an image is named in lower case, as in docker.io/library/python:3.9-slim",
        )


def check_time(seconds: float | None, typed: str = "") -> None:
    """Raise InputError ``bad-time`` for a time limit that no job can keep; None is no limit."""
    if seconds is not None and not 0 < seconds < _LONGEST_S:
        raise InputError(
            "bad-time",
            "a job needs more time than none",
            context=f"--time {typed or f'{seconds:g}s'}",
            hint="leave --time out for no limit, or write it like 30m",
        )


def check_gpus(gpus: int, memory: int | None) -> None:
    """Raise InputError ``bad-gpus`` or ``bad-gpu-memory`` for GPUs that no host could give; None is no wish."""
    if gpus < 0:
        raise InputError("bad-gpus", "a job cannot have fewer than no GPUs", context=f"--gpus {gpus}")
    if memory is None:
        return
    if memory <= 0:
        raise InputError(
            "bad-gpu-memory",
            "a GPU has more than no memory",
            context=f"--gpu-memory {memory}",
            hint="leave --gpu-memory out where any GPU will do",
        )
    if gpus == 0:
        raise InputError(
            "gpu-memory-without-gpus",
            "--gpu-memory says how big each of a job's GPUs must be, and this job asks for none",
            context=f"--gpu-memory {format_size(memory)}",
            hint="--gpus 1",
        )


def check_retries(number: int) -> None:
    """Raise InputError ``bad-retries`` for a number of further tries that no job gets."""
    if not 0 <= number <= MAX_RETRIES:
        raise InputError(
            "bad-retries",
            f"a job is tried again 0 to {MAX_RETRIES} times",
            context=f"--retries {number}",
            hint="leave --retries out for none",
        )
