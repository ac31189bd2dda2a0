"""The only way to a use case: who asks, may he, then do it.

`USE_CASES` names for each verb the permission it needs before anything else and the function that does it. A
function that changes something calls `Context.change` first: it asks again with the owner of the job, and where
audit logging is on it writes the record before the change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from attrs import frozen

from fetchml_core.convert import from_data
from fetchml_core.errors import DeniedError, InputError
from fetchml_core.permission.policy import Identity, decide
from fetchml_core.wire.messages import VERBS

from . import cancel, fetch, list_jobs, logs, results, show, snapshot, submit, wait
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

    def gone(self, seconds: float) -> bool:
        """Wait up to *seconds*; say whether the client has left."""
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


@frozen
class UseCase:
    """The permission a verb needs, and what does it."""

    action: str
    run: Callable[[Context, Any], Any]


USE_CASES: dict[str, UseCase] = {
    "stage": UseCase("jobs:create", snapshot.stage),
    "upload": UseCase("jobs:create", snapshot.upload),
    "submit": UseCase("jobs:create", submit.run),
    "list": UseCase("jobs:read", list_jobs.run),
    "show": UseCase("jobs:read", show.run),
    "logs": UseCase("jobs:read", logs.run),
    "wait": UseCase("jobs:read", wait.run),
    "results": UseCase("jobs:read", results.run),
    "fetch": UseCase("jobs:read", fetch.run),
    "cancel": UseCase("jobs:update", cancel.run),
}


def perform(host: Host, identity: Identity, verb: str, args: dict[str, Any], talk: Conversation) -> Any:
    """Do what *verb* asks for *identity*.

    Returns: the result, of the class that VERBS names.

    Raises:
        FetchError: it was refused or failed; nothing was changed then.
    """
    case = USE_CASES.get(verb)
    if case is None:
        raise InputError(
            "verb-unknown",
            "this host does not know the request",
            context=verb[:60],
            hint="update FetchML on both sides",
        )
    context = Context(host, identity, talk)
    context.allow(case.action, about=verb)
    return case.run(context, from_data(args, VERBS[verb].args, what="request"))
