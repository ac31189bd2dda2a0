"""Exit statuses a script builds on: ``wait``, ``--wait``, ``-f``, ``logs -f`` and ``--exit-status job``."""

from __future__ import annotations

import pytest

ENDS = {
    "succeeds": ("pass\n", 0, 0),
    "fails": ("sys.exit(3)\n", 1, 3),
    "crashes": ("os.kill(os.getpid(), 11)\n", 1, 139),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("how", ["--wait", "-f", "wait", "logs"])
def test_how_it_ended(way, end, how):
    """Every way to wait for a job gives 0 for success and 1 for failure, and with ``--exit-status job`` its own."""
    text, status, own = ENDS[end]
    host = way("local-process")
    script = str(host.script(text))
    for words, expected in (((), status), (("--exit-status", "job"), own)):
        if how.startswith("-"):
            done = host.ml.fails(expected, "submit", how, script, *words)
        else:
            job = host.submit(text)
            verb = ["logs", "-f"] if how == "logs" else ["wait"]
            done = host.ml.fails(expected, *verb, str(job), *words)
        assert f"{'succeeded' if end == 'succeeds' else 'failed'}" in done.stderr


def test_exit_status_in_a_container(way):
    """The container's own layers change nothing: exit 3 is 3, a SIGSEGV is 139."""
    host = way("local-rootful")
    for name in ("fails", "crashes"):
        text, _, own = ENDS[name]
        host.ml.fails(own, "submit", "-f", str(host.script(text)), "--exit-status", "job")


@pytest.mark.parametrize("pair", ["local-process", "local-rootful"])
def test_time_limit(way, pair):
    """``--time`` ends a job by the one path: told by signal and stop file, then timed-out, exit status 8."""
    host = way(pair, graceful_timeout="5s")
    text = """
        import signal
        def told(*_):
            print("reason:", open(os.environ["FETCHML_STOP_FILE"]).read().strip())
            sys.exit(0)
        signal.signal(signal.SIGTERM, told)
        print("started")
        gate()
    """
    script = str(host.script(text))
    done = host.ml.fails(8, "submit", "-f", script, "--time", "1s")
    assert done.stdout.splitlines()[-2:] == ["started", "reason: its time limit of 1s ran out"]
    shown = host.show(1)["job"]
    assert (shown["state"], shown["stop"]["timed_out"]) == ("timed-out", True)
    assert shown["attempts"][0]["outcome"]["code"] == 0
    host.ml.fails(8, "wait", "1")


def test_wait_for_several(way):
    """Of several jobs the first of 1, 8, 7 and 9 counts, and a wait that runs out changes no job."""
    host = way("local-process", max_workers=4, graceful_timeout="1s")
    succeeds = str(host.submit("pass\n"))
    fails = str(host.submit("sys.exit(1)\n"))
    slow = str(host.submit("gate()\n", "--time", "1s"))
    cancelled = str(host.submit("gate()\n"))
    host.ml.ok("cancel", cancelled)

    host.ml.fails(0, "wait", succeeds)
    host.ml.fails(7, "wait", succeeds, cancelled)
    host.ml.fails(8, "wait", succeeds, cancelled, slow)
    host.ml.fails(1, "wait", cancelled, slow, fails)
    host.ml.fails(1, "wait", f"{succeeds}-{cancelled}")

    running = str(host.submit("gate()\n"))
    done = host.ml.fails(9, "wait", running, "--timeout", "500ms")
    assert done.stdout == ""
    assert host.state(int(running)) == "running"
    host.open(int(running))
    host.ml.fails(0, "wait", running)


def test_unknown_jobs(way):
    """A word that names no job is 5 for every verb, and says what does name one."""
    host = way("local-process")
    host.submit("pass\n")
    for words in (["show", "7"], ["wait", "7"], ["logs", "seven"], ["cancel", "1", "7"], ["pull", "name:x*"]):
        done = host.ml.fails(5, *words)
        assert "ml status -a" in done.stderr
