"""Host keys: what the known_hosts files say about a host, read without trusting anything else.

Layer 5, pure but for `read`. Follows sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT": hashed names, ``[host]:port``, patterns with
``*`` ``?`` ``!``, ``@revoked``, ``@cert-authority``. A line that cannot be read is skipped, as OpenSSH does. Like OpenSSH,
a key known for the plain name counts for another port of the same host.

Invariants: revoked_wins - a revoked key is refused although another line lists it; nothing_is_learned - no file is
ever written here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from enum import Enum
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

LIMIT = 16 << 20  # bytes of one file; a longer one is cut there

ALGORITHMS = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}
"""Names under which a key type is negotiated, where they differ from its own."""


class Judgement(Enum):
    """What the files say about a key that a host shows."""

    KNOWN = "known"
    UNKNOWN = "unknown"
    CHANGED = "changed"
    REVOKED = "revoked"
    CERTIFICATE = "certificate"  # only host certificates are known for this host


@frozen
class KnownKey:
    """One line: *marker* is ``""``, ``@revoked`` or ``@cert-authority``; *names* is the first field as written."""

    marker: str
    names: str
    kind: str
    blob: bytes
    path: Path
    line: int

    @property
    def place(self) -> str:
        """The file and line, for an error message."""
        return f"{self.path}:{self.line}"


@frozen
class Verdict:
    """A judgement with the lines it rests on."""

    judgement: Judgement
    lines: tuple[KnownKey, ...] = ()


def fingerprint(blob: bytes) -> str:
    """Return the fingerprint that OpenSSH prints: ``SHA256:…``."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def kind_of(blob: bytes) -> str:
    """Return the key type that is written inside *blob*; empty when it has none."""
    length = int.from_bytes(blob[:4], "big")
    name = blob[4 : 4 + length]
    return name.decode("ascii") if 0 < length == len(name) <= 64 and name.isascii() else ""


def parse_line(text: str, path: Path, number: int) -> KnownKey | None:
    """Return the key on one line; None for a comment or a line that cannot be read."""
    fields = text.split()
    marker = fields.pop(0) if fields and fields[0].startswith("@") else ""
    if len(fields) < 3 or fields[0].startswith("#") or marker not in {"", "@revoked", "@cert-authority"}:
        return None
    try:
        blob = base64.b64decode(fields[2], validate=True)
    except (binascii.Error, ValueError):
        return None
    return KnownKey(marker, fields[0], fields[1], blob, path, number) if kind_of(blob) == fields[1] else None


def read(paths: Iterable[Path]) -> tuple[KnownKey, ...]:
    """Read known_hosts files in order; a file that is missing or may not be read holds no keys."""
    keys: list[KnownKey] = []
    for path in paths:
        try:
            with path.open("rb") as file:
                text = file.read(LIMIT).decode("utf-8", "replace")
        except OSError:
            continue
        found = (parse_line(line, path, number) for number, line in enumerate(text.split("\n"), 1))
        keys += [key for key in found if key is not None]
    return tuple(keys)


def name_of(host: str, port: int) -> str:
    """Return the name under which known_hosts files list *host* at *port*."""
    return host.lower() if port == 22 else f"[{host.lower()}]:{port}"


def matches(names: str, name: str) -> bool:
    """Say whether the first field of a line is about *name*."""
    if names.startswith("|"):
        return _hash_matches(names, name)
    patterns = [pattern.lower() for pattern in names.split(",")]
    if any(_glob(pattern[1:], name) for pattern in patterns if pattern.startswith("!")):
        return False
    return any(_glob(pattern, name) for pattern in patterns if not pattern.startswith("!"))


def _hash_matches(names: str, name: str) -> bool:
    """``|1|salt|HMAC-SHA1(salt, name)``, both in base64."""
    parts = names.split("|")
    if len(parts) != 4 or parts[1] != "1":
        return False
    try:
        salt, digest = base64.b64decode(parts[2], validate=True), base64.b64decode(parts[3], validate=True)
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(hmac.digest(salt, name.encode(), "sha1"), digest)


def _glob(pattern: str, name: str) -> bool:
    """Match with ``*`` and ``?`` alone: brackets are part of a name here."""
    parts = {"*": ".*", "?": "."}
    return re.fullmatch("".join(parts.get(char) or re.escape(char) for char in pattern), name) is not None


def judge(keys: Iterable[KnownKey], host: str, port: int, blob: bytes) -> Verdict:
    """Say what *keys* know about the key *blob* that *host* shows at *port*.

    Args:
        keys: From `read`.
        host: Name to look up: HostKeyAlias, else the host name.
        port: Port; pass 22 together with a HostKeyAlias.
        blob: Public key as on the wire.
    """
    keys = tuple(keys)
    here = [key for key in keys if matches(key.names, name_of(host, port))]
    plain_name = [key for key in keys if matches(key.names, host.lower())] if port != 22 else []
    same = [key for key in (*here, *plain_name) if hmac.compare_digest(key.blob, blob)]
    revoked = tuple(key for key in same if key.marker == "@revoked")
    if revoked:
        return Verdict(Judgement.REVOKED, revoked)
    plain = tuple(key for key in here if not key.marker)
    known = tuple(key for key in same if not key.marker and (key in plain or not plain))
    if known:
        return Verdict(Judgement.KNOWN, known)
    if plain:
        return Verdict(Judgement.CHANGED, plain)
    authorities = tuple(key for key in here if key.marker == "@cert-authority")
    if authorities:
        return Verdict(Judgement.CERTIFICATE, authorities)
    return Verdict(Judgement.UNKNOWN)


def preferred(keys: Iterable[KnownKey], host: str, port: int, offered: Iterable[str]) -> tuple[str, ...]:
    """Order host key algorithms so that a type known for the host is negotiated first.

    Without this a host known by its ed25519 key would look changed when another type is negotiated.
    """
    names = {name_of(host, port)}
    known: list[str] = []
    for lookup in (names, {host.lower()}):  # the plain name only fills in behind the exact one
        for key in keys:
            if not key.marker and any(matches(key.names, name) for name in lookup):
                known += ALGORITHMS.get(key.kind, (key.kind,))
    offered = tuple(offered)
    first = [name for name in dict.fromkeys(known) if name in offered]
    return (*first, *(name for name in offered if name not in first))
