"""Find the jobs that a request names."""

from __future__ import annotations

from collections.abc import Iterable

from fetchml_core.errors import InputError
from fetchml_core.jobs.job import Job
from fetchml_core.jobs.selectors import choose, parse_selector

from .context import Context


def select_jobs(context: Context, words: Iterable[str]) -> list[Job]:
    """Return the jobs that *words* name, each once; raise ``job-unknown`` for a word that names none."""
    return choose([parse_selector(word) for word in words], context.host.queue.jobs(), context.identity.user)


def select_one(context: Context, word: str) -> Job:
    """Return the one job that *word* names."""
    jobs = select_jobs(context, [word])
    if len(jobs) > 1:
        raise InputError(
            "several-jobs",
            f"{len(jobs)} jobs match, one is wanted",
            context=word,
            hint=f"name one: {jobs[-1].id}",
        )
    return jobs[0]
