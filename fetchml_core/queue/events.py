"""Events of a journal as JSON: whatever many processes read, begins with what all of them have to know.

Beside the events of `moves` a journal has these:

    e       fields
    base    n last line at [pause] history    the queue at a compaction: revision, highest id and line that were given, the
                                           time of the newest submit, what `history` holds; the jobs that live follow, and then this once more, as
                                           nothing could be told without it
    job     n id priority line user key    a whole job that lived at a compaction; ``n`` is its own revision, and all but
            state job                      ``key`` repeats what is in the job
    adopt   likewise                       a job that came from another queue; it counts as a change
    pause   pause n
    resume  n

Many processes read what one has written, and most of it never concerns them. So events begin with all that everybody has
to know, in a fixed order, and are parsed no further until somebody asks for the job:

    {"e":"submit","n":N,"id":ID,"priority":P,"line":LINE,"user":USER,"key":KEY,"at":AT,        see `submit_body`
    {"e":"job","n":N,"id":ID,"priority":P,"line":LINE,"user":USER,"key":KEY,"state":STATE,     see `job_body`
    {"e":KIND,"n":N,"id":ID,"state":STATE,        see `change_event`; STATE is the job's after it
"""

from __future__ import annotations

import json
import re

from fetchml_core.jobs.job import Job, JobSpec
from fetchml_core.jobs.states import State

from .journal_format import to_json
from .moves import Event, Record, fold, state_of

_STRING = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
NEW = re.compile(
    rb'\{"e":"(submit|job|adopt)","n":(\d+),"id":(\d+),"priority":(\d+),"line":([^,]+),'
    rb'"user":(%b,"key":%b),(?:"state":"([a-z-]+)"|"at":([^,]+))?' % (_STRING, _STRING)
)
WHO = re.compile(
    rb'"id":(\d+),"priority":\d+,"line":([^,]+),"user":(%b,"key":%b),"at":([^,]+),' % (_STRING, _STRING)
)
LAST = re.compile(rb'[0-9a-f]{8} \d+ \{"e":"[a-z]+","n":(\d+),"id"')
WEIGHTY = re.compile(rb' \{"e":"(?:base|job|adopt|pause|resume|beat)"')
"""Events that change more than a job, or that are not counted."""
CHANGE = re.compile(rb'\{"e":"[a-z]+","n":(\d+),"id":(\d+),"state":"([a-z-]+)",')
PRIORITY = JobSpec("", (), "").priority
STATES = {state.value.encode(): state for state in State}
UNCOUNTED = frozenset({"beat", "job"})


def names(user: str, key: str) -> bytes:
    """Return user and idempotency key as they stand in an event."""
    return f'{to_json(user)},"key":{to_json(key)}'.encode("ascii")


def submit_body(job: Job, who: bytes, spec_json: str) -> bytes:
    """Return the ``submit`` of a job as JSON, its beginning in the order that `Ledger.take` reads without parsing.

    Args:
        job: What is submitted.
        who: Its `names`.
        spec_json: Its spec as JSON: the jobs of an array may share one.
    """
    head = f'{{"e":"submit","n":{job.revision},"id":{job.id},"priority":{job.spec.priority},"line":{job.line!r},"user":'
    rest = f',"at":{job.submitted_at!r},"spec":{spec_json}}}'
    return head.encode("ascii") + who + rest.encode("ascii")


def job_body(kind: str, record: Record) -> bytes:
    """Return a ``job`` or an ``adopt`` as JSON, likewise.

    Args:
        kind: Which.
        record: The job, with its key.
    """
    line, priority = record.get("line", 0.0), record["spec"].get("priority", PRIORITY)
    head = (
        f'{{"e":"{kind}","n":{record["revision"]},"id":{record["id"]},"priority":{priority},"line":{line!r}'
    )
    who = f'"user":{to_json(record["user"])},"key":{to_json(record["key"])}'
    job = f'"state":"{state_of(record).value}","job":{to_json(bare(record))}'
    return f"{head},{who},{job}}}".encode("ascii")


_SUBMITTED = re.compile(
    rb'\{"e":"submit","n":\d+,("id":\d+),"priority":\d+,("line":[^,]+),("user":%b),"key":%b,"at":([^,]+),("spec":.*)\}\Z'
    % (_STRING, _STRING),
    re.DOTALL,
)


def accepted_body(body: bytes, revision: int) -> bytes:
    """Return the ``job`` of a ``submit`` that nothing has happened to since: the same as `job_body` would, unparsed."""
    parts = _SUBMITTED.match(body)
    if parts is None:
        return job_body("job", whole(json.loads(body)))
    job_id, line, user, at, spec = parts.groups()
    job = b'{%b,%b,%b,"submitted_at":%b,%b,"revision":%d}' % (job_id, user, spec, at, line, revision)
    return b'{"e":"job"%b"state":"queued","job":%b}' % (body[len(b'{"e":"submit"') : parts.start(4) - 5], job)


def change_event(event: Event, state: State) -> Event:
    """Return *event* with the state it leads to, in the order that `Ledger.take` reads."""
    return {"e": "", "n": 0, "id": 0, "state": state.value, **event}


def whole(event: Event) -> Record:
    """Return the record of a job that an event brings, with its key."""
    record: Record = fold(None, event) if event["e"] == "submit" else event["job"]
    return {**record, "key": event["key"]}


def bare(record: Record) -> Record:
    """Return the record of a job without the key beside."""
    return {name: value for name, value in record.items() if name != "key"}
