"""The how-to of docs/configuration.md, "One queue for several hosts", done as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.home import Home
from tests.support.ml import Ml
from tests.support.redis import RedisServer
from tests.support.wait import poll_until

PAGE = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"


def block(kind: str) -> str:
    """The block of this kind in the how-to, as one would copy it."""
    section = PAGE.read_text("utf-8").partition("## One queue for several hosts")[2]
    found = re.search(rf"```{kind}\n(.*?)```", section, re.DOTALL)
    assert found is not None
    return "\n".join(line.strip() if kind == "conf" else line[3:] for line in found[1].splitlines())


@pytest.fixture
def server(redis_server) -> RedisServer:
    """A Redis with the settings of the page; it listens where the test may."""
    lines = [line.split() for line in block("conf").splitlines() if line and not line.startswith("bind")]
    return redis_server(*[word for name, value in lines for word in (f"--{name}", value)])


@pytest.fixture
def boxes(tmp_path, server, podman_environment):
    """Two hosts with the worker file of the page, each with its user; jobs are plain processes."""
    made = []
    for name in ("box1", "box2"):
        base = tmp_path / name
        base.mkdir(mode=0o700)
        text = (
            block("yaml").replace("10.0.0.5:6379", f"127.0.0.1:{server.port}").replace('"box1"', f'"{name}"')
        )
        (base / "worker.yaml").write_text(f"{text}\nlauncher: process\n")
        (base / "worker.yaml").chmod(0o600)
        home = Home(tmp_path / f"home-{name}")
        home.path.mkdir(mode=0o700)
        home.profile(f'[server]\nworker_base = "{base}"\n')
        made.append(Ml(home, tmp_path, podman_environment))
    yield made
    for ml in made:
        ml.end()


def test_two_boxes_share_a_queue(boxes, server, tmp_path):
    """The file is valid, the names differ, each runs its own jobs and sees all; alone it goes on, and comes back."""
    one, two = boxes
    (tmp_path / "train.py").write_text("print(1)\n")
    checked = one.ok("config", "validate", str(tmp_path / "box1" / "worker.yaml"))
    assert "warning" not in checked

    def submit(ml):
        return ml.json("submit", "--only", "train.py")["job"]["id"]

    jobs = {submit(one): "box1", submit(two): "box2"}
    stats = [ml.json("queue", "stats") for ml in boxes]
    assert {told["type"] for told in stats} == {"redis"}
    assert len({told["home"] for told in stats}) == 2
    assert all("THE-PASSWORD" not in str(told) and told["notes"] == [] for told in stats)
    for ml in boxes:
        ml.ok("wait", *map(str, jobs))

    server.kill()
    alone = submit(two)
    jobs[alone] = "box2"
    two.ok("wait", str(alone))
    assert "is away since" in two.run("status").stderr
    assert "queue-unreachable" in one.fails(1, "show", str(max(jobs))).stderr
    server.start()
    poll_until(lambda: two.json("status")["notes"] == [], "Redis is asked again")

    told = one.json("status", "-a")["jobs"]
    assert {job["id"]: (job["state"], job["attempts"][0]["worker"]) for job in told} == {
        job: ("succeeded", box) for job, box in jobs.items()
    }
