"""Find the seccomp profile, and refuse one that would not protect before Podman sees it.

Layer 2. The rules are in `seccomp_rules`; here is the file. A profile is checked before every launch; whether the
filter then is in force is what `proof` reads.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

from attrs import field, frozen

from fetchml_core.errors import HostError
from fetchml_core.fsio import read_plain_file

from .seccomp_rules import RefusedError, check_text

MAX_BYTES = 256 * 1024


@frozen
class CheckedProfile:
    """A profile that was read and found to protect."""

    path: Path
    """Absolute: Podman may run in another folder."""
    sha256: str
    """Of its bytes, in hex; two attempts with the same one ran under the same rules."""
    data: bytes = field(repr=False)
    """These bytes."""


@functools.cache
def default_profile() -> Path:
    """Return the absolute path of the profile that is shipped with this package."""
    return (Path(__file__).parent / "default-hardened.json").resolve()


def check_profile(path: Path, *, sha256: str = "") -> CheckedProfile:
    """Read a profile and return it only if it is sound and protects.

    Args:
        path: The file; not a link, so that what is checked is what Podman opens.
        sha256: Where given, what its bytes must hash to: an earlier check's result.

    Raises:
        HostError: ``seccomp-profile-`` and one of ``missing``; ``unreadable`` (a link, no plain file, no right
            to read it); ``damaged`` (no JSON, a key twice, too large); ``typo`` (a word nobody knows);
            ``invalid`` (a value of the wrong kind); ``weak`` (it would not protect); ``changed`` (not *sha256*).
    """
    path = path.absolute()
    try:
        data = _read(path)
        found = _digest(data, sha256)
        check_text(data)
    except RefusedError as error:
        raise HostError(
            f"seccomp-profile-{error.kind}", error.sentence, context=str(path), hint=_hint(path, error.kind)
        ) from None
    return CheckedProfile(path, found, data)


def _hint(path: Path, kind: str) -> str:
    shipped = default_profile()
    if kind == "unreadable":
        return f"ls -l {path}"
    if path == shipped:
        return "this file is shipped with FetchML: install FetchML again"
    return f"compare: diff {shipped} {path}   or start again: cp {shipped} {path}"


def _read(path: Path) -> bytes:
    try:
        data = read_plain_file(path, limit=MAX_BYTES + 1)
    except FileNotFoundError:
        raise RefusedError("missing", "there is no seccomp profile here") from None
    except (OSError, ValueError) as error:
        reason = "it is a link" if path.is_symlink() else getattr(error, "strerror", None) or error
        raise RefusedError("unreadable", f"the seccomp profile cannot be read: {reason}") from None
    except HostError as error:
        raise RefusedError("unreadable", f"the seccomp profile cannot be used: {error.message}") from None
    if len(data) > MAX_BYTES:
        raise RefusedError("damaged", f"the seccomp profile is larger than {MAX_BYTES} bytes")
    return data


def _digest(data: bytes, wanted: str) -> str:
    found = hashlib.sha256(data).hexdigest()
    if wanted and found != wanted:
        raise RefusedError(
            "changed", f"the seccomp profile is not the one that was checked: its sha256 is {found}"
        )
    return found
