"""How an attempt ended, from what is known about it: the whole table."""

from __future__ import annotations

import itertools

import pytest
from attrs import evolve

from fetchml_core.errors import HostError, explain_os_error
from fetchml_core.hardware.inventory import Gpu
from fetchml_core.jobs.job import Attempt, Job, JobSpec, Outcome, Stop
from fetchml_core.jobs.states import State
from fetchml_core.launcher.record import ExitRecord
from fetchml_core.queue.base import Finished, Requeued
from fetchml_core.worker.outcome import (
    DATA,
    SETTLED,
    SPOILT,
    Payer,
    blamed,
    end_of,
    judge,
    payer_of,
    refused,
    time_limit_stop,
)

RECORD = ExitRecord(attempt=1, started=1.0, ended=2.0, code=0, log_bytes=10, log_dropped=3, max_rss=1 << 20)
EXIT_0 = RECORD
EXIT_3 = evolve(RECORD, code=3)
SEGV = evolve(RECORD, code=None, signal=11)
SIGNAL_40 = evolve(RECORD, code=None, signal=40)
KILLED = evolve(RECORD, code=None, signal=9)
OOM = evolve(RECORD, code=None, signal=9, oom=True)
NOT_FOUND = evolve(RECORD, code=127, error="nosuch: command not found")
BY_USER = Stop("anna", "typo")
SILENT = Stop("anna")
BY_TIME = time_limit_stop(90.0)


@pytest.mark.parametrize(
    ("record", "stop", "oom", "state", "failure", "reason"),
    [
        (EXIT_0, None, False, State.SUCCEEDED, "", ""),
        (EXIT_0, None, True, State.SUCCEEDED, "", ""),
        (EXIT_3, None, False, State.FAILED, "code", "exit 3"),
        (NOT_FOUND, None, False, State.FAILED, "code", "nosuch: command not found"),
        (SEGV, None, False, State.FAILED, "code", "killed by SIGSEGV"),
        (SIGNAL_40, None, False, State.FAILED, "code", "killed by signal 40"),
        (KILLED, None, False, State.FAILED, "unknown", "killed by SIGKILL"),
        (KILLED, BY_USER, False, State.CANCELLED, "", "by anna: typo"),
        (OOM, None, False, State.FAILED, "resource", "out of memory (its largest process had 1.0 MiB)"),
        (
            evolve(OOM, max_rss=None),
            None,
            False,
            State.FAILED,
            "resource",
            "out of memory",
        ),
        (None, None, False, State.LOST, "infrastructure", "it vanished without an exit record"),
        (None, None, True, State.FAILED, "resource", "out of memory; the kernel killed the whole container"),
        (None, BY_USER, False, State.CANCELLED, "", "by anna: typo"),
        (None, BY_USER, True, State.CANCELLED, "", "by anna: typo"),
        (None, BY_TIME, False, State.TIMED_OUT, "", "its time limit of 1m30s ran out"),
        (EXIT_0, BY_USER, False, State.CANCELLED, "", "by anna: typo"),
        (EXIT_3, SILENT, False, State.CANCELLED, "", "by anna"),
        (SEGV, BY_TIME, False, State.TIMED_OUT, "", "its time limit of 1m30s ran out"),
        (OOM, BY_USER, False, State.CANCELLED, "", "by anna: typo"),
    ],
)
def test_judge(record, stop, oom, state, failure, reason):
    """State, class of failure and the line for people."""
    outcome = judge(record, stop, image="python:3", log_tail=b"", oom=oom)

    assert (outcome.state, outcome.failure, outcome.reason) == (state, failure, reason)


@pytest.mark.parametrize(
    ("record", "stop"),
    list(itertools.product([EXIT_0, EXIT_3, SEGV, OOM, NOT_FOUND], [None, BY_USER, BY_TIME])),
)
def test_the_true_end_is_recorded_whatever_the_verdict(record, stop):
    """Code, signal, memory and log sizes are the record's, also of a job that was stopped."""
    outcome = judge(record, stop, image="", log_tail=b"")

    assert (outcome.code, outcome.signal, outcome.oom) == (record.code, record.signal, bool(record.oom))
    assert (outcome.log_bytes, outcome.log_dropped, outcome.max_rss) == (10, 3, 1 << 20)
    assert outcome.state.final


def test_a_record_that_the_job_could_forge_never_grants_a_retry():
    """Only the lack of a record is a lost attempt."""
    for record in (EXIT_0, EXIT_3, SEGV, OOM, NOT_FOUND):
        assert judge(record, None).state is not State.LOST


@pytest.mark.parametrize(
    ("tail", "image", "hint"),
    [
        (b"ModuleNotFoundError: No module named 'torch'\n", "img:1", "the image img:1 has no torch"),
        (b"ModuleNotFoundError: No module named 'torch.nn'\n", "", "the host's python3 has no torch"),
        (b"No module named 'a'\nModuleNotFoundError: No module named 'b'\n", "", "has no b"),
        (
            b"ModuleNotFoundError: No module named 'a'\nModuleNotFoundError: No module named 'b'",
            "",
            "has no b",
        ),
        (b"ModuleNotFoundError: No module named '\x1b[2J'\n", "", ""),
        (b"KeyError: 1\n", "", ""),
        (b"", "", ""),
    ],
)
def test_a_missing_library_is_named_with_the_way_out(tail, image, hint):
    """The commonest failure tells which image or host lacks what."""
    found = judge(EXIT_3, None, image=image, log_tail=tail).hint

    assert hint in found
    assert bool(found) == bool(hint)


@pytest.mark.parametrize("record", [EXIT_0, SEGV])
def test_the_hint_is_for_a_failing_exit_only(record):
    """A job that succeeded, or died by a signal, printed the words for another reason."""
    assert judge(record, None, log_tail=b"ModuleNotFoundError: No module named 'torch'").hint == ""


def test_out_of_memory_tells_what_to_type():
    """Both ways of learning of it."""
    assert "--memory" in judge(OOM, None).hint
    assert "--memory" in judge(None, None, oom=True).hint


def test_out_of_memory_tells_the_limit():
    """Both ways of learning of it."""
    (one, two) = judge(OOM, None, memory=64 << 20), judge(None, None, oom=True, memory=64 << 20)

    assert one.reason == "out of memory: it was given 64.0 MiB (its largest process had 1.0 MiB)"
    assert two.reason == "out of memory: it was given 64.0 MiB; the kernel killed the whole container"


def test_what_could_not_be_started_keeps_its_error():
    """The code, the offending value on one line, and what to type."""
    outcome = refused(HostError("image-missing", "no such image", context="a:\n  b", hint="podman pull a"))

    assert outcome == Outcome(
        State.FAILED,
        "no such image (a: b)",
        failure="infrastructure",
        hint="podman pull a",
        error="image-missing",
    )
    assert refused(HostError("x", "plain")).reason == "plain"


def test_a_full_disk_at_the_start_is_told_for_a_job():
    """Its words are not those of a command that was refused."""
    outcome = refused(explain_os_error(OSError(28, "No space left on device"), "start the job"))

    assert outcome.reason == "no space left to start the job"
    assert "submit it again" in outcome.hint


@pytest.mark.parametrize(
    ("codes", "before_the_go", "after_it"),
    [
        (sorted(DATA), "data", "data"),
        (sorted(SPOILT), "unknown", "unknown"),
        (sorted(SETTLED - {"gpu-not-available"}), "infrastructure", "unknown"),
        (["gpu-not-usable", "gpu-lost"], "infrastructure", "infrastructure"),
        (["disk-full", "podman-failed", "image-missing", "queue-unreachable"], "infrastructure", "unknown"),
    ],
)
def test_the_class_of_what_could_not_be_started(codes, before_the_go, after_it):
    """By the code of the error; after the go the job itself may be behind it."""
    for code in codes:
        assert refused(HostError(code, "x")).failure == before_the_go
        assert refused(HostError(code, "x"), launched=True).failure == after_it


LOST_GPU = Gpu("g1", "nvidia", 1, problem="GPU is lost")


@pytest.mark.parametrize(
    ("before", "bad", "failure", "error", "gpus"),
    [
        (refused(HostError("gpu-not-usable", "x")), (), "infrastructure", "gpu-not-usable", ("g0", "g1")),
        (refused(HostError("gpu-not-usable", "x")), (LOST_GPU,), "infrastructure", "gpu-not-usable", ("g1",)),
        (refused(HostError("gpu-not-available", "x")), (), "infrastructure", "gpu-not-available", ()),
        (judge(EXIT_3, None), (), "code", "", ()),
        (judge(EXIT_3, None), (LOST_GPU,), "infrastructure", "gpu-lost", ("g1",)),
        (judge(KILLED, None), (LOST_GPU,), "infrastructure", "gpu-lost", ("g1",)),
        (judge(OOM, None), (LOST_GPU,), "resource", "", ()),
        (judge(EXIT_0, None), (LOST_GPU,), "", "", ()),
        (judge(EXIT_3, BY_USER), (LOST_GPU,), "", "", ()),
        (judge(None, None), (LOST_GPU,), "infrastructure", "", ("g1",)),
    ],
)
def test_which_gpus_failed(before, bad, failure, error, gpus):
    """A card that the driver gives up excuses a program that failed; nothing else does, and no other end is touched."""
    found = blamed(before, ("g0", "g1"), bad)

    assert (found.failure, found.error, found.gpus) == (failure, error, gpus)
    assert (found.state, found.code, found.signal) == (before.state, before.code, before.signal)
    assert (payer_of(found) is Payer.HOST) == (
        found.failure == "infrastructure" and error != "gpu-not-available"
    )


def outcome(state=State.FAILED, failure="", error=""):
    """An outcome of which only the class counts."""
    return Outcome(state, failure=failure, error=error)


FAILURES = ("", "code", "data", "infrastructure", "resource", "unknown")
ERRORS = ("", "disk-full", "gpu-lost", "image-missing", "bad-limit", "seccomp-profile-weak", *sorted(SETTLED))
ENDED = (State.SUCCEEDED, State.CANCELLED, State.TIMED_OUT)


@pytest.mark.parametrize(("state", "failure", "error"), list(itertools.product(ENDED, FAILURES, ERRORS)))
def test_success_and_a_wish_are_never_tried_again(state, failure, error):
    """Whatever else is said of it: a cancelled job stays cancelled, the time limit counts once."""
    assert payer_of(outcome(state, failure, error)) is Payer.NOBODY


@pytest.mark.parametrize(("failure", "error"), list(itertools.product(FAILURES, ERRORS)))
def test_a_lost_attempt_is_the_hosts(failure, error):
    """Whatever a worker before this one wrote beside it."""
    assert payer_of(outcome(State.LOST, failure, error)) is Payer.HOST


@pytest.mark.parametrize(("failure", "error"), list(itertools.product(FAILURES, ERRORS)))
def test_who_pays_for_a_failure(failure, error):
    """The whole table: a GPU fault and infrastructure the host, the program and the unknown the job, else nobody."""
    payer = payer_of(outcome(State.FAILED, failure, error))

    if error == "gpu-lost":
        assert payer is Payer.HOST
    elif error not in {"", "disk-full"}:
        assert payer is Payer.NOBODY
    else:
        paid = {"infrastructure": Payer.HOST, "code": Payer.JOB, "unknown": Payer.JOB}
        assert payer is paid.get(failure, Payer.NOBODY)


LOST = Outcome(State.LOST)
EXIT = outcome(failure="code")
FULL = outcome(failure="infrastructure", error="disk-full")
OUT_OF_MEMORY = outcome(failure="resource")


def tried(*before, retries=0):
    """A job that was tried with these outcomes, and runs again."""
    attempts = [Attempt(n, "box1", 0.0, outcome=one, ended_at=1.0) for n, one in enumerate(before, 1)]
    attempts.append(Attempt(len(before) + 1, "box1", 2.0))
    return Job(1, "anna", JobSpec("x", ("true",), "", retries=retries), 0.0, State.RUNNING, tuple(attempts))


@pytest.mark.parametrize(
    ("before", "now", "again"),
    [
        ((), LOST, True),
        ((LOST, LOST), LOST, True),
        ((LOST, FULL, LOST), LOST, False),
        ((EXIT, EXIT), LOST, True),
        ((LOST, FULL), FULL, True),
        ((LOST, FULL, FULL), FULL, False),
        ((), EXIT, True),
        ((EXIT,), EXIT, True),
        ((EXIT, EXIT), EXIT, False),
        ((LOST, LOST, LOST), EXIT, True),
        ((), OUT_OF_MEMORY, False),
    ],
)
def test_each_payer_has_tries_of_its_own(before, now, again):
    """Three of the host, two of the job: what the one has used up is not taken from the other."""
    assert end_of(tried(*before, retries=2), now, 3) == (Requeued(now) if again else Finished(now))


@pytest.mark.parametrize("now", [LOST, FULL, EXIT])
def test_without_retries_the_first_failure_is_the_last(now):
    """Zero is the number of further tries."""
    assert end_of(tried(), now, 0) == Finished(now)


def test_an_attempt_that_was_given_back_is_no_try():
    """It ended without an outcome: nothing ran, so it costs the job none of its retries."""
    assert end_of(tried(None, None, None), LOST, 1) == Requeued(LOST)


def test_the_time_limit_is_the_workers_own_wish():
    """It says so, and is told from a person's."""
    assert BY_TIME.timed_out
    assert BY_TIME.by == "worker"
