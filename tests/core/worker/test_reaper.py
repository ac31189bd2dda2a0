"""What an attempt that is over has left is removed; what lives stays, and so does everything of other bases."""

from __future__ import annotations

import logging
import os
import subprocess

import pytest
from attrs import evolve

from fetchml_core.clock import BootTime, Clock
from fetchml_core.errors import HostError
from fetchml_core.jobs.states import State
from fetchml_core.launcher.process import ProcessLauncher
from fetchml_core.launcher.spec import Leftover, name_prefix
from fetchml_core.worker import reaper as module
from fetchml_core.worker.reaper import Reaper
from tests.core.service.support import World
from tests.core.worker.test_worker import SLEEPER, script
from tests.support.wait import poll_until


def left_behind(world, job_id, attempt):
    """A process of an attempt, as one that hid from its end would stay."""
    folder = world.host.data.attempt(job_id, attempt).workspace
    env = {"FETCHML_WORKSPACE": str(folder), "FETCHML_TEST_RUN": os.environ["FETCHML_TEST_RUN"]}
    return subprocess.Popen(["sleep", "600"], env={**env, "PATH": os.environ["PATH"]})


def test_a_worker_removes_what_was_left_before_it_began(world, serve, tmp_path):
    """A process of an attempt that is over is ended; those of a running job and of another base are not."""
    world.ended()
    other = World(tmp_path / "other")
    processes = [left_behind(world, 1, 1), left_behind(other, 1, 1), left_behind(world, 99, 3)]
    try:
        job = world.submit(argv=script(SLEEPER))
        serving = serve()
        serving.printed(job, "ready")
        for process in (processes[0], processes[2]):
            poll_until(lambda gone=process: gone.poll() is not None, "a leftover ends")

        assert processes[1].poll() is None
        assert world.host.queue.get(job.id).state is State.RUNNING
        assert ProcessLauncher(env={}, clock=Clock()).alive(world.host.queue.get(job.id).attempt.launch)
    finally:
        for process in processes:
            process.kill()
            process.wait()


class FakeLauncher:
    """Finds what it is told, and notes what is cleaned."""

    def __init__(self, *found: Leftover) -> None:
        self.found = list(found)
        self.cleaned: list[str] = []
        self.error: HostError | None = None
        self.looks = 0

    def leftovers(self, jobs):
        """What is there."""
        self.looks += 1
        if self.error:
            raise self.error
        return self.found

    def clean(self, launched, folder, checkpoint):
        """Note it."""
        assert checkpoint is None  # a later attempt may write there
        self.cleaned.append(f"{launched} {folder.parent.name}/{folder.name}")


def test_only_what_is_over_is_removed(world):
    """Of two attempts of one job the newer is live: what is asked about life is asked after the look at the host."""
    launcher = FakeLauncher(Leftover(7, 1, "a"), Leftover(7, 2, "b"), Leftover(8, 1, "c"))
    asked = []
    reaper = Reaper(world.host, launcher, lambda *attempt: asked.append(launcher.looks) or attempt == (7, 2))

    assert [left.name for left in reaper.look()] == ["a", "c"]
    assert launcher.cleaned == ["a 7/1", "c 8/1"]
    assert asked == [1, 1, 1]


def test_workspaces_that_came_back(world):
    """What a power cut brings back is looked for once a boot: of attempts that are over the workspace goes, and no more."""

    class Boots(Clock):
        number = 1

        def boot(self):
            return BootTime(f"boot-{self.number}", 1.0)

    clock, launcher = Boots(), FakeLauncher()
    host = evolve(world.host, clock=clock)
    reaper = Reaper(host, launcher, lambda job, attempt: (job, attempt) == (7, 2))

    def bring_back(job, attempt):
        places = host.data.attempt(job, attempt)
        for folder in (places.workspace, places.results):
            folder.mkdir(parents=True)
            (folder / "file").touch()
        return places

    over, live = bring_back(7, 1), bring_back(7, 2)
    assert [(left.job_id, left.attempt) for left in reaper.look()] == [(7, 1)]
    assert launcher.cleaned == [f"{name_prefix(host.data.folder / 'jobs')}7-1 7/1"]
    assert (over.workspace.exists(), live.workspace.exists()) == (False, True)
    assert (over.results / "file").exists()

    later = bring_back(8, 1)
    assert reaper.look() == []
    clock.number = 2
    assert [(left.job_id, left.attempt) for left in reaper.look()] == [(8, 1)]
    assert not later.workspace.exists()


@pytest.fixture
def looks(world, monkeypatch):
    """A reaper on a clock of the test."""

    class Hand(Clock):
        seconds = 1000.0

        def boot(self):
            return evolve(super().boot(), seconds=self.seconds)

    clock, launcher = Hand(), FakeLauncher()
    reaper = Reaper(evolve(world.host, clock=clock), launcher, lambda *_: False)

    def turn(after=0.0):
        clock.seconds += after
        reaper.turn()
        reaper.join(10)
        return launcher.looks

    return turn, reaper, launcher


def test_when_it_looks(looks):
    """At the start, when asked, and from time to time; not at every turn."""
    turn, reaper, _ = looks

    assert [turn(), turn(1), turn(1)] == [1, 1, 1]
    reaper.ask()
    assert [turn(1), turn(1)] == [2, 2]
    assert [turn(module.EVERY_S), turn(1)] == [3, 3]


def test_it_looks_again_soon_after_it_failed(looks, caplog):
    """What cannot be removed is said, and tried again."""
    turn, _, launcher = looks
    launcher.error = HostError("podman-hangs", "podman ps gave no answer")
    with caplog.at_level(logging.WARNING):
        assert [turn(), turn(1)] == [1, 1]
    assert "podman ps gave no answer" in caplog.text
    launcher.error = None

    assert [turn(module.AGAIN_S), turn(module.AGAIN_S)] == [2, 2]


def test_a_failed_start_asks_for_a_look(world, serve):
    """A launch that went wrong may have left something, whatever its clean-up believes."""
    serving = serve()
    serving.worker._turn()
    serving.worker._reaper.join(10)
    serving.worker._reaper._due_at = float("inf")
    job = world.submit(image="localhost/none")  # which needs Podman
    serving.until(lambda: world.host.queue.get(job.id).state.final)
    serving.until(lambda: serving.worker._reaper._due_at != float("inf"))
