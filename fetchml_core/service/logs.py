"""What a job printed, from any byte on, followed until it ends."""

from __future__ import annotations

from pathlib import Path

from fetchml_core.jobs.job import Job
from fetchml_core.launcher.log import log_end, read_log
from fetchml_core.wire.jobs import JobNews
from fetchml_core.wire.output import LogsReply, LogsRequest
from fetchml_core.wire.session import CHUNK
from fetchml_core.wire.worker import WorkerInfo

from .blockers import RETRIES
from .context import Context
from .front import front
from .heal import heal
from .news import Every, QueueNews
from .select import select_one
from .why import why
from .worker_info import worker_info

POLL_S = 0.02
"""How often a followed log is looked at: a stat and a read, no fork; half a hundredth of a CPU per follower."""
NEWS_S = 1.0
"""How often the reason to wait is worked out anew: a worker's death changes it, and not the queue."""
HEALING_S = 10.0
"""How often a worker that has died, or could not be started, is started again."""
MAX_TAIL = 8 << 20
_FARTHEST = 1 << 62


def run(context: Context, request: LogsRequest) -> LogsReply:
    """See the module."""
    queue = context.host.queue
    job = select_one(context, request.select)
    follower = _Follower(context, request)
    healing, telling = Every(context, HEALING_S), Every(context, NEWS_S)
    with QueueNews(context, POLL_S) as news:
        while True:
            if healing.due():
                follower.heal(job)
            # both are asked: what has come is forgotten by that, and told now
            if news.come() | telling.due():
                job = queue.get(job.id)
                follower.tell(job)
            more = follower.send(job)
            if job.state.final or not request.follow:
                if not more:
                    follower.tell_rest(job)
                    return follower.reply(job)
            elif not more and news.gone(POLL_S if job.state.active else NEWS_S):
                return follower.reply(job)


class _Follower:
    """Where one client is in one job's log."""

    def __init__(self, context: Context, request: LogsRequest) -> None:
        self._context = context
        self._request = request
        self._told: object = None
        self._attempt = 0
        self._offset = 0
        self._fresh = False
        self._control: Path | None = None
        self._worker = WorkerInfo(False)

    def heal(self, job: Job) -> None:
        """See that a worker is there, and remember why not."""
        self._worker = heal(self._context.host, [job])

    def tell(self, job: Job) -> None:
        """Send news when the job's state, attempt or reason to wait has changed."""
        host = self._context.host
        reason = ""
        if not job.state.final and not job.state.active:
            worker = worker_info(host)
            if not worker.alive and not self._worker.alive:
                worker = self._worker
            reason = why(host, front(host.queue), worker, [job]).get(job.id, "")
            reason += f"; {worker.hint}" if worker.hint else ""
        # that a second less is left until its next try is no news
        news = (job.state, len(job.attempts), RETRIES if reason.startswith(RETRIES) else reason)
        if news != self._told:
            self._told = news
            self._context.talk.item(JobNews(job, reason))

    def send(self, job: Job) -> bool:
        """Send what is new; say whether there may be more at once."""
        if job.attempt is None:
            return False
        if job.attempt.number != self._attempt:
            self._open(
                job.attempt.number, self._context.host.data.attempt(job.id, job.attempt.number).control
            )
        if self._control is None:
            return False
        chunk = read_log(self._control, self._offset, CHUNK)
        if not chunk.data:
            return False
        if chunk.dropped or self._fresh:
            self._fresh = False
            self._context.talk.item(JobNews(job, dropped=chunk.dropped, log_at=chunk.offset))
        self._context.talk.data(chunk.data)
        self._offset = chunk.next
        return True

    def tell_rest(self, job: Job) -> None:
        """Say what is missing at the end of a job's log: a disk that stayed full took no more of it."""
        missing = job.outcome.log_bytes - self._offset if job.outcome and job.state.final else 0
        if job.attempt is not None and job.attempt.number == self._attempt and missing > 0:
            self._offset += missing
            self._context.talk.item(JobNews(job, dropped=missing, log_at=self._offset))

    def _open(self, attempt: int, control: Path) -> None:
        """Go to the newest attempt: to the offset where it is the one meant, to the tail where it is the first met."""
        request, first = self._request, self._attempt == 0
        self._attempt = attempt
        self._control = control
        self._fresh = True
        self._offset = min(max(0, request.offset), _FARTHEST) if attempt == request.attempt else 0
        if first and not self._offset and request.tail is not None:
            self._offset = tail_offset(control, request.tail)

    def reply(self, job: Job) -> LogsReply:
        """Return where it ended."""
        return LogsReply(job, self._offset, job.outcome.log_dropped if job.outcome else 0)


def tail_offset(control: Path, lines: int) -> int:
    """Return where the last *lines* lines of the log begin, as far as `MAX_TAIL` bytes reach back."""
    end = log_end(control)
    if lines <= 0:
        return end
    begin = max(0, end - MAX_TAIL)
    pieces: list[bytes] = []
    offset = begin
    while offset < end and (chunk := read_log(control, offset, CHUNK)).data:
        if chunk.dropped:
            pieces, begin = [], chunk.offset
        pieces.append(chunk.data)
        offset = chunk.next
    data = b"".join(pieces)
    cut = len(data) - 1 if data.endswith(b"\n") else len(data)
    for _ in range(lines):
        cut = data.rfind(b"\n", 0, cut)
        if cut < 0:
            return begin
    return begin + cut + 1
