"""Who may do what, end to end: three roles, three profiles, one host."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.support.leftovers import VARIABLE as RUN_VARIABLE
from tests.support.leftovers import processes_with, run_id

KEYS = {name: f"{name}-key-{index}a7f3e9d2c4b6" for index, name in enumerate(("ada", "rex", "rita", "ann"))}
ROLES = {"rex": "researcher", "rita": "researcher", "ann": "analyst"}
WAITS = "print('ready', flush=True)\ngate()\n"


@pytest.fixture(params=["local-process", "fabric-process"])
def lab(way, request):
    """A host with an admin (ada), two researchers (rex, rita), an analyst (ann), and audit logging."""
    host = way(request.param, max_workers=3)
    users = {
        name: {"hash": hashlib.sha256(key.encode()).hexdigest(), "roles": [ROLES[name]]}
        if name in ROLES
        else {"hash": hashlib.sha256(key.encode()).hexdigest(), "admin": True}
        for name, key in KEYS.items()
    }
    host.write(
        "server.yaml",
        json.dumps(
            {
                "auth": {"enabled": True, "api_keys": users},
                "security": {"audit_logging": {"enabled": True}},
            }
        ),
    )
    for name, key in {**KEYS, "wrong": "no-such-key", "none": ""}.items():
        if host.transport == "fabric":
            host.ml.home.connect(host.server, str(host.base), name=name, key=key)
        else:
            host.ml.home.profile(f'[auth]\napi_key = "{key}"\n', name)
    # the fixture ends what still runs, as the admin
    config = host.ml.home.path / ".ml" / "config-ada.toml"
    host.ml.home.profile(config.read_text("utf-8"))
    return host


def _submit(host, name, text="pass\n"):
    return host.ml.ok("submit", "-q", str(host.script(text)), "--profile", name).strip()


def test_analyst_reads_only(lab):
    """An analyst sees every job, its log and its results, and can neither submit nor cancel."""
    job = _submit(lab, "rex", "print('hello')\n")
    lab.ml.ok("wait", job, "--profile", "ann")

    assert lab.ml.ok("logs", job, "--profile", "ann") == "hello\n"
    assert lab.ml.json("status", "-a", "--profile", "ann")["jobs"][0]["user"] == "rex"
    assert "succeeded" in lab.ml.ok("show", job, "--profile", "ann")
    lab.ml.ok("pull", job, "--profile", "ann")
    refused = lab.ml.fails(4, "submit", str(lab.script("pass\n")), "--profile", "ann")
    assert "ann lacks jobs:create\n  context  submit\n" in refused.stderr
    refused = lab.ml.fails(4, "cancel", job, "--profile", "ann")
    assert "ann lacks jobs:update" in refused.stderr
    assert len(lab.ml.json("status", "-a", "--profile", "ann")["jobs"]) == 1


def test_refused_submit_leaves_nothing(lab):
    """Where submitting is not allowed, no manifest and no file is kept on the host."""
    lab.ml.fails(4, "submit", str(lab.script("pass\n")), "--profile", "ann")
    assert lab.blobs() == set()


def test_researcher_cancels_own_jobs(lab):
    """A researcher cancels its own job, not another's; of a mixed list none is touched; an admin cancels all."""
    own, other = _submit(lab, "rex", WAITS), _submit(lab, "rita", WAITS)
    for job in (own, other):
        lab.until_prints(int(job), "ready")

    refused = lab.ml.fails(4, "cancel", own, other, "--profile", "rex")
    assert "belongs to rita" in refused.stderr
    assert [lab.state(int(job)) for job in (own, other)] == ["running", "running"]
    lab.ml.ok("cancel", own, "--profile", "rex")
    lab.ml.ok("cancel", other, "--profile", "ada")
    lab.ml.fails(7, "wait", own, other)


def test_whose_jobs_status_shows(lab):
    """``status`` and ``last`` mean one's own jobs; ``-a`` shows everyone's, with the user."""
    mine, theirs = _submit(lab, "rex", WAITS), _submit(lab, "rita", WAITS)
    assert [job["id"] for job in lab.ml.json("status", "--profile", "rex")["jobs"]] == [int(mine)]
    assert lab.ml.json("show", "last", "--profile", "rita")["job"]["id"] == int(theirs)
    users = [line.split("\t")[2] for line in lab.ml.ok("status", "-a", "--profile", "ann").splitlines()]
    assert users == ["rex", "rita"]


@pytest.mark.parametrize("name", ["wrong", "none"])
def test_no_valid_key(lab, name):
    """A wrong key and no key are exit 4 for every verb, and the words do not hold the key."""
    script = str(lab.script("pass\n"))
    for words in (["status"], ["submit", script], ["logs", "1"], ["cancel", "1"], ["pull", "1"]):
        done = lab.ml.fails(4, *words, "--profile", name)
        assert "api_key" in done.stderr
        assert "no-such-key" not in done.stdout + done.stderr


def test_audit_trail(lab):
    """Changes and refusals stand in the audit file, who and what, each chained to the one before."""
    job = _submit(lab, "rex", WAITS)
    lab.ml.fails(4, "cancel", job, "--profile", "rita")
    lab.ml.fails(4, "submit", str(lab.script("pass\n")), "--profile", "ann")
    lab.ml.ok("cancel", job, "--reason", "enough", "--profile", "ada")

    audit = lab.base / "audit.log"
    records = [json.loads(line) for line in audit.read_text("ascii").splitlines()]
    told = [(record["user"], record["action"], record["result"]) for record in records]
    assert told[0] == ("rex", "jobs:create", "allowed")
    assert ("rita", "jobs:update", "denied") in told
    assert ("ann", "jobs:create", "denied") in told
    assert told[-1] == ("ada", "jobs:update", "allowed")
    assert f"job {job}" in records[-1]["object"]
    previous = "0" * 64
    for number, record in enumerate(records, 1):
        found = record.pop("hash")
        text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        assert (record["seq"], record["prev"]) == (number, previous)
        assert found == hashlib.sha256(text.encode("ascii")).hexdigest()
        previous = found
    assert audit.stat().st_mode & 0o077 == 0


def test_unwritable_audit_refuses_changes(lab):
    """Where the audit record cannot be written, the change does not happen."""
    (lab.base / "audit.log").mkdir()
    assert lab.ml.run("submit", str(lab.script("pass\n")), "--profile", "rex").returncode == 1
    assert lab.ml.json("status", "-a", "--profile", "ann")["jobs"] == []


def test_the_key_is_nowhere(lab):
    """The API key is in the profile and in no other file, no argument list and no environment."""
    job = _submit(lab, "rex", WAITS)
    lab.until_prints(int(job), "ready")
    following = lab.ml.start("logs", "-f", job, "--profile", "rex")
    assert following.stdout is not None
    assert following.stdout.readline() == "ready\n"
    key = KEYS["rex"].encode()

    seen = processes_with(RUN_VARIABLE, run_id())
    held = [
        f"{process.pid} {name}"
        for process in seen
        for name in ("cmdline", "environ")
        if key in _read(Path(f"/proc/{process.pid}/{name}"))
    ]
    lab.open(int(job))
    following.communicate(timeout=30)
    lab.ml.ok("show", job, "--profile", "rex")

    assert len(seen) >= 3  # client, agent, worker
    assert held == []
    folders = {lab.base, lab.ml.home.path, lab.ml.cwd}
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert [path.name for path in files if key in _read(path)] == ["config-rex.toml"]


def _read(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""
