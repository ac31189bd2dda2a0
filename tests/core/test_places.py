"""Where things lie, as the table of the module says."""

from __future__ import annotations

from pathlib import Path

from fetchml_core import places
from fetchml_core.places import Base, Data


def test_everything_lies_below_its_folder():
    """No place leaves the base or the data folder, and two places are never one."""
    base, data = Base(Path("/b")), Data(Path("/d"))
    attempt = data.attempt(7, 2)
    in_base = [base.run, base.worker_lock, base.start_lock, base.worker_record, base.worker_log, base.wake]
    in_data = [
        data.blobs,
        data.job(7),
        data.checkpoint(7),
        attempt.folder,
        attempt.workspace,
        attempt.results,
        attempt.control,
        attempt.metrics,
    ]

    assert all(path.is_relative_to("/b") for path in in_base)
    assert all(path.is_relative_to("/d") for path in in_data)
    assert len({*in_base, *in_data}) == len(in_base) + len(in_data)


def test_the_table_of_the_module_is_true():
    """The paths in the text are those of the code."""
    text = places.__doc__ or ""

    assert Data(Path("/d")).attempt(7, 2).folder == Path("/d/jobs/7/2")
    assert "jobs/<id>/<attempt>/" in text
    assert "jobs/<id>/checkpoint/" in text
    assert Data(Path("/d")).checkpoint(7) == Path("/d/jobs/7/checkpoint")


def test_folders_are_made_private(tmp_path):
    """Nobody else looks in; making them again changes nothing."""
    base = Base(tmp_path / "a" / "base")
    base.make()
    base.make()

    assert base.folder.stat().st_mode & 0o777 == 0o700
    assert base.run.stat().st_mode & 0o777 == 0o700
