"""What to tell a person when a host cannot be reached: one error per cause, each with the next command to type.

Layer 5, pure.
"""

from __future__ import annotations

import errno
import shlex
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import Factory, define

from fetchml_core.errors import DeniedError, UnreachableError

from .hostkeys import Judgement, Verdict, fingerprint, kind_of, name_of
from .plain import printable

if TYPE_CHECKING:
    from .resolve import Resolved


NO_BANNER = "Error reading SSH protocol banner"  # paramiko's words; more follows where the host said anything


def place(resolved: Resolved) -> str:
    """Return ``user@host:port`` as connected to."""
    host = f"[{resolved.host}]" if ":" in resolved.host else resolved.host
    return f"{resolved.user}@{host}:{resolved.port}"


def host_key_refused(resolved: Resolved, verdict: Verdict, blob: bytes) -> UnreachableError:
    """Explain why the host's key *blob* was not accepted."""
    shown = f"{kind_of(blob)} {fingerprint(blob)}"
    listed = "; ".join(f"{key.kind} {fingerprint(key.blob)} at {key.place}" for key in verdict.lines)
    name = name_of(resolved.key_name, resolved.key_port)
    if verdict.judgement is Judgement.CHANGED:
        file = verdict.lines[0].path
        return UnreachableError(
            "host-key-changed",
            f"the host key of {place(resolved)} is not the one you know; nothing was sent to it",
            context=f"shown {shown}; known {listed}",
            hint="ask its admin whether the key was changed, then "
            + shlex.join(["ssh-keygen", "-R", name, "-f", str(file)]),
        )
    if verdict.judgement is Judgement.REVOKED:
        return UnreachableError(
            "host-key-revoked",
            f"the host key of {place(resolved)} is marked as revoked; nothing was sent to it",
            context=f"shown {shown}; {listed}",
            hint="ask the host's admin for its new key",
        )
    if verdict.judgement is Judgement.CERTIFICATE:
        return UnreachableError(
            "host-certificate-unsupported",
            f"{place(resolved)} is known by a certificate authority only, which this transport cannot check",
            context=f"shown {shown}; {listed}",
            hint=f"compare the fingerprint with the host's admin, then {keyscan(resolved)}",
        )
    return UnreachableError(
        "host-key-unknown",
        f"the host key of {place(resolved)} is not known; nothing was sent to it",
        context=f"shown {shown}",
        hint=f"compare it with the host's admin, then {resolved.target.ssh_command('true')} (or {keyscan(resolved)})",
    )


def keyscan(resolved: Resolved) -> str:
    """Return the line that adds the host's keys to the first known_hosts file."""
    file = resolved.known_hosts[0] if resolved.known_hosts else Path("~/.ssh/known_hosts")
    port = ["-p", str(resolved.port)] if resolved.port != 22 else []
    return f"{shlex.join(['ssh-keyscan', *port, resolved.host])} >> {shlex.quote(str(file))}"


def not_connected(resolved: Resolved, error: OSError, *, timeout: float) -> UnreachableError:
    """Explain why there is no TCP connection."""
    where = f"{resolved.host} port {resolved.port}"
    if isinstance(error, socket.gaierror):
        return UnreachableError(
            "host-not-found",
            f"no address is known for {resolved.host}",
            context=printable(error.strerror or str(error)),
            hint="check worker_host in the profile, or add the host to ~/.ssh/config",
        )
    if isinstance(error, TimeoutError):
        return UnreachableError(
            "connect-timeout",
            f"{where} did not answer within {timeout:g} s",
            context=str(resolved.target),
            hint=f"{resolved.target.ssh_command('true')} (is it up? a firewall? or raise default_timeout)",
        )
    if error.errno == errno.ECONNREFUSED:
        return UnreachableError(
            "connection-refused",
            f"nothing listens on {where}",
            context=str(resolved.target),
            hint="check worker_port in the profile, and that sshd runs there",
        )
    if error.errno in {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN}:
        return UnreachableError(
            "no-route",
            f"there is no way to {where}",
            context=error.strerror or "",
            hint="check the network or VPN",
        )
    return UnreachableError(
        "cannot-connect",
        f"cannot connect to {where}",
        context=printable(error.strerror or str(error)),
        hint=resolved.target.ssh_command("true"),
    )


def no_ssh(
    resolved: Resolved, reason: str, *, timeout: float, greeting: str = "", proxy_words: str = ""
) -> UnreachableError:
    """Explain why no SSH session came about, before the host proved who it is.

    Args:
        resolved: The host.
        reason: paramiko's words.
        timeout: Seconds that were allowed.
        greeting: First line that the host said.
        proxy_words: What the proxy said last.
    """
    where = place(resolved)
    if proxy_words or (resolved.proxy and "banner" in reason):
        return UnreachableError(
            "proxy-failed",
            f"the way to {where} through {resolved.proxy[0]} failed",
            context=proxy_words or printable(reason),
            hint=resolved.target.ssh_command("true"),
        )
    if "Incompatible" in reason or "no acceptable" in reason:
        return UnreachableError(
            "ssh-incompatible",
            f"{where} and this transport have no SSH algorithm in common",
            context=printable(reason),
            hint="update the host's OpenSSH; paramiko has no chacha20-poly1305 and no ssh-rsa (SHA-1)",
        )
    if "timed out" in reason or "No existing session" in reason or "timeout" in reason.lower():
        return UnreachableError(
            "ssh-timeout",
            f"{where} accepts connections but did not greet within {timeout:g} s",
            context=printable(reason),
            hint=f"{resolved.target.ssh_command('true')} (or raise default_timeout)",
        )
    if not greeting and (reason.strip() == NO_BANNER or "Connection reset" in reason):
        return UnreachableError(
            "connection-lost",
            f"{where} hung up without a greeting",
            hint=f"{resolved.target.ssh_command('true')} (is its sshd overloaded? is worker_port right?)",
        )
    if "banner" in reason or "protocol version" in reason:
        return UnreachableError(
            "not-ssh",
            f"{where} does not speak SSH",
            context=f"it says: {printable(greeting, limit=120)}"
            if greeting
            else printable(reason, limit=160),
            hint="check worker_port in the profile",
        )
    return UnreachableError(
        "connection-lost",
        f"the connection to {where} broke before the login",
        context=printable(reason),
        hint=resolved.target.ssh_command("true"),
    )


@define
class Tried:
    """What became of the keys; *allowed* are the methods that the host would take instead."""

    refused: list[str] = Factory(list)
    unusable: list[str] = Factory(list)
    locked: list[Path] = Factory(list)
    allowed: list[str] = Factory(list)
    accepted: str = ""


def key_refused(resolved: Resolved, tried: Tried, *, hung_up: bool) -> DeniedError:
    """Explain that the host took none of the keys, or none could be offered, or it hung up before the last."""
    story = [f"refused: {', '.join(tried.refused)}" if tried.refused else "no key could be offered"]
    if tried.locked:
        story.append(f"locked by a passphrase: {', '.join(map(str, tried.locked))}")
    if tried.unusable:
        story.append(f"unusable: {', '.join(tried.unusable)}")
    if tried.allowed:
        story.append(f"the host asks for {', '.join(tried.allowed)}")
    copy = shlex.join(["ssh-copy-id", *_port(resolved), place(resolved).rpartition(":")[0]])
    if hung_up and tried.refused:
        hint = "too many keys for this host? set IdentityFile and IdentitiesOnly yes for it in ~/.ssh/config"
    elif tried.locked:
        hint = shlex.join(["ssh-add", str(tried.locked[0])])
    else:
        hint = copy if tried.refused else f"make a key with ssh-keygen -t ed25519, then {copy}"
    message = f"{place(resolved)} does not accept your SSH key"
    return DeniedError("ssh-key-refused", message, context="; ".join(story), hint=hint)


def _port(resolved: Resolved) -> list[str]:
    return ["-p", str(resolved.port)] if resolved.port != 22 else []
