"""The worker as a door sees it: alive or not, whose queue it serves, started when it is needed."""

from __future__ import annotations

import os
import sys

import pytest
from attrs import evolve

from fetchml_core.errors import ConfigError
from fetchml_core.fsio import try_lock
from fetchml_core.places import own_command
from fetchml_core.service import workers
from fetchml_core.service.worker_info import linger_note, worker_alive, worker_info
from fetchml_core.service.workers import ensure_worker, heal_worker, wake_worker
from fetchml_core.wire.worker import WorkerInfo
from tests.core.service.support import World


@pytest.fixture
def dead(tmp_path):
    """A host whose worker does not live, and cannot be started: what is started ends at once."""
    made = World(tmp_path / "base")
    made.host.base.worker_lock.touch()
    return made


def test_alive_is_the_lock_and_nothing_else(dead):
    """A record that a dead worker left proves nothing; a held lock is a living worker."""
    dead.write_record(notes=("n",))
    assert not worker_alive(dead.host)
    assert worker_info(dead.host) == WorkerInfo(False)
    with dead.worker_lives():
        assert worker_alive(dead.host)
        assert worker_info(dead.host) == WorkerInfo(True, "box1", "process", ("n",))
    assert not worker_alive(dead.host)


def test_looking_makes_no_lock(tmp_path):
    """A base where no worker ever ran stays as it is."""
    made = World(tmp_path / "base")

    assert not worker_alive(made.host)
    assert not made.host.base.worker_lock.exists()


def test_two_doors_may_look_at_once(dead):
    """One that looks is not taken for a worker by another."""
    fd = try_lock(dead.host.base.worker_lock, shared=True)
    assert not worker_alive(dead.host)
    os.close(fd)


def test_what_a_worker_has_not_said_yet_is_unknown(world):
    """Before its launcher was tried, and with a damaged record, only its life is known."""
    assert worker_info(world.host) == WorkerInfo(True)
    world.write_record(ready=False)
    assert worker_info(world.host).launcher == ""
    world.host.base.worker_record.write_bytes(b"{")
    assert worker_info(world.host) == WorkerInfo(True)


@pytest.mark.parametrize("field", ["queue", "data"])
def test_another_queue_is_refused_and_both_are_named(world, field):
    """A door whose files resolve elsewhere than the living worker refuses: status 3."""
    world.write_record(**{field: "/elsewhere"})
    with pytest.raises(ConfigError, match="queue-disagrees") as caught:
        world.ask("list", {})

    assert caught.value.status == 3
    assert str(world.host.queue_path) in str(caught.value)


def test_waking_reaches_the_fifo_and_never_waits(world):
    """A byte for the worker; no reader, no FIFO and a full FIFO are no error."""
    wake_worker(world.host)
    os.mkfifo(world.host.base.wake)
    wake_worker(world.host)
    fd = os.open(world.host.base.wake, os.O_RDONLY | os.O_NONBLOCK)
    for _ in range(70_000):
        wake_worker(world.host)
    assert set(os.read(fd, 1 << 20)) == {ord("!")}
    os.close(fd)


def test_a_worker_that_cannot_live_is_explained(dead):
    """Its own last words are the problem, the line to type is the hint, and the job stays queued."""
    (dead.host.base.folder / "worker.yaml").write_text("launcher: warp\n")
    info = ensure_worker(dead.host)

    assert not info.alive
    assert "warp" in info.problem
    assert info.hint
    assert "\n" not in info.problem


def test_a_worker_is_started_for_waiting_jobs_only(dead):
    """Looking at ended jobs starts nothing."""
    (dead.host.base.folder / "worker.yaml").write_text("launcher: warp\n")
    assert heal_worker(dead.host, []) == WorkerInfo(False)
    assert heal_worker(dead.host, [dead.ended()]) == WorkerInfo(False)
    assert heal_worker(dead.host, [dead.submit()]).problem


def test_a_worker_that_took_its_lock_again_is_not_reported_as_failed(dead, mocker):
    """The door found it gone, it came back for the job, and what the door started ended because of that."""
    with dead.worker_lives():
        dead.write_record(notes=("n",))
        mocker.patch.object(
            workers, "own_command", return_value=[sys.executable, "-c", "raise SystemExit(1)"]
        )

        assert workers._start(dead.host) == WorkerInfo(True, "box1", "process", ("n",))


def test_the_program_is_this_very_build(tmp_path):
    """What is started is found by its place, not by a name on PATH; arguments are never code."""
    argv = own_command("fetchml_core.worker.main", "run", "--base", "/a b;c")

    assert argv[0] == sys.executable
    assert argv[-3:] == ["run", "--base", "/a b;c"]
    assert "/a b;c" not in argv[3]


def test_the_log_of_workers_does_not_grow_without_end(dead, mocker):
    """A long log is begun anew."""
    mocker.patch.object(workers, "_LOG_KEPT", 10)
    dead.host.base.worker_log.write_bytes(b"x" * 11)
    os.close(workers._open_log(dead.host.base.worker_log))

    assert dead.host.base.worker_log.read_bytes() == b""


def test_logout_is_warned_of_where_it_ends_jobs(world, tmp_path, mocker):
    """Without lingering systemd ends an account's processes; root's, lingering ones and other systems' go on."""
    import pwd

    (tmp_path / "run/systemd/system").mkdir(parents=True)
    mocker.patch("os.getuid", return_value=1000)
    mocker.patch("pwd.getpwuid", return_value=pwd.struct_passwd(("ann", "x", 1, 1, "", "/", "")))

    assert "enable-linger ann" in linger_note(world.host, tmp_path)[0]
    assert linger_note(evolve(world.host, embedded=True), tmp_path) == ()
    assert linger_note(world.host, tmp_path / "elsewhere") == ()
    (tmp_path / "var/lib/systemd/linger").mkdir(parents=True)
    (tmp_path / "var/lib/systemd/linger/ann").touch()
    assert linger_note(world.host, tmp_path) == ()
    mocker.patch("os.getuid", return_value=0)
    (tmp_path / "var/lib/systemd/linger/ann").unlink()
    assert linger_note(world.host, tmp_path) == ()
