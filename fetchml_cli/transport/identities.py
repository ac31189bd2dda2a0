"""Which keys to offer to a host, and offering them: agent and files, never a password.

Layer 5, imported late (paramiko). The order is OpenSSH's: agent keys that the configuration names, the agent's other
keys unless IdentitiesOnly is set, then key files. A file is opened only when its turn comes.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import socket
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import UnsupportedAlgorithm
from paramiko import PasswordRequiredException, PKey, SSHException
from paramiko.agent import AgentKey, AgentSSH
from paramiko.auth_strategy import AuthSource, AuthStrategy
from paramiko.pkey import UnknownKeyType
from paramiko.ssh_exception import AuthenticationException, BadAuthenticationType

from .plain import printable
from .trouble import Tried

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .resolve import Resolved


class SocketAgent(AgentSSH):
    """An SSH agent at a socket that the configuration names; paramiko knows $SSH_AUTH_SOCK alone."""

    def __init__(self, path: str, *, timeout: float) -> None:
        super().__init__()
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(timeout)
            connection.connect(path)
            self._connect(connection)  # type: ignore[attr-defined]  # the one way in that takes a socket
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        self._close()  # type: ignore[attr-defined]


class Identities(AuthStrategy):
    """paramiko's hook for authentication: offers each key once.

    Args:
        resolved: Which keys, and the user name.
        timeout: Seconds that the agent may take for an answer.
    """

    def __init__(self, resolved: Resolved, *, timeout: float) -> None:
        super().__init__(ssh_config=None)  # type: ignore[arg-type]  # only kept by the base class
        self.tried = Tried()
        self._resolved = resolved
        self._timeout = timeout
        self._agent: SocketAgent | None = None

    def close(self) -> None:
        """Let go of the agent."""
        if self._agent is not None:
            self._agent.close()
            self._agent = None

    def get_sources(self) -> Iterator[AuthSource]:
        """Not used; `authenticate` goes through `candidates`."""
        return iter(())

    def candidates(self) -> Iterator[tuple[str, PKey]]:
        """Yield a name for messages and a key, in the order to offer them."""
        agent_keys = self._agent_keys()
        named = {path: public_blob(path) for path in self._resolved.identities}
        wanted = [blob for blob in named.values() if blob]
        first = sorted(
            (key for key in agent_keys if key.blob in wanted), key=lambda key: wanted.index(key.blob)
        )
        others = [] if self._resolved.identities_only else [key for key in agent_keys if key not in first]
        for key in (*first, *others):
            yield f"{printable(key.comment, limit=60) or key.name} (agent)", key
        held = {key.blob for key in first}
        for path, blob in named.items():
            if blob not in held and (loaded := self._load(path)) is not None:
                yield str(path), loaded

    def _agent_keys(self) -> list[AgentKey]:
        if not self._resolved.agent:
            return []
        try:
            self._agent = SocketAgent(self._resolved.agent, timeout=self._timeout)
        except (OSError, SSHException) as error:
            self.tried.unusable.append(f"the SSH agent ({printable(str(error), limit=80)})")
            return []
        return list(self._agent.get_keys())

    def _load(self, path: Path) -> PKey | None:
        try:
            return PKey.from_path(path)
        except FileNotFoundError:
            return None
        except PasswordRequiredException:
            self.tried.locked.append(path)
        except (OSError, SSHException, ValueError, TypeError, UnknownKeyType, UnsupportedAlgorithm) as error:
            if isinstance(error, TypeError) and "password" in str(error).lower():
                self.tried.locked.append(path)
            elif public_blob(path, itself=True) is None:  # a public key stands for the agent's
                self.tried.unusable.append(
                    f"{path} ({printable(str(error) or type(error).__name__, limit=80)})"
                )
        return None

    def authenticate(self, transport: Any) -> Any:
        """Offer the keys until one is accepted.

        Raises:
            AuthenticationException: none was; `tried` has the story.
            SSHException: the link broke.
        """
        for name, key in self.candidates():
            try:
                more = transport.auth_publickey(self._resolved.user, key)
            except BadAuthenticationType as error:
                self.tried.allowed = list(error.allowed_types)
                break
            except AuthenticationException:
                hung_up = not transport.is_active()
                # A host that hangs up on the very first key did not judge it: the link broke.
                if not hung_up or self.tried.refused:
                    self.tried.refused.append(name)
                if hung_up:
                    raise
                continue
            if not more:
                self.tried.accepted = name
                return []
            self.tried.allowed = list(more)
            break
        raise AuthenticationException("no key was accepted")


def public_blob(path: Path, *, itself: bool = False) -> bytes | None:
    """Return the public key that belongs to key file *path*: the file ``.pub`` beside it, or the file *itself*."""
    for candidate in (path,) if itself else (path.with_name(path.name + ".pub"), path):
        with contextlib.suppress(OSError, ValueError, binascii.Error):
            with candidate.open("rb") as file:
                fields = file.read(16384).split()
            if len(fields) >= 2 and not fields[0].startswith(b"-"):
                return base64.b64decode(fields[1], validate=True)
    return None
