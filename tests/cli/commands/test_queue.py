"""``ml queue``, over the local transport to a real agent."""

from __future__ import annotations

import hashlib
import json

import pytest

from fetchml_cli.commands.queue import check
from fetchml_cli.commands.queue.migrate import _lines
from fetchml_core.queue.base import Pause
from fetchml_core.wire.queue import DamageInfo, QueueCheckReply
from tests.cli.support import fake_cli, text_of
from tests.core.service.support import WORKER_FILE, World


@pytest.fixture
def ml(run_verb):
    """Run a verb; returns status, stdout and stderr."""
    return run_verb


def test_stats(world, ml):
    """Name and value on a line; states without jobs are left out, but for the queued ones."""
    world.ended()
    rows = dict(line.split(maxsplit=1) for line in ml("queue", "stats").out.splitlines())
    assert rows["type"] == "native"
    assert rows["place"] == str(world.host.queue_path)
    assert (rows["queued"], rows["succeeded"]) == ("0", "1")
    assert not {"running", "held", "paused"} & rows.keys()

    world.submit()
    told = ml("queue", "stats").out
    assert "queued     1, the oldest submitted " in told


def test_stats_json(world, ml):
    """Every state and every key is always there."""
    shown = json.loads(ml("queue", "stats", "--json").out)

    assert set(shown) == {
        "schema",
        "type",
        "place",
        "home",
        "revision",
        "bytes",
        "jobs",
        "oldest_queued",
        "paused",
        "notes",
    }
    assert len(shown["jobs"]) == 10
    assert (shown["paused"], shown["oldest_queued"]) == (None, None)


def test_pause_and_resume(world, ml):
    """Said at once, seen by everybody, and over when it is over."""
    world.submit()
    assert ml("queue", "pause", "--reason", "new GPU").out == (
        "the queue is paused: running jobs go on, no other starts\n"
    )
    assert ml("status").out.rstrip("\n").split("\t")[-1] == "the queue is paused by local: new GPU"
    assert "paused" in ml("queue", "stats").out
    assert json.loads(ml("queue", "pause", "--reason", "x", "--json").out)["paused"]["reason"] == "x"

    assert json.loads(ml("queue", "resume", "--json").out)["was_paused"]["by"] == "local"
    assert ml("queue", "resume").out == "the queue was not paused\n"
    ml("queue", "pause")
    assert ml("queue", "resume").out == "the queue is resumed: jobs start again\n"
    assert ml("status").out.rstrip("\n").split("\t")[-1] == "starts next"


def test_submit_to_a_paused_queue_says_so(world, ml, tmp_path):
    """The job is taken; who submitted it knows why it waits."""
    (tmp_path / "train.py").write_text("print(1)\n")
    ml("queue", "pause", "--reason", "new GPU")
    ran = ml("submit", "--only", "--allow-large", "train.py")

    assert ran.status == 0, ran.err
    assert "warning: the queue is paused by local: new GPU; the job waits until ml queue resume" in ran.err


def test_a_good_queue(world, ml):
    """Status 0, a word on stderr."""
    world.submit()
    ran = ml("queue", "check")

    assert (ran.status, ran.out, ran.err) == (0, "", "nothing is damaged\n")
    assert json.loads(ml("queue", "check", "--json").out) == {"schema": 1, "repaired": False, "damages": []}


class Damaged:
    """A connection to a host whose queue is damaged."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def call(self, verb, args, *, on_item):
        """Answer a check."""
        assert (verb, on_item is not None) == ("queue-check", True)
        return QueueCheckReply(
            (
                DamageInfo("queue/journal at 120", "a checksum is wrong", "cut off there", (3,)),
                DamageInfo("queue/x", "no record", "", tuple(range(1, 31))),
            )
        )


@pytest.mark.parametrize(("repair", "status"), [(False, 1), (True, 0)])
def test_damage(tmp_path, mocker, repair, status):
    """Place and problem, what is done about it, which jobs are lost; repaired is well again."""
    mocker.patch.object(check, "connect", return_value=Damaged())
    cli = fake_cli(tmp_path)
    assert check.run(cli, repair=repair) == status

    assert text_of(cli.out).splitlines()[:4] == [
        "queue/journal at 120: a checksum is wrong",
        f"  {'repaired' if repair else 'repair  '}  cut off there",
        "  lost      job 3",
        "queue/x: no record",
    ]
    assert "jobs 1, 2, 3," in text_of(cli.out)
    assert "20 and 10 more" in text_of(cli.out)
    assert ("--repair" in text_of(cli.err)) is not repair


def test_migrate(world, ml, tmp_path):
    """It says which lines go into which file; with them, the host goes on with the same jobs."""
    world.ended()
    world.submit()
    assert ml("queue", "migrate", "--to", "sqlite", "--dry-run").out.startswith("2 jobs would be moved from ")
    ran = ml("queue", "migrate", "--to", "sqlite")
    file = world.host.base.folder / "worker.yaml"

    assert ran.status == 0, ran.err
    assert ran.out.splitlines() == [
        f"2 jobs moved from {world.host.queue_path} to {world.host.data.folder / 'queue.sqlite'}",
        f"write into {file} on the host, in place of the queue's type there:",
        "    queue:",
        "      type: sqlite",
        "until then the host takes no jobs",
    ]
    assert ml("submit", "none.py").status != 0
    lines = [line[4:] for line in ran.out.splitlines() if line.startswith("    ")]
    file.write_text(WORKER_FILE + "\n".join(lines) + "\n")
    assert [line.split("\t")[5] for line in ml("status").out.splitlines()] == ["succeeded", "queued"]
    assert "sqlite" in ml("queue", "stats").out


def test_migrate_json_and_back(world, ml):
    """One object; ml queue resume takes the old queue back."""
    world.submit()
    shown = json.loads(ml("queue", "migrate", "--to", "filesystem", "--json").out)
    assert (shown["jobs"], shown["moved"]) == (1, True)
    assert shown["files"] == [str(world.host.base.folder / "worker.yaml")]

    assert ml("queue", "resume").out == "the queue is taken back from filesystem: jobs start again\n"
    assert world.host.queue.paused() is None


def test_the_lines_for_a_toml_file():
    """A worker file may still be TOML."""
    assert _lines("/x/worker.toml", "redis") == ("    [queue]", '    type = "redis"')


@pytest.mark.parametrize("to", ["native", "mysql", ""])
def test_a_type_that_cannot_be(world, ml, to):
    """What was typed cannot be used: status 2."""
    assert ml("queue", "migrate", "--to", to).status == 2


def test_jobs_that_run_are_named(world, ml):
    """With what to type."""
    world.running()
    ran = ml("queue", "migrate", "--to", "sqlite")

    assert (ran.status, ran.out) == (1, "")
    assert "ml wait 1" in ran.err


@pytest.mark.parametrize(
    "words", [["stats"], ["pause"], ["resume"], ["check"], ["migrate", "--to", "sqlite"]]
)
def test_the_queue_is_for_admins(tmp_path, ml, words):
    """A researcher is refused, and nothing changes."""
    digest = hashlib.sha256(b"the-key").hexdigest()
    (tmp_path / ".ml").mkdir(mode=0o700)
    made = World(
        tmp_path / ".ml" / "local",
        worker=WORKER_FILE,
        server=f"auth:\n  enabled: true\n  api_keys:\n    anna: {{hash: {digest}, roles: [researcher]}}\n",
    )
    (tmp_path / ".ml" / "config.toml").write_text('[auth]\napi_key = "the-key"\n')
    (tmp_path / ".ml" / "config.toml").chmod(0o600)
    made.host.queue.pause(Pause("root", "keep"))
    with made.worker_lives():
        ran = ml("queue", *words)

    assert ran.status == 4, ran.err
    assert "queue:admin" in ran.err
    assert made.host.queue.paused() == Pause("root", "keep")
