"""The file of a profile: where it is, and how it is changed without losing or revealing anything.

Layer 7. Always mode 0600, as it holds a key. A link is followed, so that a profile kept among somebody's dotfiles
stays there. The lock lies in ``~/.ml``, not beside the file, where it would be one more dotfile.
"""

from __future__ import annotations

import contextlib
import glob
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from fetchml_core.config.find import find_profile
from fetchml_core.config.findings import Finding, Place, Report, errors_of, show
from fetchml_core.config.kinds import profile_kind
from fetchml_core.config.load import check_tree
from fetchml_core.config.source import SourceError, read_text
from fetchml_core.config.toml_loader import parse_toml
from fetchml_core.errors import ConfigError, HostError, NotFoundError, explain_os_error
from fetchml_core.fsio import make_folder, replace_file, try_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fetchml_cli.cli import Cli

    from .toml_edit import Key, Value

LOCK = "profile.lock"
PATIENCE = 10.0
"""Seconds to wait for another change; one takes some milliseconds."""
_PAUSE = 0.02


def find_path(cli: Cli) -> Path:
    """Return where the file of the profile is or would be.

    Raises:
        InputError: ``bad-profile-name``.
    """
    try:
        path = find_profile(cli.home, cli.environ, cli.profile or None)
    except NotFoundError as error:
        path = Path(error.context)
    path = path or cli.home / ".ml" / "config.toml"
    return path if path.is_absolute() else cli.cwd / path


def change(cli: Cli, path: Path, key: Key, value: Value | None) -> None:
    """Set *key* in the file at *path*, or remove it, and say so on stderr; a secret is not told.

    Raises:
        ConfigError: ``config-invalid``, ``cannot-edit``.
        HostError: it could not be written.
    """
    target = Path(os.path.realpath(path))
    shown = _short(cli, path)
    try:
        if target.parent == Path(os.path.realpath(cli.home / ".ml")):
            make_folder(target.parent)
        with _locked(cli):
            before = _status(target, shown)
            old = _read(target, shown) if before else ""
            new = _checked(cli, path, shown, old, _edited(old, key, value, shown))
            open_before = before is not None and stat.S_IMODE(before.st_mode) & 0o077
            if new != old or open_before:
                _write(target, new, before)
    except OSError as error:
        error.filename = error.filename or str(target)
        raise explain_os_error(error, f"change {shown}, which is as it was") from None
    if open_before:
        cli.warn(
            f"{shown} could be read by others; now its mode is 0600. If it held a key, ask for a new one"
        )
    cli.note(_told(key, value, shown, changed=new != old, made=before is None))


def _told(key: Key, value: Value | None, shown: str, *, changed: bool, made: bool) -> str:
    word = ".".join(key)
    if value is None:
        return f"{word} is unset in {shown}" + ("" if changed else ", as it was")
    seen = "***" if key in _secrets() else f'"{value}"' if isinstance(value, str) else show(value)
    return f"{word} = {seen} in {shown}" + (" (a new file)" if made else "" if changed else ", as it was")


def _secrets() -> set[tuple[str, ...]]:
    from fetchml_core.config.option import walk
    from fetchml_core.config.profile import Profile

    return {key for key, field in walk(Profile) if field.option.secret}


def _short(cli: Cli, path: Path) -> str:
    return f"~/{path.relative_to(cli.home)}" if path.is_relative_to(cli.home) else str(path)


@contextlib.contextmanager
def _locked(cli: Cli) -> Iterator[None]:
    """Keep other changes out."""
    folder = cli.home / ".ml"
    make_folder(folder)
    waited = 0.0
    while (lock := try_lock(folder / LOCK)) is None:
        if waited >= PATIENCE:
            raise HostError(
                "profile-busy",
                "another `ml config set` has been changing profiles for long",
                context=str(folder / LOCK),
                hint="end it, then type the same again",
            )
        cli.clock.sleep(_PAUSE)
        waited += _PAUSE
    try:
        _give(folder / LOCK, folder.stat())
        yield
    finally:
        os.close(lock)


def _status(target: Path, shown: str) -> os.stat_result | None:
    """Return what the system says of the file, None where there is none.

    Raises:
        HostError: ``not-permitted``: replacing it would take it from its owner.
    """
    try:
        status = target.stat()
    except FileNotFoundError:
        return None
    if os.geteuid() not in {0, status.st_uid}:
        raise HostError(
            "not-permitted",
            f"{shown} belongs to another account",
            context=str(target),
            hint=f"ls -l {target}",
        )
    return status


def _read(target: Path, shown: str) -> str:
    try:
        return read_text(target)
    except SourceError as error:
        if error.code == "file-empty":
            return ""
        raise _broken(shown, error.place, error.message) from None


def _edited(old: str, key: Key, value: Value | None, shown: str) -> str:
    from .toml_edit import EditError, remove_value, set_value

    try:
        parse_toml(old)
    except SourceError as error:
        raise _broken(shown, error.place, error.message) from None
    if value is None and not old:
        return old
    try:
        return remove_value(old, key) if value is None else set_value(old, key, value)
    except EditError:
        raise ConfigError(
            "cannot-edit",
            f"{'.'.join(key)} cannot be changed in the way the file is written; nothing was changed",
            context=shown,
            hint=f"change it in an editor, under [{key[0]}]",
        ) from None


def _checked(cli: Cli, path: Path, shown: str, old: str, new: str) -> str:
    """Return *new* if it can be loaded, and say what is to be known about it that was not so before.

    Raises:
        ConfigError: ``config-invalid``.
    """
    known = {(found.code, found.key) for found in _findings(cli, path, shown, old)}
    findings = _findings(cli, path, shown, new)
    errors = [found for found in errors_of(findings) if found.code != "env-unset"]
    if fresh := [found for found in errors if (found.code, found.key) not in known]:
        message = f"{fresh[0].message}; nothing was changed"
        raise ConfigError("config-invalid", message, context=shown, hint=fresh[0].hint)
    if errors:
        raise _broken(shown, Place(errors[0].line, errors[0].column), errors[0].message)
    for found in findings:
        if found.severity == "warning" and (found.code, found.key) not in known:
            cli.warn(str(found))
    return new


def _findings(cli: Cli, path: Path, shown: str, text: str) -> tuple[Finding, ...]:
    report = Report(shown)
    try:
        return check_tree(parse_toml(text), path, report, cli.environ, profile_kind())[1]
    except SourceError as error:
        report.add(error.code, error.message, error.place, hint=error.hint)
        return report.sorted()


def _broken(shown: str, place: Place, message: str) -> ConfigError:
    return ConfigError(
        "config-invalid",
        f"the profile is invalid already, nothing was changed: {message}",
        context=f"{shown}:{place.line}:{place.column}" if place.line else shown,
        hint=f"ml config validate {shown}",
    )


def _write(target: Path, text: str, before: os.stat_result | None) -> None:
    for left in target.parent.glob(f".{glob.escape(target.name)}.*.tmp"):  # by one that was killed
        left.unlink(missing_ok=True)
    replace_file(target, text.encode("utf-8"), mode=0o600, durable=True)
    _give(target, before or target.parent.stat())


def _give(path: Path, owner: os.stat_result) -> None:
    """What root makes among somebody's files is theirs."""
    if os.geteuid() == 0 != owner.st_uid:
        os.chown(path, owner.st_uid, owner.st_gid)
