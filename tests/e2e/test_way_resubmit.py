"""A submission that broke on the way: nothing twice, nothing lost, and no second job."""

from __future__ import annotations

import signal

from tests.e2e.way import random_files
from tests.support.wait import poll_until

MB = 1 << 20


def test_upload_cut_in_the_middle(way):
    """A link that breaks during an upload leaves no job; submitting again sends only the rest, for one job."""
    host = way("fabric-process", network=True)
    host.submit("pass\n", folder="first")  # brings the agent
    random_files(host.ml.cwd / "tree", 16, MB // 2)
    script = host.script("print('whole')\n")
    host.proxy.cut_after(up=5 * MB)

    done = host.ml.fails(6, "submit", str(script))
    assert "ml submit" in done.stderr or "same command" in done.stderr, done.stderr
    assert [job["id"] for job in host.ml.json("status", "-a")["jobs"]] == [1]
    arrived, before = host.blob_bytes(), host.proxy.up
    job = int(host.ml.ok("submit", "-q", str(script)))

    assert arrived > MB
    assert host.proxy.up - before < 8 * MB - arrived + 100_000
    host.ml.ok("wait", str(job))
    assert host.ml.ok("logs", str(job)) == "whole\n"
    assert len(host.ml.json("status", "-a")["jobs"]) == 2


def _submits(host):
    """How many jobs were written to the queue."""
    return (host.data / "queue" / "journal").read_bytes().count(b'"e":"submit"')


def _cut_after_the_queue_has_it(host, submitting):
    """Cut once the host has queued the job: its answer waits for the worker that is being started."""
    before = _submits(host)
    poll_until(lambda: _submits(host) > before or submitting.poll() is not None, "a job is queued")
    host.proxy.cut()


def test_lost_answer_is_asked_for_again(way):
    """A link that breaks between the submit frame and its answer makes one job, and its id is still printed."""
    host = way("fabric-process", network=True)
    host.submit("pass\n", folder="first")
    host.ml.ok("wait", "1")
    host.end_worker()

    submitting = host.ml.start("submit", str(host.script("print('once')\n")))
    _cut_after_the_queue_has_it(host, submitting)
    out, err = submitting.communicate(timeout=60)

    assert submitting.returncode == 0, err
    assert "asking again for the same job" in err
    assert out.startswith("job 2 ")
    assert [job["id"] for job in host.ml.json("status", "-a")["jobs"]] == [1, 2]


def test_lost_answer_of_a_host_that_goes_away(way):
    """Where the host stays away for some seconds after the submit frame left, it is asked until it is back."""
    host = way("fabric-process")
    host.submit("pass\n", folder="first")
    host.ml.ok("wait", "1")
    host.end_worker()

    submitting = host.ml.start("submit", "-q", str(host.script("print('once')\n")))
    before = _submits(host)
    poll_until(lambda: _submits(host) > before or submitting.poll() is not None, "a job is queued")
    host.server.refuse()
    host.server.cut()
    assert submitting.stderr is not None
    assert "asking again for the same job" in submitting.stderr.readline()
    assert "asking again for the same job" in submitting.stderr.readline()
    host.server.restart()
    out, err = submitting.communicate(timeout=60)

    assert submitting.returncode == 0, err
    assert out == "2\n"
    assert len(host.ml.json("status", "-a")["jobs"]) == 2


def test_killed_submit_is_typed_again(way):
    """A client that dies between the submit frame and its answer: the same command again finds the same job."""
    host = way("fabric-process", network=True)
    host.submit("pass\n", folder="first")
    host.ml.ok("wait", "1")
    host.end_worker()
    script = str(host.script("print('once')\n"))

    submitting = host.ml.start("submit", script)
    before = _submits(host)
    poll_until(lambda: _submits(host) > before, "a job is queued")
    submitting.send_signal(signal.SIGKILL)
    submitting.communicate()

    assert host.ml.ok("submit", "-q", script) == "2\n"
    assert host.ml.ok("submit", "-q", script) == "3\n"  # that one was answered: a new wish, a new job


def test_the_same_job_several_times_at_once(way):
    """Equal submissions at the same time are several wishes, so several jobs; only a lost answer is asked for again."""
    host = way("local-process", max_workers=1)
    script = str(host.script("pass\n"))
    host.ml.ok("submit", script)
    submitting = [host.ml.start("submit", "-q", script) for _ in range(4)]
    told = [process.communicate(timeout=60)[0] for process in submitting]
    assert sorted(told) == ["2\n", "3\n", "4\n", "5\n"]
