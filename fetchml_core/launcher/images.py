"""Which image a name stands for now, asked of Podman once until its store changes; nothing is ever pulled.

Layer 2.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, NamedTuple

from fetchml_core.errors import HostError

if TYPE_CHECKING:
    from .engine import Engine

_Stamp = tuple[int, int, int]
_FORMAT = "--format={{.Id}} {{.Digest}} {{json .Config.Env}}"


class Image(NamedTuple):
    """What a name stands for now; *variables* are those that the image itself sets, as ``NAME=VALUE``."""

    id: str
    digest: str
    variables: tuple[str, ...] = ()


class Images:
    """The images of Podman's store.

    Args:
        engine: Podman.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: dict[str, tuple[_Stamp | None, Image]] = {}  # when asked, and the answer

    def find(self, name: str, index: str) -> Image:
        """Return what an image is.

        Args:
            name: As the user or the worker file has it.
            index: File that changes whenever an image or its name does; empty where it is not known.

        Raises:
            HostError: ``image-missing``, ``podman-failed``.
        """
        stamp = _stamp(index)  # before the question: a change in between is seen the next time
        known = self._known.get(name)
        if known is None or stamp is None or known[0] != stamp:
            known = self._known[name] = (stamp, self._ask(name))
        return known[1]

    def _ask(self, name: str) -> Image:
        answer = self._engine.run(["image", "inspect", _FORMAT, "--", name])
        words = answer.output.strip().split(" ", 2)
        if answer.status == 0 and words and re.fullmatch(r"[0-9a-f]{12,}", words[0]):
            variables = json.loads(words[2]) if len(words) > 2 else None
            return Image(words[0], words[1] if len(words) > 1 else "", tuple(variables or ()))
        if "image not known" in answer.errors or "no such image" in answer.errors:
            raise HostError(
                "image-missing",
                "this host does not have the image",
                context=name,
                hint=f"on the host: podman pull {name}",
            )
        raise HostError("podman-failed", "Podman cannot look the image up", context=answer.errors)


def _stamp(path: str) -> _Stamp | None:
    """Return what changes when the file does, None where it cannot be looked at."""
    try:
        found = os.stat(path)  # noqa: PTH116 - an empty path has no Path
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
