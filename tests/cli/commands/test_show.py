"""``ml show`` tells what the worker has to say about its host."""

from __future__ import annotations

from attrs import evolve

from fetchml_cli.commands.show import _rows
from fetchml_core.jobs.states import State
from fetchml_core.wire.jobs import ShowReply
from fetchml_core.wire.worker import WorkerInfo
from tests.core.service.support import World

NOTES = ("limits are not enforced", "not active yet in server.yaml: database.host")


def test_notes_of_the_worker_are_rows(tmp_path):
    """Each note has a row; a worker without any adds none."""
    job = World(tmp_path / "base").submit()

    rows = list(_rows(ShowReply(job, 0.0, WorkerInfo(alive=True, launcher="podman", notes=NOTES))))
    silent = list(_rows(ShowReply(job, 0.0, WorkerInfo(alive=True, launcher="podman"))))

    assert [text for name, text in rows if name == "note"] == list(NOTES)
    assert [name for name, _ in silent if name == "note"] == []


def test_a_held_job_is_held_once(tmp_path):
    """A reason that says no more than the state is left out."""
    job = evolve(World(tmp_path / "base").submit(), state=State.HELD)

    for why, told in (("held", "held"), ("two words", "held (two words)")):
        assert dict(_rows(ShowReply(job, 0.0, WorkerInfo(alive=True), why=why)))["state"] == told
