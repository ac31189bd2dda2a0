"""From what was typed to a queued job: read the tree, make the spec, send what is missing, ask once.

Asking is idempotent: the key of a submission is kept on disk until the host has answered, so that neither this process
nor a repeated command makes a second job of one whose answer a broken link swallowed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import field, frozen

from fetchml_cli.commands.common import connect
from fetchml_cli.commands.upload import TreeChanged, send_snapshot
from fetchml_core.convert import to_data
from fetchml_core.errors import FetchError, InputError, UnreachableError
from fetchml_core.fsio import read_json, replace_file
from fetchml_core.jobs.checks import check_image, check_name, check_time, plain_name
from fetchml_core.jobs.job import JobSpec, Resources
from fetchml_core.launcher.environment import check_env_names
from fetchml_core.snapshot.scan import Scan, scan
from fetchml_core.units import parse_duration, parse_size
from fetchml_core.wire.messages import SubmitReply, SubmitRequest

if TYPE_CHECKING:
    from fetchml_cli.cli import Cli
    from fetchml_cli.remote.client import Client
    from fetchml_core.config.profile import Profile
    from fetchml_core.snapshot.tree import TreePlan

TRIES = 3
PENDING_S = 3600.0
"""How long a submission whose answer was lost is remembered, so that repeating it finds the same job."""


@frozen
class Wish:
    """What was typed, apart from the tree."""

    name: str = ""
    gpus: int = 0
    cpus: float | None = None
    memory: str = ""
    priority: int = 5
    time: str = ""
    env: tuple[str, ...] = field(default=(), repr=False)
    image: str = ""


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

    def send(self, cli: Cli, profile: Profile, client: Client | None = None) -> tuple[SubmitReply, Client]:
        """Queue the job; return the answer and the connection it came over.

        A tree that changes while it is sent is read again, a few times.

        Args:
            cli: The surroundings.
            profile: The host's.
            client: A connection that is there already.
        """
        for tries in range(TRIES):
            found, spec = self.read(cli)
            try:
                return _ask(cli, profile, spec, found, client)
            except TreeChanged as changed:
                client = None
                if tries + 1 == TRIES:
                    raise
                cli.note(f"changed while it was being sent, reading again: {changed.context}")
        raise AssertionError  # the loop returns or raises


def check_wish(wish: Wish) -> None:
    """Raise InputError for what is wrong before any file is read."""
    with _typed("--time", wish.time):
        check_time(parse_duration(wish.time) if wish.time else None, wish.time)
    with _typed("--memory", wish.memory):
        parse_size(wish.memory or "1g")
    if wish.name:
        check_name(wish.name)
    check_image(wish.image)
    for pair in wish.env:
        name, sign, value = pair.partition("=")
        if not sign or not name:
            raise InputError(
                "bad-env",
                "a variable is set as NAME=VALUE",
                context=f"--env {name or '=...'}",  # never the value: it may be a secret
                hint=f"--env {name or 'NAME'}=VALUE",
            )
        check_env_names({name: value})


@contextlib.contextmanager
def _typed(option: str, value: str) -> Iterator[None]:
    """Let an error about *value* name the option that it was typed for."""
    try:
        yield
    except InputError as error:
        error.context = f"{option} {value}"
        raise


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
    cli: Cli, profile: Profile, spec: JobSpec, found: Scan, client: Client | None
) -> tuple[SubmitReply, Client]:
    """Send and queue; an answer that a broken link swallowed is asked for again, with the same key."""
    pending = _Pending(cli, profile, spec)
    for tries in range(TRIES):
        client = client or connect(cli, profile)
        try:
            send_snapshot(cli, client, found)
            key = pending.remember()
            reply: SubmitReply = client.call("submit", SubmitRequest(key, spec))
        except UnreachableError as error:
            client.close()
            client = None
            if tries + 1 == TRIES or not pending.asked:
                raise
            cli.note(f"{error.message}; asking again for the same job")
        except BaseException:
            client.close()
            raise
        else:
            pending.forget()
            return reply, client
    raise AssertionError  # the loop returns or raises
