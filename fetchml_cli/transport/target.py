"""Where to connect to, checked before any of it reaches another program.

Layer 5, pure. A host or user that begins with ``-`` would be an option to ssh; one with quotes or blanks could escape
from a ProxyCommand. The same characters are refused as in OpenSSH.
"""

from __future__ import annotations

import shlex

from attrs import frozen

from fetchml_core.errors import ConfigError

from .plain import printable

_REFUSED = frozenset("'`\"$\\;&<>|(){},/")


def check_word(word: str, kind: str) -> str:
    """Return *word* if it can be a host or user name.

    Raises:
        ConfigError: ``bad-host`` or ``bad-user``.
    """
    odd = [char for char in word if not char.isprintable() or char.isspace() or char in _REFUSED]
    if not word or word.startswith("-") or odd or len(word) > 255:
        raise ConfigError(
            f"bad-{kind}",
            f"this is not a {kind} name",
            context=printable(word, limit=80),
            hint=f"set worker_{kind} in the profile",
        )
    return word


@frozen
class Target:
    """A host as the profile names it.

    Args:
        host: Name, address, or alias of ``~/.ssh/config``.
        user: Account there; empty leaves it to the SSH configuration.
        port: 0 leaves it to the SSH configuration.
    """

    host: str
    user: str = ""
    port: int = 0

    def checked(self) -> Target:
        """Return this target.

        Raises:
            ConfigError: ``bad-host``, ``bad-user`` or ``bad-port``.
        """
        check_word(self.host, "host")
        if self.user:
            check_word(self.user, "user")
        if not 0 <= self.port <= 65535:
            raise ConfigError(
                "bad-port",
                "this is not a port",
                context=str(self.port),
                hint="set worker_port in the profile",
            )
        return self

    def ssh_arguments(self) -> tuple[str, ...]:
        """Return the arguments that make ``ssh`` mean this target."""
        port = ("-p", str(self.port)) if self.port else ()
        user = ("-l", self.user) if self.user else ()
        return (*port, *user, "--", self.host)

    def ssh_command(self, *words: str) -> str:
        """Return a line to type: ``ssh -p 2222 alice@box1 true``."""
        port = ["-p", str(self.port)] if self.port not in {0, 22} else []
        place = f"{self.user}@{self.host}" if self.user else self.host
        return shlex.join(["ssh", *port, place, *words])

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        user = f"{self.user}@" if self.user else ""
        return f"{user}{host}" + (f":{self.port}" if self.port else "")
