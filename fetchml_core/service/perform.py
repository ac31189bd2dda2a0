"""The only way to a use case: who asks, may he, then do it.

`USE_CASES` names for each verb the permission it needs before anything else and the function that does it. A
function that changes something calls `Context.change` first: it asks again with the owner of the job, and where
audit logging is on it writes the record before the change.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import frozen

from fetchml_core.convert import from_data
from fetchml_core.errors import InputError
from fetchml_core.permission.policy import Identity
from fetchml_core.wire.verbs import VERBS

from . import (
    cancel,
    fetch,
    gpus,
    hold,
    list_jobs,
    logs,
    migrate,
    queue_admin,
    results,
    show,
    snapshot,
    submit,
    wait,
    why,
    worker_admin,
)
from .context import Context, Conversation
from .host import Host


@frozen
class UseCase:
    """The permission a verb needs, and what does it; *always*: also on a host whose worker file has errors."""

    action: str
    run: Callable[[Context, Any], Any]
    always: bool = False


USE_CASES: dict[str, UseCase] = {
    "stage": UseCase("jobs:create", snapshot.stage),
    "upload": UseCase("jobs:create", snapshot.upload),
    "submit": UseCase("jobs:create", submit.run),
    "list": UseCase("jobs:read", list_jobs.run, always=True),
    "show": UseCase("jobs:read", show.run, always=True),
    "why": UseCase("jobs:read", why.run, always=True),
    "logs": UseCase("jobs:read", logs.run, always=True),
    "wait": UseCase("jobs:read", wait.run, always=True),
    "results": UseCase("jobs:read", results.run, always=True),
    "fetch": UseCase("jobs:read", fetch.run, always=True),
    "gpus": UseCase("jobs:read", gpus.run),
    "cancel": UseCase("jobs:update", cancel.run, always=True),
    "hold": UseCase("jobs:update", hold.hold),
    "release": UseCase("jobs:update", hold.release),
    "queue-stats": UseCase(migrate.ACTION, queue_admin.stats),
    "queue-pause": UseCase(migrate.ACTION, queue_admin.pause),
    "queue-resume": UseCase(migrate.ACTION, queue_admin.resume),
    "queue-check": UseCase(migrate.ACTION, queue_admin.check),
    "queue-migrate": UseCase(migrate.ACTION, migrate.run),
    "worker-status": UseCase("jobs:read", worker_admin.status, always=True),
    "worker-start": UseCase(worker_admin.ACTION, worker_admin.start),
    "worker-stop": UseCase(worker_admin.ACTION, worker_admin.stop),
    "worker-drain": UseCase(worker_admin.ACTION, worker_admin.drain),
    "worker-resume": UseCase(worker_admin.ACTION, worker_admin.resume),
}


TYPED = {"stage": "submit", "upload": "submit", "list": "status", "results": "pull", "fetch": "pull"}
"""What a person types for a verb that has another name."""


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
    context.allow(case.action, about=TYPED.get(verb, verb.replace("-", " ")))
    if host.broken is not None and not case.always:
        raise host.broken
    return case.run(context, from_data(args, VERBS[verb].args, what="request"))
