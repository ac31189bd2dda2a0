"""From what was typed to a queued job: read the tree, make the spec, send what is missing, ask once.

Asking is idempotent: the key of a submission is kept on disk until the host has answered, so that neither this process
nor a repeated command makes a second job of one whose answer a broken link swallowed.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from fetchml_cli.commands.common import connect
from fetchml_cli.commands.upload import TreeChanged, send_snapshot
from fetchml_core.convert import to_data
from fetchml_core.errors import FetchError, UnreachableError
from fetchml_core.fsio import read_json, replace_file
from fetchml_core.jobs.checks import plain_name
from fetchml_core.jobs.job import JobSpec, Resources
from fetchml_core.snapshot.scan import Scan, scan
from fetchml_core.units import parse_duration, parse_size
from fetchml_core.wire.messages import SubmitReply, SubmitRequest

if TYPE_CHECKING:
    from fetchml_cli.cli import Cli
    from fetchml_cli.commands.wish import Wish
    from fetchml_cli.remote.client import Client, Opening
    from fetchml_core.config.profile import Profile
    from fetchml_core.snapshot.tree import TreePlan

TRIES = 3
ASKS = 5
"""How often an answer is asked for that a broken link swallowed; the pauses are 0, 1, 3, 7 s."""
PENDING_S = 3600.0
"""How long a submission whose answer was lost is remembered, so that repeating it finds the same job."""


@frozen
class Submission:
    """One wish to run one tree."""

    tree: TreePlan
    wish: Wish
    arguments: tuple[str, ...]
    allow_large: bool = False

    def read(self, cli: Cli) -> tuple[Scan, JobSpec]:
        """Return the tree as it is now, and what is asked for with it."""
        found = read_tree(cli, self.tree, allow_large=self.allow_large)
        return found, make_spec(self.tree, found, self.arguments, self.wish)

    def send(self, cli: Cli, profile: Profile, opening: Opening) -> tuple[SubmitReply, Client]:
        """Queue the job; return the answer and the connection it came over.

        The tree is read while the host starts its agent; one that changes while it is sent is read again, a few times.

        Args:
            cli: The surroundings.
            profile: The host's.
            opening: A conversation with it that has begun; closed when this fails.
        """
        first: Opening | None = opening
        for tries in range(TRIES):
            try:
                found, spec = self.read(cli)
            except BaseException:
                opening.close()
                raise
            try:
                return _ask(cli, profile, spec, found, first)
            except TreeChanged as changed:
                first = None
                if tries + 1 == TRIES:
                    raise
                cli.note(f"changed while it was being sent, reading again: {changed.context}")
        raise AssertionError  # the loop returns or raises


def read_tree(cli: Cli, tree: TreePlan, *, allow_large: bool) -> Scan:
    """Hash the tree, with a bar where it takes long."""
    from fetchml_cli.output.progress import progress

    with progress(cli, "reading", None) as advance:
        seen = 0

        def report(done: int, _: int) -> None:
            nonlocal seen
            advance(done - seen)
            seen = done

        cache = (
            cli.home / ".ml" / "cache" / "hashes" / hashlib.sha256(str(tree.root).encode()).hexdigest()[:32]
        )
        return scan(
            tree.root,
            now=cli.clock.now(),
            allow_large=allow_large,
            only=tree.entry if tree.only else None,
            needed=tree.entry,
            progress=report,
            cache=cache,
        )


def make_spec(tree: TreePlan, found: Scan, arguments: tuple[str, ...], wish: Wish) -> JobSpec:
    """Return what is asked of the host."""
    return JobSpec(
        name=wish.name or default_name(tree),
        argv=(*tree.command, *arguments),
        snapshot=found.manifest.digest,
        cwd=tree.start,
        env=dict(pair.split("=", 1) for pair in wish.env),
        image=wish.image,
        resources=Resources(wish.cpus, parse_size(wish.memory) if wish.memory else None, wish.gpus),
        priority=wish.priority,
        time_limit=parse_duration(wish.time) if wish.time else None,
        git=found.git,
        files=len(found.manifest.entries),
        size=found.total_bytes,
    )


def default_name(tree: TreePlan) -> str:
    """Return a job name made of the script's, or of the folder's where the script is the usual one."""
    script = Path(tree.entry)
    stem = (script.parent.name or tree.root.name) if script.stem == "train" else script.stem
    return plain_name(stem) or "job"


class _Pending:
    """The idempotency key of this very submission, kept on disk until the host has answered."""

    def __init__(self, cli: Cli, profile: Profile, spec: JobSpec) -> None:
        server = profile.server
        target = [
            server.worker_host,
            server.worker_user,
            server.worker_base,
            server.worker_port,
            to_data(spec),
        ]
        digest = hashlib.sha256(json.dumps(target, sort_keys=True).encode()).hexdigest()
        self._path = cli.home / ".ml" / "cache" / "pending" / digest[:32]
        self._now = cli.clock.now()
        self.asked = False

    def remember(self) -> str:
        """Return the key: that of a submission which got no answer, else a new one, kept from now on."""
        self.asked = True
        try:
            known = read_json(self._path)
            if isinstance(known, dict) and 0 <= self._now - known["at"] < PENDING_S:
                return str(known["key"])
        except (FetchError, KeyError, TypeError, OSError):
            pass
        key = uuid.uuid4().hex
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            replace_file(self._path, json.dumps({"key": key, "at": self._now}).encode())
        except OSError:
            pass  # the memory is a comfort; this process knows the key
        return key

    def forget(self) -> None:
        """The host has answered."""
        self._path.unlink(missing_ok=True)


def _ask(
    cli: Cli, profile: Profile, spec: JobSpec, found: Scan, opening: Opening | None
) -> tuple[SubmitReply, Client]:
    """Send and queue; an answer that a broken link swallowed is asked for again, with the same key."""
    pending = _Pending(cli, profile, spec)
    for tries in range(ASKS):
        client = None
        try:
            client = opening.client() if opening is not None and tries == 0 else connect(cli, profile)
            send_snapshot(cli, client, found)
            key = pending.remember()
            reply: SubmitReply = client.call("submit", SubmitRequest(key, spec))
        except UnreachableError as error:
            _close(client)
            if not pending.asked:
                raise
            if tries + 1 == ASKS:
                error.hint = "the host may have queued the job: type the same again, it makes no second one"
                raise
            cli.note(f"{error.message}; asking again for the same job")
            cli.clock.sleep(2**tries - 1)
        except BaseException:
            _close(client)
            raise
        else:
            pending.forget()
            return reply, client
    raise AssertionError  # the loop returns or raises


def _close(client: Client | None) -> None:
    if client is not None:
        client.close()
