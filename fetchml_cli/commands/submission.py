"""From what was typed to a queued job: read the tree, make the spec, send what is missing, ask once.

Asking is idempotent: the key of a submission is kept on disk until the host has answered, so that neither this process
nor a repeated command makes a second job of one whose answer a broken link swallowed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from fetchml_cli.commands.common import connect
from fetchml_cli.commands.upload import TreeChanged, send_snapshot
from fetchml_core.convert import to_data
from fetchml_core.errors import UnreachableError
from fetchml_core.fsio import try_lock, write_all
from fetchml_core.jobs.checks import plain_name
from fetchml_core.jobs.job import JobSpec, Resources
from fetchml_core.snapshot.scan import Scan, scan
from fetchml_core.units import parse_duration, parse_size
from fetchml_core.wire.jobs import SubmitReply, SubmitRequest

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
_AT_ONCE = 64
"""How many equal submissions at the same time are remembered; a further one only lacks this memory."""


@frozen
class Submission:
    """One wish to run one tree."""

    tree: TreePlan
    wish: Wish
    arguments: tuple[str, ...]
    allow_large: bool = False

    def read(self, cli: Cli, *, remember: bool = True) -> tuple[Scan, JobSpec]:
        """Return the tree as it is now, and what is asked for with it; *remember* keeps its hashes for the next time."""
        found = read_tree(cli, self.tree, allow_large=self.allow_large, remember=remember)
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


def read_tree(cli: Cli, tree: TreePlan, *, allow_large: bool, remember: bool) -> Scan:
    """Hash the tree, with a bar where it takes long."""
    from fetchml_cli.output.progress import progress

    with progress(cli, "reading", None) as advance:
        seen = 0

        def report(done: int, _: int) -> None:
            nonlocal seen
            advance(done - seen)
            seen = done

        name = hashlib.sha256(str(tree.root).encode("utf-8", "surrogateescape")).hexdigest()[:32]
        cache = cli.home / ".ml" / "cache" / "hashes" / name
        return scan(
            tree.root,
            now=cli.clock.now(),
            allow_large=allow_large,
            only=tree.entry if tree.only else None,
            needed=tree.entry,
            progress=report,
            cache=cache if remember else None,
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
        resources=Resources(
            wish.cpus,
            parse_size(wish.memory) if wish.memory else None,
            wish.gpus,
            parse_size(wish.gpu_memory) if wish.gpu_memory else None,
        ),
        priority=wish.priority,
        time_limit=parse_duration(wish.time) if wish.time else None,
        git=found.git,
        files=len(found.manifest.entries),
        size=found.total_bytes,
        retries=wish.retries,
        network=wish.network,
    )


def default_name(tree: TreePlan) -> str:
    """Return a job name made of the script's, or of the folder's where the script is the usual one."""
    script = Path(tree.entry)
    stem = (script.parent.name or tree.root.name) if script.stem == "train" else script.stem
    return plain_name(stem) or "job"


class _Pending:
    """The idempotency key of this very submission, kept on disk until the host has answered.

    The file is locked while its submission lives, so that an equal one at the same time is a wish of its own; one
    that nobody holds was left by a submission that got no answer, and is taken up.
    """

    def __init__(self, cli: Cli, profile: Profile, spec: JobSpec) -> None:
        server = profile.server
        target = [
            server.worker_host,
            server.worker_user,
            server.worker_base,
            server.worker_port,
            hashlib.sha256(profile.auth.api_key.encode("utf-8", "surrogatepass")).hexdigest(),
            to_data(spec),
        ]
        digest = hashlib.sha256(json.dumps(target, sort_keys=True).encode()).hexdigest()
        folder = cli.home / ".ml" / "cache" / "pending"
        self._places = [folder / f"{digest[:32]}-{number}" for number in range(_AT_ONCE)]
        self._now = cli.clock.now()
        self._held: tuple[Path, int] | None = None
        self._key = ""

    @property
    def asked(self) -> bool:
        """Whether the host may have been asked already."""
        return bool(self._key)

    def remember(self) -> str:
        """Return the key: that of a submission which got no answer, else a new one, kept from now on."""
        if not self._key:
            self._key = uuid.uuid4().hex
            with contextlib.suppress(OSError):  # the memory is a comfort; this process knows the key
                self._keep()
        return self._key

    def forget(self) -> None:
        """The host has answered."""
        if self._held is not None:
            self._held[0].unlink(missing_ok=True)
            self.release()

    def release(self) -> None:
        """Leave the file, if there is one, to the next equal submission."""
        if self._held is not None:
            os.close(self._held[1])
            self._held = None

    def _keep(self) -> None:
        """Take the first file that no other process holds; its key counts where it has one."""
        self._places[0].parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in self._places:
            fd = try_lock(path)
            if fd is None:
                continue
            if not _is_at(fd, path):  # removed between opening and locking: its submission was answered
                os.close(fd)
                continue
            self._held = path, fd
            known = self._known(os.pread(fd, 1000, 0))
            if known:
                self._key = known
            else:
                os.ftruncate(fd, 0)
                write_all(fd, json.dumps({"key": self._key, "at": self._now}).encode())
            return

    def _known(self, data: bytes) -> str:
        try:
            known = json.loads(data)
            fresh = 0 <= self._now - known["at"] < PENDING_S
            return str(known["key"]) if fresh else ""
        except (ValueError, KeyError, TypeError):
            return ""


def _is_at(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def _ask(
    cli: Cli, profile: Profile, spec: JobSpec, found: Scan, opening: Opening | None
) -> tuple[SubmitReply, Client]:
    """Send and queue; an answer that a broken link swallowed is asked for again, with the same key."""
    pending = _Pending(cli, profile, spec)
    for tries in range(ASKS):
        client = None
        try:
            client = opening.client() if opening is not None and tries == 0 else connect(cli, profile)
            send_snapshot(cli, client, found, network=spec.network)
            key = pending.remember()
            reply: SubmitReply = client.call("submit", SubmitRequest(key, spec))
        except UnreachableError as error:
            _close(client)
            if not pending.asked:
                raise
            if tries + 1 == ASKS:
                pending.release()
                error.hint = "the host may have queued the job: type the same again, it makes no second one"
                raise
            cli.note(f"{error.message}; asking again for the same job")
            cli.clock.sleep(2**tries - 1)
        except BaseException:
            _close(client)
            pending.release()
            raise
        else:
            pending.forget()
            return reply, client
    raise AssertionError  # the loop returns or raises


def _close(client: Client | None) -> None:
    if client is not None:
        client.close()
