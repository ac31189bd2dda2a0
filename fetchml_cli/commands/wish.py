"""What was typed after ``ml submit``, apart from the tree; known before anything that takes time is imported."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from attrs import field, frozen

from fetchml_core.errors import InputError
from fetchml_core.jobs.checks import check_gpus, check_image, check_name, check_retries, check_time
from fetchml_core.units import parse_duration, parse_size


@frozen
class Wish:
    """What was typed, apart from the tree."""

    name: str = ""
    gpus: int = 0
    cpus: float | None = None
    memory: str = ""
    gpu_memory: str = ""
    priority: int = 5
    time: str = ""
    env: tuple[str, ...] = field(default=(), repr=False)
    image: str = ""
    retries: int = 0
    network: bool = False


def check_wish(wish: Wish) -> None:
    """Raise InputError for what is wrong before any file is read."""
    with _typed("--time", wish.time):
        check_time(parse_duration(wish.time) if wish.time else None, wish.time)
    with _typed("--memory", wish.memory):
        parse_size(wish.memory or "1g")
    with _typed("--gpu-memory", wish.gpu_memory):
        check_gpus(wish.gpus, parse_size(wish.gpu_memory) if wish.gpu_memory else None)
    if wish.name:
        check_name(wish.name)
    check_image(wish.image)
    check_retries(wish.retries)
    for pair in wish.env:
        name, sign, value = pair.partition("=")
        if not sign or not name:
            raise InputError(
                "bad-env",
                "a variable is set as NAME=VALUE",
                context=f"--env {name or '=...'}",  # never the value: it may be a secret
                hint=f"--env {name or 'NAME'}=VALUE",
            )
        from fetchml_core.launcher.environment import check_env_names

        check_env_names({name: value})


@contextlib.contextmanager
def _typed(option: str, value: str) -> Iterator[None]:
    """Let an error about *value* name the option that it was typed for."""
    try:
        yield
    except InputError as error:
        error.context = f"{option} {value}"
        raise
