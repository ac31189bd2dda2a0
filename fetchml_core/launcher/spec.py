"""What a launch needs, and what it gave: the records of this package.

Layer 2, no I/O. A `LaunchSpec` is checked when it is made, so that whoever holds one may trust it: its words hold
no NUL, its places are absolute and free of the characters that would change the meaning of a volume.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from attrs import Attribute, field, frozen

from fetchml_core.errors import ConfigError, HostError, InputError
from fetchml_core.jobs.job import Launched

from .versions import OLDEST, Traits

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Capabilities", "LaunchSpec", "Launched", "Leftover"]

CONTROL = "/run/fetchml"
"""The control folder in a container."""
INIT = "/run/fetchml-init"
"""The init program in a container."""
CHECKPOINT = "/checkpoint"
"""The checkpoint folder in a container."""
LOG_LIMIT = 64 << 20
PIDS_LIMIT = 4096
MAX_WORD = 128 * 1024 - 1  # the kernel's limit for one argument or variable
MAX_WORDS = 1 << 20

LIMITS = ("memory", "cpus", "pids")
"""The limits a container may have, by the names they have in `Launched.enforced`."""

_GPU = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,120}")
_IMAGE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_./:@+-]{0,500}")


def check_words(words: tuple[str, ...], what: str) -> None:
    """Refuse words that no program can be given.

    Raises:
        InputError: ``bad-argument``: a NUL, text that cannot be encoded, or too much of it.
    """
    total = 0
    for word in words:
        try:
            size = len(word.encode("utf-8", "surrogateescape"))
        except UnicodeEncodeError:
            raise InputError("bad-argument", f"{what} that is no text", context=ascii(word)[:80]) from None
        total += size
        if "\0" in word or size > MAX_WORD or total > MAX_WORDS:
            problem = "holds a NUL character" if "\0" in word else "is longer than Linux allows"
            raise InputError("bad-argument", f"{what} {problem}", context=ascii(word)[:80])


def check_host_path(path: Path) -> None:
    """Refuse a path that a volume option would misread.

    Raises:
        HostError: ``path-unusable``.
    """
    if not path.is_absolute() or re.search(r"[:,\0-\x1f\x7f]", str(path)):
        raise HostError(
            "path-unusable",
            "Podman cannot use a folder whose path is relative or holds a colon, a comma or a control character",
            context=ascii(str(path)),
            hint="move the base folder to a plain path",
        )


def _host_path(_: LaunchSpec, __: Attribute[Path], path: Path) -> None:
    check_host_path(path)


def _inside_path(_: LaunchSpec, attribute: Attribute[str], path: str) -> None:
    if re.fullmatch(r"(/[A-Za-z0-9_.-]+)+", path) is None or ".." in path.split("/"):
        key = f"container_{attribute.name}"
        raise ConfigError("bad-container-path", f"{key} is no plain absolute path", context=ascii(path))
    if path in {CONTROL, INIT, CHECKPOINT, "/run", "/tmp", "/proc", "/sys", "/dev"}:  # noqa: S108 - in the container
        raise ConfigError("bad-container-path", "this place in the container is taken", context=path)


def _argv(_: LaunchSpec, __: Attribute[tuple[str, ...]], argv: tuple[str, ...]) -> None:
    if not argv or not argv[0]:
        raise InputError("no-command", "the job has no command to run")
    check_words(argv, "an argument")


def _cwd(_: LaunchSpec, __: Attribute[str], cwd: str) -> None:
    check_words((cwd,), "the start folder")
    if PurePosixPath(cwd).is_absolute() or ".." in PurePosixPath(cwd).parts:
        raise InputError("bad-start-folder", "the job must start inside its tree", context=ascii(cwd))


def _image(_: LaunchSpec, __: Attribute[str], image: str) -> None:
    if _IMAGE.fullmatch(image) is None:
        raise InputError("bad-image-name", "this is no name of an image", context=ascii(image)[:200])


def _positive(_: LaunchSpec, attribute: Attribute[Any], number: Any) -> None:
    if not 0 < number < 2**63:  # NaN is neither
        raise InputError("bad-limit", f"{attribute.name} must be above 0", context=str(number))


def _gpus(_: LaunchSpec, __: Attribute[tuple[str, ...]], gpus: tuple[str, ...]) -> None:
    for gpu in gpus:
        if _GPU.fullmatch(gpu) is None:
            raise HostError("gpu-not-available", "this is no name of a GPU", context=ascii(gpu)[:200])


@frozen
class LaunchSpec:
    """One attempt of one job, ready to be launched.

    Args:
        job_id: The job.
        attempt: Its attempt, from 1.
        folder: ``<jobs>/<id>/<attempt>`` on the host; the caller made ``workspace/`` (filled) and ``results/``.
        checkpoint: Folder on the host that the job keeps across attempts; the caller made it.
        argv: The command, never a shell line.
        cwd: Where in the workspace it starts; empty for its root.
        env: The variables the user asked for; see `environment.check_env_names`.
        image: Name of a container image; the process launcher ignores it.
        cpus: Limit, in cores.
        memory: Limit, in bytes.
        seccomp_profile: Path on the host.
        network: ``none``, or ``full`` for what Podman gives by default.
        limits: Whether a limit that cannot be enforced refuses the job.
        workspace: Path in the container.
        results: Path in the container.
        pids_limit: Limit, in processes and threads.
        log_limit: How many bytes of output are kept.
        gpus: UUIDs of the GPUs that it is given, as in `hardware.inventory.Gpu`.
    """

    job_id: int = field(validator=_positive)
    attempt: int = field(validator=_positive)
    folder: Path = field(validator=_host_path)
    checkpoint: Path = field(validator=_host_path)
    argv: tuple[str, ...] = field(validator=_argv)
    cwd: str = field(validator=_cwd)
    env: Mapping[str, str] = field(repr=False)  # may hold secrets
    image: str = field(validator=_image)
    cpus: float = field(validator=_positive)
    memory: int = field(validator=_positive)
    seccomp_profile: Path = field(validator=_host_path)
    network: Literal["none", "full"] = "none"
    limits: Literal["required", "best-effort"] = "required"
    workspace: str = field(default="/workspace", validator=_inside_path)
    results: str = field(default="/results", validator=_inside_path)
    pids_limit: int = field(default=PIDS_LIMIT, validator=_positive)
    log_limit: int = field(default=LOG_LIMIT, validator=_positive)
    gpus: tuple[str, ...] = field(default=(), validator=_gpus)

    @property
    def control(self) -> Path:
        """The control folder on the host; its files are described in `init.py`."""
        return self.folder / "control"

    @property
    def name(self) -> str:
        """The container's name: one per attempt, different for two queues on one host."""
        return f"{name_prefix(self.folder.parent.parent)}{self.job_id}-{self.attempt}"


def name_prefix(jobs: Path) -> str:
    """Return how the names of all containers begin whose attempts lie in the folder *jobs*."""
    return f"ml-{_tag(jobs)}-"


def queue_tag(folder: Path) -> str:
    """Return a short name of the queue that an attempt's *folder* belongs to."""
    return _tag(folder.parent.parent)


def _tag(jobs: Path) -> str:
    return hashlib.sha256(str(jobs).encode("utf-8", "surrogateescape")).hexdigest()[:8]


@frozen(order=True)
class Leftover:
    """An attempt of which something is on the host; *name* is what `Launcher.clean` takes."""

    job_id: int
    attempt: int
    name: str = ""


@frozen
class Capabilities:
    """What a launcher can do on this host.

    Args:
        launcher: ``podman`` or ``process``.
        version: Podman's version; empty for a process.
        rootless: Whether the account's own user namespace is used.
        cgroups: ``v1`` or ``v2``; empty where it does not matter.
        enforceable: Those of `LIMITS` that can be enforced.
        not_enforced: What every job here lacks, for people to see.
        reasons: Why, a sentence each.
        image_index: File that changes whenever an image or its name does; empty where it is not known.
        runtime: Path of the program that runs the containers, such as runc; empty where it is not known.
        traits: What this version of Podman can do.
    """

    launcher: str
    version: str = ""
    rootless: bool = False
    cgroups: str = ""
    enforceable: tuple[str, ...] = ()
    not_enforced: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    image_index: str = ""
    runtime: str = ""
    traits: Traits = OLDEST

    @property
    def network(self) -> str:
        """How a container with a network reaches it, by Podman's name; empty for a process."""
        if self.launcher != "podman":
            return ""
        return self.traits.rootless_network if self.rootless else "bridge"
