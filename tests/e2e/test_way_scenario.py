"""The whole way of a job, the same scenario over every pair of transport and launcher."""

from __future__ import annotations

import shutil
import stat

import pytest

from tests.e2e.way import PAIRS

TRAINING = """
    print("begin", *sys.argv[1:])
    os.umask(0o077)
    deep = os.path.join(os.environ["FETCHML_RESULTS"], "deep", "er")
    os.makedirs(deep)
    with open(os.path.join(deep, "model.bin"), "wb") as file:
        file.write(bytes(range(256)) * 4000)
    for step in range(3):
        print("FETCHML_METRIC loss=%g acc=0.5 step=%d" % (1 / (step + 1), step))
    gate()
    with open("scratch.txt", "w") as file:
        file.write("written outside the results folder")
    print("end")
"""


@pytest.mark.parametrize("pair", PAIRS)
def test_way(way, pair):
    """Submit, status, logs -f, show, wait, cancel, pull: each says what is true, and the results come back."""
    host = way(pair)
    job = host.submit(TRAINING, "--", "a", "-b")
    other = host.submit("gate()\n", folder="other")
    host.until_prints(job, "step=2")

    _status(host, job, other)
    _logs(host, job)
    _show(host, job)
    assert host.ml.run("cancel", str(other)).returncode == 0
    assert host.ml.run("wait", str(other)).returncode == 7
    _pull(host, job)


def _status(host, job, other):
    listed = host.ml.json("status")
    states = {entry["id"]: entry["state"] for entry in listed["jobs"]}
    assert states[job] == "running"
    assert states[other] in {"queued", "starting", "running"}
    assert listed["worker"]["alive"]
    rows = [line.split("\t") for line in host.ml.ok("status").splitlines()]
    assert [row[0] for row in rows] == [str(job), str(other)]


def _logs(host, job):
    following = host.ml.start("logs", "-f", str(job))
    host.open(job)
    out, err = following.communicate(timeout=60)
    lines = [f"FETCHML_METRIC loss={1 / (step + 1):g} acc=0.5 step={step}" for step in range(3)]
    assert out.splitlines() == ["begin a -b", *lines, "end"]
    assert following.returncode == 0, err
    assert host.ml.ok("wait", str(job)) == ""


def _show(host, job):
    shown = host.show(job)
    told = shown["job"]
    (attempt,) = told["attempts"]
    assert told["state"] == "succeeded"
    assert told["command"] == ["python3", "-u", "train.py", "a", "-b"]
    assert shown["metrics"] == {"loss": {"value": 0.333333, "step": 2}, "acc": {"value": 0.5, "step": 2}}
    assert attempt["outcome"]["code"] == 0
    assert attempt["outcome"]["written_outside"] == ["scratch.txt"]
    assert attempt["launcher"] == ("podman" if host.contained else "process")
    assert ("seccomp" in attempt["enforced"]) == host.contained
    assert ("sandbox" in attempt["not_enforced"]) != host.contained
    assert ("memory" in attempt["enforced"]) == (host.launcher == "rootful")
    assert "state" in host.ml.ok("show", str(job))


def _pull(host, job):
    folder = host.ml.cwd / "fetched"
    told = host.ml.json("pull", str(job), str(folder))
    assert [file["path"] for file in told["files"]] == ["deep/er/model.bin"]
    assert (folder / "deep/er/model.bin").read_bytes() == bytes(range(256)) * 4000
    assert host.ml.json("pull", str(job), str(folder))["fetched"] == 0

    # what the job wrote as 0600 in 0700 is the account's now: it can read and remove it
    owner = host.base.stat()
    below = [*host.attempt(job).rglob("*")]
    assert {(path.stat().st_uid, path.stat().st_gid) for path in below} == {(owner.st_uid, owner.st_gid)}
    assert all(path.stat().st_mode & stat.S_IRUSR for path in below)
    if host.account:
        host.account.run(["rm", "-r", str(host.attempt(job))])
    else:
        shutil.rmtree(host.attempt(job))
