"""Where configuration files are; an absent one has a meaning, a misnamed or unreachable one is an error.

Layer 1. Looks at names only and imports no parser and no schema. Only an absent api file means that auth is off:
what merely looks absent (``server.yml``, a link to nowhere, a folder that cannot be read) never does.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from fetchml_core.errors import ConfigError, InputError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

SERVER_FILE = "server.yaml"
WORKER_FILE = "worker.yaml"
_PROFILE_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_SUFFIXES = {".yml", ".yaml", ".toml", ".json"}


def find_server_file(base: Path, environ: Mapping[str, str]) -> Path | None:
    """Return the api file of a host: FETCHML_CONFIG, else ``<base>/server.yaml``; None where there is none.

    Args:
        base: The host's base; a relative FETCHML_CONFIG is taken from it.
        environ: The environment.

    Raises:
        ConfigError: ``config-missing``, ``config-misnamed`` or ``config-unreadable``.
    """
    named = environ.get("FETCHML_CONFIG", "")
    if named:
        return _must_exist(base / named, f"FETCHML_CONFIG={named}", "unset FETCHML_CONFIG")
    return _in_base(base, SERVER_FILE)


def find_worker_file(base: Path, config_arg: Path | str | None) -> Path | None:
    """Return the worker file: *config_arg* as it was typed, else ``<base>/worker.yaml``; None where there is none.

    Raises:
        ConfigError: ``config-missing``, ``config-misnamed`` or ``config-unreadable``.
    """
    if config_arg:
        return _must_exist(Path(config_arg), f"--config {config_arg}", f"ls -l {Path(config_arg).parent}")
    return _in_base(base, WORKER_FILE)


def find_profile(home: Path, environ: Mapping[str, str], profile_name: str | None) -> Path | None:
    """Return the profile's file: ``--profile``, else CLI_CONFIG, else ``~/.ml/config.toml``.

    Args:
        home: The user's home.
        environ: The environment.
        profile_name: What ``--profile`` names; None or empty without it.

    Returns: the file, or None where there is none: the embedded default.

    Raises:
        InputError: ``bad-profile-name``.
        NotFoundError: ``profile-missing``, with the profiles that exist.
    """
    folder = home / ".ml"
    if profile_name:
        if not _PROFILE_NAME.fullmatch(profile_name):
            raise InputError(
                "bad-profile-name",
                "a profile's name has letters, digits, - and _ only",
                context=ascii(profile_name)[:80],
                hint=_known_profiles(folder),
            )
        path = folder / f"config-{profile_name}.toml"
        if not os.path.lexists(path):
            raise NotFoundError(
                "profile-missing",
                f"there is no profile {profile_name}",
                context=str(path),
                hint=_known_profiles(folder),
            )
        return path
    if named := environ.get("CLI_CONFIG", ""):
        path = home / named[2:] if named.startswith("~/") else Path(named)
        if not os.path.lexists(path):
            raise NotFoundError(
                "profile-missing",
                "CLI_CONFIG names a file that does not exist",
                context=str(path),
                hint=_known_profiles(folder, "unset CLI_CONFIG; "),
            )
        return path
    path = folder / "config.toml"
    return path if os.path.lexists(path) else None


def list_profiles(folder: Path) -> list[str]:
    """Return the names of the profiles in *folder* (``~/.ml``), sorted."""
    names = (path.stem.removeprefix("config-") for path in folder.glob("config-*.toml"))
    return sorted(name for name in names if _PROFILE_NAME.fullmatch(name))


def _known_profiles(folder: Path, before: str = "") -> str:
    names = list_profiles(folder)
    return before + (f"profiles: {', '.join(names)}" if names else f"there are no profiles in {folder}")


def _must_exist(path: Path, named_by: str, hint: str) -> Path:
    if not os.path.lexists(path):
        raise ConfigError(
            "config-missing", f"{named_by} names a file that does not exist", context=str(path), hint=hint
        )
    return path


def _in_base(base: Path, name: str) -> Path | None:
    """``<base>/<name>``, None when neither it nor a misnamed twin is there."""
    path = base / name
    try:
        names = sorted(os.listdir(base))  # noqa: PTH208 - names are wanted
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(
            "config-unreadable",
            f"cannot look for {name}: {error.strerror}",
            context=str(base),
            hint=f"ls -ld {base}",
        ) from None
    if name in names:
        return path
    for other in names:
        stem, suffix = Path(other.lower()).stem, Path(other.lower()).suffix
        if stem == path.stem and suffix in _SUFFIXES:
            raise ConfigError(
                "config-misnamed",
                f"the file must be named {name}",
                context=str(base / other),
                hint=f"mv {base / other} {path}" if suffix in {".yml", ".yaml"} else f"write it as {path}",
            )
    return None
