"""What travels, what is queued and what a job finds around it, as a user sees them."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.e2e.way import random_files
from tests.support.require import need

MB = 1 << 20
PRINT_ENV = 'import json\nprint(json.dumps(dict(os.environ)))\nprint(os.getcwd(), end="")\n'


def test_unchanged_tree_sends_no_file(way):
    """A second submit of the same tree sends some kilobytes of questions and not one file."""
    host = way("fabric-process", network=True)
    random_files(host.ml.cwd / "tree", 3, MB)
    host.submit("print(1)\n")
    first, stored = host.proxy.up, host.blobs()
    assert first > 3 * MB

    host.submit("print(1)\n")

    assert host.proxy.up - first < 60_000
    assert host.blobs() == stored


def test_changed_file_travels_alone(way):
    """Where one file of a tree has changed, only that one is sent."""
    host = way("fabric-process", network=True)
    random_files(host.ml.cwd / "tree", 3, MB)
    host.submit("print(1)\n")
    first, stored = host.proxy.up, host.blobs()

    host.submit("print(2)\n")

    assert host.proxy.up - first < 60_000
    assert len(host.blobs() - stored) == 2  # the script and the manifest


def test_edited_after_submit(way):
    """A job runs the bytes that were there at submit, whatever happens to the tree while it waits."""
    host = way("local-process", max_workers=1)
    first = host.submit("gate()\n", folder="busy")
    job = host.submit('import helper\nprint("old script,", helper.TEXT)\n')
    (host.ml.cwd / "tree" / "helper.py").unlink(missing_ok=True)
    script = host.script('TEXT = "old helper"\n', "helper.py")
    again = host.submit('import helper\nprint("old script,", helper.TEXT)\n')
    host.script('print("new script")\n')
    script.write_text('TEXT = "new helper"\n', "utf-8")
    host.open(first)

    assert host.ml.run("wait", str(job)).returncode == 1
    assert host.ml.run("wait", str(again)).returncode == 0
    assert host.ml.ok("logs", str(again)) == "old script, old helper\n"
    assert host.state(job) == "failed"  # the helper was not there yet


@pytest.mark.parametrize("pair", ["local-process", "local-rootful", "local-rootless"])
def test_environment(way, pair):
    """A job's environment is complete and exact: nothing of the client's or the worker's reaches it."""
    host = way(pair)
    host.ml.env["SECRET_OF_THE_CLIENT"] = "x"
    job = host.submit(PRINT_ENV, "--env", "ALPHA=1", "--env", "SPACED= a=b 'c' ")
    host.ml.ok("wait", str(job))

    printed, _, cwd = host.ml.ok("logs", str(job)).partition("\n")
    env = json.loads(printed)
    inside = {"workspace": "/workspace", "results": "/results", "home": "/tmp", "checkpoint": "/checkpoint"}
    inside["stop"] = "/run/fetchml/stop"
    if not host.contained:
        inside = {name: str(host.attempt(job) / name) for name in ("workspace", "results", "home")}
        inside |= {"checkpoint": str(host.data / "jobs" / str(job) / "checkpoint")}
        inside |= {"stop": str(host.attempt(job) / "control" / "stop")}
    path = env.pop("PATH")
    hidden = {} if host.contained else {"CUDA_VISIBLE_DEVICES": "", "ROCR_VISIBLE_DEVICES": ""}
    assert env == hidden | {
        "HOME": inside["home"],
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "FETCHML_JOB_ID": str(job),
        "FETCHML_ATTEMPT": "1",
        "FETCHML_WORKSPACE": inside["workspace"],
        "FETCHML_RESULTS": inside["results"],
        "FETCHML_CHECKPOINT_DIR": inside["checkpoint"],
        "FETCHML_STOP_FILE": inside["stop"],
        "ALPHA": "1",
        "SPACED": " a=b 'c' ",
    }
    assert path == (
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        if host.contained
        else host.ml.env["PATH"]
    )
    assert cwd == inside["workspace"]


def test_values_stay_private(way):
    """``show`` tells the names of a job's variables, never their values."""
    host = way("local-process")
    job = host.submit("pass\n", "--env", "TOKEN=correct-horse")
    shown = host.ml.ok("show", str(job)) + host.ml.ok("show", str(job), "--json")
    assert "TOKEN" in shown
    assert "correct-horse" not in shown


def test_git_facts_and_start_folder(way):
    """Commit, branch and dirty flag are recorded, and the job starts where ``ml`` was called in the work tree."""
    need("git")
    host = way("local-process")
    script = host.script("import top_marker\n" + PRINT_ENV, "run.py", folder="repo/part")
    (script.parent / "top_marker.py").touch()
    repo = script.parents[1]
    git = ["git", "-C", str(repo), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    for words in (["init", "-q", "-b", "trunk"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *words], check=True, env=host.ml.env)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    host.ml.cwd = script.parent

    clean = host.ml.json("submit", "run.py", "--wait")["job"]
    (script.parent / "top_marker.py").write_text("x = 1\n", "utf-8")
    dirty = host.ml.json("submit", "run.py", "--wait")["job"]

    assert clean["snapshot"]["git"] == {"commit": commit.stdout.strip(), "branch": "trunk", "dirty": False}
    assert dirty["snapshot"]["git"]["dirty"] is True
    assert host.ml.ok("logs", str(clean["id"])).endswith("/workspace/part")


def test_dry_run_changes_nothing(way):
    """``--dry-run`` tells what would travel, reaches no host and writes nothing there."""
    host = way("local-process")
    random_files(host.ml.cwd / "tree", 2, 1000)
    script = host.script("pass\n")

    told = json.loads(host.ml.ok("submit", str(script), "--dry-run", "--json", "--", "--lr", "0.1"))

    assert (told["files"], told["command"]) == (3, ["python3", "-u", "train.py", "--lr", "0.1"])
    assert told["bytes"] == 2000 + script.stat().st_size
    assert {entry["path"] for entry in told["biggest"]} >= {"data-00.bin", "data-01.bin"}
    assert "data-00.bin" in host.ml.ok("submit", str(script), "--dry-run")
    assert not host.base.exists()
    assert not (host.ml.home.path / ".ml" / "cache").exists()


def test_quiet_prints_the_id_alone(way):
    """``-q`` prints one line with the id on stdout and nothing on stderr, in a container too."""
    host = way("local-rootful")
    done = host.ml.fails(0, "submit", "-q", str(host.script("pass\n")))
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_json_shapes(way):
    """Every verb with ``--json`` prints one object with a schema version and the same keys for a job."""
    host = way("local-process")
    submitted = host.ml.json("submit", str(host.script("gate()\n")))
    cancelled = host.ml.json("cancel", "1")
    answers = {
        "submit": submitted,
        "cancel": cancelled,
        "wait": json.loads(host.ml.run("wait", "1", "--json").stdout),
        "status": host.ml.json("status", "-a"),
        "show": host.ml.json("show", "1"),
        "pull": host.ml.json("pull", "1"),
    }
    keys = {
        "submit": {"job", "ahead", "worker"},
        "cancel": {"jobs", "ended_before"},
        "wait": {"jobs"},
        "status": {"host", "user", "now", "worker", "jobs", "hidden", "notes"},
        "show": {"job", "metrics", "results", "checkpoint", "worker", "notes"},
        "pull": {"folder", "files", "fetched", "skipped"},
    }
    assert {verb: answer.pop("schema") for verb, answer in answers.items()} == dict.fromkeys(answers, 1)
    assert {verb: set(answer) for verb, answer in answers.items()} == keys
    jobs = [answers["submit"]["job"], answers["wait"]["jobs"][0], answers["status"]["jobs"][0]]
    assert {frozenset(job) for job in jobs} == {frozenset(answers["show"]["job"])}


def test_priority_order(way):
    """Of the jobs that wait, the highest priority goes first, and among equals the oldest."""
    host = way("local-process", max_workers=1)
    first = host.submit("gate()\n", folder="busy")
    now = "print(time.time_ns())\n"
    jobs = {host.submit(now, "--priority", str(priority)): priority for priority in (1, 5, 9, 5, 10)}
    host.open(first)
    host.ml.ok("wait", *map(str, jobs))

    order = sorted(jobs, key=lambda job: int(host.ml.ok("logs", str(job))))
    assert [jobs[job] for job in order] == [10, 9, 5, 5, 1]
    assert order[2] < order[3]
