"""Follow a job: its log and its states, until it ends, the link is lost for good, or Ctrl-C detaches.

Used by ``submit --follow`` and ``logs --follow``. A lost link changes nothing for the job: it is dialled again and
the log goes on at the byte where it stopped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fetchml_cli.boundary import Detached
from fetchml_cli.commands.common import connect
from fetchml_cli.output.jobs import ending, weakness
from fetchml_cli.output.safe import LogFilter
from fetchml_core.errors import UnreachableError
from fetchml_core.jobs.job import Job
from fetchml_core.jobs.states import State
from fetchml_core.launcher.log import cut_mark
from fetchml_core.wire.jobs import JobNews
from fetchml_core.wire.output import LogsReply, LogsRequest

if TYPE_CHECKING:
    from fetchml_cli.cli import Cli
    from fetchml_cli.remote.client import Client
    from fetchml_core.config.profile import Profile

TRIES = 5
"""How often a lost link is dialled again before the command gives up; the pauses are 1, 2, 4, 8, 16 s."""
HELD_S = 30.0
"""A link that held so long was a good one: its loss is the first of a new count."""


class Link:
    """The connection of a command that follows or waits, replaced when it breaks.

    Args:
        cli: The surroundings.
        profile: The host's.
        client: The first connection.
        again: The command that comes back, for the case that the link stays lost.
        goes_on: Says that nothing has happened to what runs.
    """

    def __init__(
        self, cli: Cli, profile: Profile, client: Client, *, again: str, goes_on: str = "the job goes on"
    ) -> None:
        self._cli = cli
        self._profile = profile
        self._again = again
        self._goes_on = goes_on
        self._tries = 0
        self._since = cli.clock.boot().seconds
        self.client = client

    def dial_again(self, error: UnreachableError) -> None:
        """Wait and connect; raise *error* or its successor when it was tried often enough."""
        self.client.close()
        if self._cli.clock.boot().seconds - self._since >= HELD_S:
            self._tries = 0
        while self._tries < TRIES:
            pause = 2**self._tries
            self._cli.note(f"{error.message}; {self._goes_on}, connecting again in {pause} s")
            self._cli.clock.sleep(pause)
            self._tries += 1
            try:
                self.client = connect(self._cli, self._profile)
            except UnreachableError as again:
                error = again
            else:
                self._since = self._cli.clock.boot().seconds
                return
        error.hint = f"{self._goes_on}: {self._again}"
        raise error


class LogPrinter:
    """Writes log bytes to stdout: filtered on a terminal, as they are with *raw* or into a pipe."""

    def __init__(self, cli: Cli, *, raw: bool = False) -> None:
        self._cli = cli
        self._filter = LogFilter(colour=cli.out.colour) if cli.out.tty and not raw else None

    def write(self, chunk: bytes) -> None:
        """Write a chunk at once."""
        if self._filter is None:
            self._cli.out.raw(chunk)
        else:
            self._cli.out.write(self._filter.feed(chunk))
        self._cli.out.flush()

    def close(self) -> None:
        """Write what was held back, and end any colour."""
        if self._filter is not None:
            self._cli.out.write(self._filter.close())
        self._cli.out.flush()


class Follower:
    """Follows one job over as many connections as it takes."""

    def __init__(
        self, cli: Cli, profile: Profile, job_id: int, *, raw: bool = False, quiet: bool = False
    ) -> None:
        self._cli = cli
        self._profile = profile
        self._id = job_id
        self._quiet = quiet
        self._printer = LogPrinter(cli, raw=raw)
        self._offset = 0
        self._attempt = 0
        self._told: tuple[State, str] | None = None

    def run(self, client: Client, *, tail: int | None = None) -> Job:
        """Follow to the end and return the job.

        Args:
            client: The first connection.
            tail: Start so many lines before the end.

        Raises:
            Detached: Ctrl-C.
            UnreachableError: the link stayed lost.
        """
        try:
            return self._follow(client, tail)
        except KeyboardInterrupt:
            again = f"ml logs -f {self._id}"
            stop = f"ml cancel {self._id}"
            raise Detached(
                f"\ndetached: job {self._id} goes on\n  {again}   comes back\n  {stop}   stops it"
            ) from None
        finally:
            self._printer.close()

    def _follow(self, client: Client, tail: int | None) -> Job:
        link = Link(self._cli, self._profile, client, again=f"ml logs -f {self._id}")
        while True:
            request = LogsRequest(
                str(self._id), attempt=self._attempt, offset=self._offset, tail=tail, follow=True
            )
            try:
                reply: LogsReply = link.client.call("logs", request, on_item=self._news, on_data=self._data)
            except UnreachableError as error:
                link.dial_again(error)
                tail = None if self._offset or self._attempt else tail
                continue
            link.client.close()
            return reply.job

    def _data(self, chunk: bytes) -> None:
        self._offset += len(chunk)
        self._printer.write(chunk)

    def _news(self, news: JobNews) -> None:
        job = news.job
        if news.log_at is not None:
            self._offset = news.log_at
            if news.dropped:
                self._printer.write(cut_mark(news.dropped))
            return
        if job.attempt is not None and job.attempt.number != self._attempt:
            if self._attempt:
                self._offset = 0
                self._cli.note(f"job {job.id}: attempt {job.attempt.number} begins")
            self._attempt = job.attempt.number
        told = (job.state, news.why)
        if told == self._told or self._quiet:
            return
        self._told = told
        line = describe(job, news.why)
        if line:
            self._cli.note(line)


def describe(job: Job, why: str) -> str:
    """Return the line that tells of a new state while following; empty where it says nothing new."""
    if job.state is State.QUEUED:
        return f"job {job.id} waits: {why}" if why and why != "starts next" else ""
    if job.state is State.RUNNING and job.attempt and job.attempt.launch:
        weak = weakness(job.attempt.launch)
        return f"job {job.id} runs on {job.attempt.worker}" + (f" ({weak})" if weak else "")
    if job.state is State.STOPPING and job.stop:
        return f"job {job.id} is being stopped" + (f": {job.stop.reason}" if job.stop.reason else "")
    return ""


def end_lines(job: Job) -> list[str]:
    """Return the lines that tell how *job* ended."""
    outcome = job.outcome
    why = outcome.reason if outcome and outcome.state is job.state else ending(job)
    lines = [f"job {job.id} {job.state.value}" + (f": {why}" if why else "")]
    if job.outcome and job.outcome.hint:
        lines.append(f"  hint  {job.outcome.hint}")
    if job.outcome and job.outcome.log_dropped:
        dropped, problem = job.outcome.log_dropped, job.outcome.log_problem
        lines.append(
            f"  note  {dropped} bytes of its log were dropped ({problem})"
            if problem
            else f"  note  {dropped} bytes in the middle of its log were dropped"
        )
    return lines
