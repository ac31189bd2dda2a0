"""What a use case gets: the host, who asks, and the conversation with him; permission and audit come with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from attrs import frozen

from fetchml_core.errors import DeniedError
from fetchml_core.permission.policy import Identity, decide

from .host import Host


class Conversation(Protocol):
    """What a use case may say and hear while it runs; a door gives it."""

    def uploaded(self) -> Iterator[bytes]:
        """Yield the bytes that the client sends along, in pieces."""
        ...

    def item(self, item: Any) -> None:
        """Send a piece of the answer."""
        ...

    def data(self, chunk: bytes) -> None:
        """Send bytes."""
        ...

    def gone(self, seconds: float, also: int = -1) -> bool:
        """Wait up to *seconds*, or until the descriptor *also* is readable; say whether the client has left."""
        ...


@frozen
class Context:
    """One request: the host, who asks, and the conversation with him."""

    host: Host
    identity: Identity
    talk: Conversation

    def allow(self, action: str, *, owner: str | None = None, about: str = "") -> None:
        """Raise DeniedError unless the identity may do *action*."""
        decision = decide(self.identity, action, owner)
        if decision.allowed:
            return
        if self.host.audit is not None:
            self.host.audit.append(user=self.identity.user, action=action, about=about, result="denied")
        raise DeniedError(
            "permission-denied",
            decision.reason,
            context=about,
            hint="ask the host's admin for a role that may, or use the profile that has it (--profile NAME)",
        )

    def change(self, action: str, *, about: str, owner: str | None = None) -> None:
        """Allow *action* and record it; to be called before the change."""
        self.allow(action, owner=owner, about=about)
        if self.host.audit is not None:
            self.host.audit.append(user=self.identity.user, action=action, about=about, result="allowed")
