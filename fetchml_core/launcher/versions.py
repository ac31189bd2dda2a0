"""What differs between versions of Podman: one table, and nothing else in this package asks for a version.

Layer 2, pure. To add a difference: give `Traits` a field that holds for the oldest version, and `CHANGES` a row with
the first version for which it is another.
"""

from __future__ import annotations

import re
from typing import Any

from attrs import evolve, frozen

Version = tuple[int, int]

MIN_VERSION: Version = (3, 4)


@frozen
class Traits:
    """What one version of Podman can do, or does in its own way.

    Args:
        cdi: ``--device`` takes names of the Container Device Interface, by which NVIDIA GPUs are given.
        rootless_network: The program through which a container of an ordinary account reaches a network.
    """

    cdi: bool = False
    rootless_network: str = "slirp4netns"


OLDEST = Traits()
CHANGES: tuple[tuple[Version, dict[str, Any]], ...] = (
    ((4, 1), {"cdi": True}),
    ((5, 0), {"rootless_network": "pasta"}),
)
"""First version -> what holds from it on."""


def parse_version(text: str) -> Version:
    """Return the first two numbers of what Podman says its version is, as in ``5.4.2-dev``.

    Raises:
        ValueError: there are none.
    """
    found = re.match(r"(\d+)\.(\d+)", text, re.ASCII)
    if found is None:
        raise ValueError(text)
    return int(found[1]), int(found[2])


def traits_of(version: Version) -> Traits:
    """Return what holds for *version*: the rows up to it, one after the other."""
    traits = OLDEST
    for first, changes in CHANGES:
        if version >= first:
            traits = evolve(traits, **changes)
    return traits
