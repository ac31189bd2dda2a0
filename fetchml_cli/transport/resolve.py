"""What the user's SSH configuration says about a host, asked of OpenSSH itself.

Layer 5. ``ssh -G`` knows Include, Match and every default; paramiko's reader, the fallback where no ``ssh`` is
installed, does not, and says so in a note. `build` is pure.

OpenSSH takes ``~`` from the account database and never from $HOME. Where $HOME says otherwise (sudo, tests) we follow
$HOME, as everything else of the command line does, and tell ``ssh`` which file to read.
"""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING

from attrs import frozen

from fetchml_core.errors import ConfigError, UnreachableError

from .homes import Homes, Settings
from .plain import last_lines, printable
from .target import Target, check_word

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@frozen
class Resolved:
    """All that is needed to connect; paths are absolute.

    Args:
        target: As asked, for messages.
        host: Name or address to connect to.
        port: TCP port.
        user: Account on the host.
        key_name: Host name to look up in the known_hosts files.
        key_port: Port to look up with it; 22 stands for none.
        known_hosts: Files with host keys, the user's before the machine's.
        identities: Private (or public, for the agent) key files to offer, in order; may not exist.
        identities_only: Offer no agent key but those of *identities*.
        agent: Socket of the SSH agent; empty for none.
        proxy: Program whose standard input and output lead to the host; empty for a TCP connection.
        connect_timeout: From ConnectTimeout; None when unset.
        notes: What could not be honoured, for ``--debug``.
    """

    target: Target
    host: str
    port: int
    user: str
    key_name: str
    key_port: int
    known_hosts: tuple[Path, ...]
    identities: tuple[Path, ...] = ()
    identities_only: bool = False
    agent: str = ""
    proxy: tuple[str, ...] = ()
    connect_timeout: float | None = None
    notes: tuple[str, ...] = ()


def resolve(target: Target, *, environ: Mapping[str, str], timeout: float) -> Resolved:
    """Ask OpenSSH, or paramiko where it is not installed, how to reach *target*.

    Raises:
        ConfigError: ``bad-host``, ``bad-user``, ``bad-port``, ``ssh-config-invalid``.
        UnreachableError: ``ssh-config-timeout`` when a ``Match exec`` hangs.
    """
    target.checked()
    homes = Homes.of(environ)
    ssh = which("ssh", path=environ.get("PATH")) or ""
    notes: tuple[str, ...] = ()
    if ssh:
        settings = _ask_openssh(ssh, target, homes, environ, timeout)
    else:
        from .resolve_paramiko import ask_paramiko

        settings = ask_paramiko(target, homes)
        notes = ("no ssh program here: Include and Match of the SSH configuration are not fully honoured",)
    return build(settings, target, homes=homes, environ=environ, ssh=ssh, notes=notes)


def _ask_openssh(
    ssh: str, target: Target, homes: Homes, environ: Mapping[str, str], timeout: float
) -> Settings:
    argv = [ssh, *homes.config_arguments(), "-G", *target.ssh_arguments()]
    try:
        done = subprocess.run(
            argv,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UnreachableError(
            "ssh-config-timeout",
            f"ssh -G did not answer within {timeout:g} s",
            context=str(target),
            hint="look for a Match exec in ~/.ssh/config",
        ) from None
    if done.returncode != 0:
        raise ConfigError(
            "ssh-config-invalid",
            f"OpenSSH cannot read the configuration for {target}",
            context=last_lines(done.stderr),
            hint=shlex.join(["ssh", "-G", *target.ssh_arguments()]),
        )
    settings: Settings = {}
    for line in done.stdout.decode("utf-8", "surrogateescape").splitlines():
        key, _, value = line.partition(" ")
        settings.setdefault(key.lower(), []).append(value)
    return settings


def build(
    settings: Settings,
    target: Target,
    *,
    homes: Homes,
    environ: Mapping[str, str],
    ssh: str = "ssh",
    notes: tuple[str, ...] = (),
) -> Resolved:
    """Turn the output of ``ssh -G`` into a `Resolved`.

    Args:
        settings: Keyword in lower case to its values, in order.
        target: What was asked for.
        homes: For ``~``.
        environ: For the agent's socket and the local user name.
        ssh: The ssh program, for jump hosts.
        notes: Notes to begin with.
    """

    def one(key: str, default: str = "") -> str:
        value = settings.get(key, [default])[0]
        return "" if value.lower() == "none" else value

    host = check_word(one("hostname", target.host), "host")
    port = int(one("port") or target.port or 22)
    user = check_word(target.user or one("user") or environ.get("USER", ""), "user")
    alias = one("hostkeyalias")
    tokens = _tokens(target, host=host, port=port, user=user, alias=alias, homes=homes, environ=environ)

    def path(text: str) -> Path:
        return homes.path(expand(text, tokens))

    files = [
        name for key in ("userknownhostsfile", "globalknownhostsfile") for name in _split_paths(one(key))
    ]
    if one("revokedhostkeys"):
        raise ConfigError(
            "ssh-option-unsupported",
            "RevokedHostKeys is not supported; list the keys as @revoked lines in a known_hosts file",
            context=printable(one("revokedhostkeys")),
        )
    timeout = one("connecttimeout")
    return Resolved(
        target=target,
        host=host,
        port=port,
        user=user,
        key_name=alias or host,
        key_port=22 if alias else port,
        known_hosts=tuple(path(name) for name in files),
        identities=tuple(path(name) for name in settings.get("identityfile", []) if name.lower() != "none"),
        identities_only=one("identitiesonly") == "yes",
        agent=_agent(settings, environ, path),
        proxy=_proxy(one("proxyjump"), one("proxycommand"), tokens, (ssh, *homes.config_arguments())),
        connect_timeout=float(timeout) if timeout.isdigit() and int(timeout) else None,
        notes=(*notes, *_unsupported(settings)),
    )


def _tokens(
    target: Target, *, host: str, port: int, user: str, alias: str, homes: Homes, environ: Mapping[str, str]
) -> dict[str, str]:
    """Return the ``%x`` of ssh_config(5), "TOKENS", that make sense here."""
    node = socket.gethostname()
    return {
        "%": "%",
        "d": str(homes.ours),
        "h": host,
        "i": str(os.getuid()),
        "k": alias or target.host,
        "L": node.partition(".")[0],
        "l": node,
        "n": target.host,
        "p": str(port),
        "r": user,
        "u": environ.get("USER", ""),
    }


def expand(text: str, tokens: Mapping[str, str]) -> str:
    """Replace ``%x`` in *text*; an unknown one stays as it is."""
    return re.sub(r"%(.)", lambda match: tokens.get(match[1], match[0]), text)


def _split_paths(text: str) -> list[str]:
    """Cut a list of files: ``ssh -G`` does not quote blanks, but every path it prints begins with ``/`` or ``~``."""
    return [name for name in re.split(r" (?=[/~])", text) if name]


def _agent(settings: Settings, environ: Mapping[str, str], path: Callable[[str], Path]) -> str:
    """Return the agent's socket by IdentityAgent, else by $SSH_AUTH_SOCK."""
    named = settings.get("identityagent", ["SSH_AUTH_SOCK"])[0]
    if named.lower() == "none":
        return ""
    if named == "SSH_AUTH_SOCK" or named.startswith("$"):
        return environ.get(named.strip("${}"), "")
    return str(path(named))


def _proxy(jump: str, command: str, tokens: Mapping[str, str], ssh: tuple[str, ...]) -> tuple[str, ...]:
    """Return the program that leads to the host.

    A jump is made by OpenSSH, which checks the hop's host key itself; it must not ask anything. A ProxyCommand is run
    without a shell, so pipes and variables in it do not work; put such a line into a script.
    """
    if jump:
        if not ssh[0]:
            raise UnreachableError(
                "ssh-program-missing",
                "a jump host needs the ssh program",
                context=printable(jump),
                hint="install the OpenSSH client (apt install openssh-client)",
            )
        *before, last = jump.split(",")
        user, host, port = split_hop(last)
        way = ("-J", ",".join(before)) if before else ()
        place = f"[{tokens['h']}]:{tokens['p']}"
        return (
            *ssh,
            "-o",
            "BatchMode=yes",
            *way,
            "-W",
            place,
            *Target(host, user, port).checked().ssh_arguments(),
        )
    words = shlex.split(command)
    if words[:1] == ["exec"]:
        words.pop(0)
    return tuple(expand(word, tokens) for word in words)


def split_hop(text: str) -> tuple[str, str, int]:
    """Cut ``[ssh://][user@]host[:port]`` into user, host and port (0: not given)."""
    rest = text.strip().removeprefix("ssh://").rstrip("/")
    user, _, place = rest.rpartition("@")
    match = re.fullmatch(r"\[(?P<v6>[^\]]+)\](?::(?P<p6>\d+))?|(?P<host>[^:]+)(?::(?P<port>\d+))?", place)
    if match is None:
        raise ConfigError(
            "bad-jump",
            "this is not a jump host",
            context=printable(text),
            hint="see ProxyJump in ~/.ssh/config",
        )
    return user, match["v6"] or match["host"], int(match["p6"] or match["port"] or 0)


def _unsupported(settings: Settings) -> list[str]:
    """Name the settings that would matter and that paramiko cannot honour."""
    notes = [
        f"{keyword} is not honoured"
        for keyword in ("pkcs11provider", "knownhostscommand", "bindaddress", "bindinterface")
        if settings.get(keyword, ["none"])[0].lower() != "none"
    ]
    if settings.get("stricthostkeychecking", ["ask"])[0] in {"no", "off", "false", "accept-new"}:
        notes.append("StrictHostKeyChecking is always yes here")
    return notes
