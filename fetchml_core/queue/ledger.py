"""All jobs of a queue that keeps events, as the events so far have made them."""

from __future__ import annotations

from fetchml_core.jobs.job import Job, JobSpec

from .moves import Event, apply, same_or_refuse, submitted, unknown_job


class Ledger:
    """A fold over events, in their order."""

    def __init__(self) -> None:
        self.jobs: dict[int, Job] = {}
        self._keys: dict[tuple[str, str], int] = {}

    @property
    def next_id(self) -> int:
        """The id of the next job."""
        return next(reversed(self.jobs), 0) + 1

    def get(self, job_id: int) -> Job:
        """Return a job, or raise ``job-unknown``."""
        try:
            return self.jobs[job_id]
        except KeyError:
            raise unknown_job(job_id) from None

    def find_key(self, user: str, key: str, spec: JobSpec) -> Job | None:
        """Return the job that *user* submitted under *key*, or None; another *spec* is refused."""
        job_id = self._keys.get((user, key))
        return None if job_id is None else same_or_refuse(self.jobs[job_id], key, spec)

    def apply(self, event: Event) -> Job:
        """Take an event in and return the job it changed."""
        if event["e"] == "submit":
            job = submitted(event)
            self._keys[event["user"], event["key"]] = job.id
        else:
            job = apply(self.get(event["id"]), event)
        self.jobs[job.id] = job
        return job
