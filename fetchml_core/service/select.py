"""Find the jobs that a request names, without reading the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fetchml_core.errors import HostError, InputError, NotFoundError
from fetchml_core.jobs.job import Job
from fetchml_core.jobs.selectors import Selector, parse_selector, unknown
from fetchml_core.queue.base import Filter, Queue
from fetchml_core.wire.jobs import MAX_JOBS

from .context import Context


def select_jobs(context: Context, words: Iterable[str]) -> list[Job]:
    """Return the jobs that *words* name, each once, in the order asked.

    Raises:
        NotFoundError: ``job-unknown`` for the first word that names none.
        InputError: ``too-many-jobs``: more than one answer holds.
    """
    chosen: dict[int, Job] = {}
    for selector in [parse_selector(word) for word in words]:
        found = _find(context.host.queue, selector, context.identity.user)
        if not found:
            raise unknown(selector.word)
        chosen.update((job.id, job) for job in found)
        if len(chosen) > MAX_JOBS:
            raise InputError(
                "too-many-jobs",
                f"more than {MAX_JOBS} jobs match",
                context=selector.word,
                hint="name fewer at a time: 40-44, or a narrower name:PATTERN",
            )
    return list(chosen.values())


def select_one(context: Context, word: str, *, anywhere: bool = False) -> Job:
    """Return the one job that *word* names.

    Args:
        context: The request.
        word: What was typed.
        anywhere: It may be a job of another host that shares the queue, whose files are not here.

    Raises:
        InputError: ``several-jobs``.
        HostError: ``elsewhere``.
    """
    jobs = select_jobs(context, [word])
    if len(jobs) > 1:
        raise InputError(
            "several-jobs",
            f"{len(jobs)} jobs match, one is wanted",
            context=word,
            hint=f"name one: {jobs[-1].id}",
        )
    if not anywhere and jobs[0].home != context.host.queue.home:
        raise HostError(
            "elsewhere",
            f"job {jobs[0].id} belongs to another host of this queue: its log and results lie there",
            context=jobs[0].home,
            hint="ask that host: --profile NAME",
        )
    return jobs[0]


def _find(queue: Queue, selector: Selector, user: str) -> Sequence[Job]:
    if selector.ids is not None:
        return _numbered(queue, selector.ids)
    if selector.back is not None:
        return queue.jobs(Filter(user=user), newest=True, limit=selector.back + 1)[selector.back :]
    return queue.jobs(Filter(name=selector.name or ""), limit=MAX_JOBS + 1)


def _numbered(queue: Queue, ids: range) -> Sequence[Job]:
    if len(ids) > 1:
        return [job for job in queue.jobs(after=max(0, ids[0] - 1), limit=len(ids)) if job.id in ids]
    try:
        return [queue.get(ids[0])]
    except NotFoundError:
        return []
