"""Attempts for launcher tests: a spec made of a shell line, and the promises that both launchers keep.

The jobs are shell lines, so that the same ones run on a host, in an image with Python and in one without.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fetchml_core.clock import Clock
from fetchml_core.errors import HostError
from fetchml_core.launcher import control
from fetchml_core.launcher.evidence import wait_end
from fetchml_core.launcher.log import log_end, read_log
from fetchml_core.launcher.seccomp import default_profile
from fetchml_core.launcher.spec import Launched, LaunchSpec
from tests.support.printed import printed
from tests.support.wait import poll_until

if TYPE_CHECKING:
    from fetchml_core.launcher.base import Launcher

LOG_LIMIT = 1 << 20
LINE = "fetchml-test-line-of-output-64-bytes-long-with-its-newline-0123"
FLOOD = f"yes {LINE} | head -c 100000000"


def make_spec(base: Path, argv: tuple[str, ...] = ("true",), **fields: Any) -> LaunchSpec:
    """Make the folders of attempt 2 of job 7 in *base*, and its spec."""
    folder = base / "jobs" / "7" / "2"
    for path in (folder / "workspace", folder / "results", folder.parent / "checkpoint"):
        path.mkdir(parents=True, mode=0o700, exist_ok=True)
    values: dict[str, Any] = {
        "job_id": 7,
        "attempt": 2,
        "folder": folder,
        "checkpoint": folder.parent / "checkpoint",
        "argv": argv,
        "cwd": "",
        "env": {},
        "image": "localhost/none",
        "cpus": 1.0,
        "memory": 256 << 20,
        "seccomp_profile": default_profile(),
        "log_limit": LOG_LIMIT,
    }
    return LaunchSpec(**values | fields)


class Attempt:
    """One attempt under a real launcher."""

    def __init__(self, launcher: Launcher, spec: LaunchSpec) -> None:
        self.launcher = launcher
        self.spec = spec
        self.launched: Launched = launcher.launch(spec)

    def go(self) -> Attempt:
        """Let it begin; return itself."""
        self.launcher.go(self.launched, self.spec.folder)
        return self

    def record(self, seconds: float = 20):
        """Wait for the end; return the record."""
        assert wait_end(self.launched, seconds), "the attempt did not end"
        return self.launcher.record(self.spec.folder, self.spec.attempt)

    def clean(self) -> None:
        """Clean up as a worker does."""
        self.launcher.clean(self.launched, self.spec.folder, self.spec.checkpoint)

    def output(self) -> str:
        """What is kept of the output, as people see it."""
        return printed(self.spec.control).decode()

    def wait_output(self, text: str) -> None:
        """Wait until the job has printed *text*."""
        poll_until(lambda: text in self.output(), what=f"{text!r} in the log")


class Contract:
    """What every launcher does with every init; subclasses give the fixtures `launcher` and `image`."""

    variables: frozenset[str] = frozenset()
    """Names of those that a job has beside `PROMISED`."""

    @pytest.fixture
    def start(self, launcher, image, tmp_path):
        """Launch a shell line; what was launched is cleaned up."""
        attempts = []

        def start(line: str, **fields: Any) -> Attempt:
            spec = make_spec(tmp_path, ("sh", "-c", line), image=image, **fields)
            attempts.append(Attempt(launcher, spec))
            return attempts[-1]

        yield start
        for attempt in attempts:
            attempt.clean()
            assert not launcher.alive(attempt.launched)

    @pytest.mark.each_podman
    @pytest.mark.parametrize("code", [0, 3])
    def test_exit_code(self, start, code):
        """The record has the job's exit code."""
        record = start(f"exit {code}").go().record()

        assert (record.code, record.signal, record.attempt) == (code, None, 2)

    def test_signal(self, start):
        """A job that dies by a signal is told from one that exits."""
        record = start("kill -SEGV $$").go().record()

        assert (record.code, record.signal) == (None, signal.SIGSEGV)

    def test_output_appears_at_once(self, start):
        """What a running job printed is in the log while it runs."""
        attempt = start("echo hello; echo sorry >&2; sleep 60").go()

        attempt.wait_output("hello\nsorry\n")
        assert attempt.launcher.kill(attempt.launched)

    def test_output_is_capped(self, start):
        """Of 100 MB the first and the last part stay, and the gap is exactly what was dropped."""
        attempt = start(f"{FLOOD}; echo the end").go()
        record = attempt.record(60)
        kept = sum(path.stat().st_size for path in attempt.spec.control.glob("log*"))
        gap = read_log(attempt.spec.control, log_end(attempt.spec.control) // 2, 100)

        assert record.log_bytes == 100_000_008
        assert record.log_dropped == record.log_bytes - kept
        assert kept <= LOG_LIMIT * 2  # a shell can only count reads
        assert kept >= LOG_LIMIT * 3 // 4
        assert attempt.output().startswith(LINE)
        assert attempt.output().endswith("the end\n")
        assert gap.dropped > 0
        assert log_end(attempt.spec.control) == record.log_bytes

    @pytest.mark.each_podman
    def test_stop(self, start):
        """SIGTERM reaches the job, which finds the reason in its stop file and has the last word."""
        attempt = start(
            "trap 'cat $FETCHML_STOP_FILE; exit 5' TERM; echo ready; while :; do sleep 0.1; done"
        ).go()
        attempt.wait_output("ready")
        control.request_stop(attempt.spec.folder, "cancelled by alice")
        assert attempt.launcher.signal(attempt.launched, signal.SIGTERM)
        record = attempt.record()

        assert record.code == 5
        assert attempt.output().endswith("cancelled by alice\n")

    @pytest.mark.each_podman
    def test_kill(self, start):
        """A job that ignores SIGTERM is killed, with its children, and that is what the record says."""
        line = "trap '' TERM; (trap '' TERM; echo child; sleep 60) & echo ready; while :; do sleep 1; done"
        attempt = start(line).go()
        attempt.wait_output("ready")
        attempt.launcher.signal(attempt.launched, signal.SIGTERM)
        assert not wait_end(attempt.launched, 0.3)
        assert attempt.launcher.kill(attempt.launched)
        record = attempt.record()

        assert (record.code, record.signal) == (None, signal.SIGKILL)
        assert not processes_with(attempt)

    def test_background_children_end(self, start):
        """What a job leaves in the background is gone when its record appears, and cannot delay it."""
        attempt = start("(setsid sleep 60 &) ; sleep 60 & echo bye").go()
        record = attempt.record()

        assert record.code == 0
        assert record.ended - record.started < 10
        assert not processes_with(attempt)

    @pytest.mark.each_podman
    def test_nothing_runs_before_the_go(self, start):
        """Without a go nothing of the job runs, and there is no record."""
        attempt = start("echo ran; echo ran >$FETCHML_RESULTS/ran")
        time.sleep(0.3)
        assert attempt.launcher.alive(attempt.launched)
        assert attempt.launcher.kill(attempt.launched)

        assert attempt.output() == ""
        assert not list(attempt.spec.folder.joinpath("results").iterdir())
        assert not control.was_started(attempt.spec.folder)
        assert attempt.record() is None

    def test_go_is_idempotent(self, start):
        """A second go, as by a worker that restarted, does nothing; a go to an init that is gone is an error."""
        attempt = start("echo once >>$FETCHML_RESULTS/ran; sleep 0.3").go()
        poll_until(lambda: control.was_started(attempt.spec.folder), what="started")
        attempt.go()
        attempt.record()
        attempt.go()
        assert (attempt.spec.folder / "results/ran").read_text() == "once\n"

        (attempt.spec.control / "started").unlink()
        with pytest.raises(HostError, match="init-gone"):
            attempt.go()

    @pytest.mark.each_podman
    def test_init_killed(self, start):
        """An init that is killed leaves no record and no process of the job."""
        attempt = start("echo ready; sleep 60").go()
        attempt.wait_output("ready")
        os.kill(attempt.launched.pid, signal.SIGKILL)
        assert wait_end(attempt.launched, 10)
        attempt.clean()

        assert not attempt.launcher.alive(attempt.launched)
        assert attempt.launcher.record(attempt.spec.folder, 2) is None
        assert not processes_with(attempt)

    @pytest.mark.each_podman
    def test_environment_is_complete(self, start):
        """The job sees exactly the promised variables, whatever characters are in them."""
        value = 'it\'s "quoted" $HOME `id` \\ é\nsecond line'
        attempt = start("exec env", env={"LEARNING_RATE": value, "EMPTY": ""}).go()
        assert attempt.record().code == 0
        names = {line.partition("=")[0] for line in attempt.output().splitlines() if "=" in line}

        assert f"LEARNING_RATE={value}\n" in attempt.output()
        # The shell that runs this test's line adds the last three.
        assert names - {"PWD", "SHLVL", "_", "OLDPWD"} == PROMISED | self.variables | {
            "LEARNING_RATE",
            "EMPTY",
        }
        assert {"FETCHML_JOB_ID=7", "FETCHML_ATTEMPT=2", "LANG=C.UTF-8"} <= set(attempt.output().splitlines())

    @pytest.mark.each_podman
    def test_private_results_are_handed_back(self, start):
        """Files of mode 0600 in folders of mode 0700 can be read and removed by the account afterwards."""
        line = "umask 077; mkdir $FETCHML_RESULTS/deep; echo 42 >$FETCHML_RESULTS/deep/model; ln -s /etc/passwd $FETCHML_RESULTS/link"
        attempt = start(line).go()
        assert attempt.record().code == 0
        before = Path("/etc/passwd").stat()
        attempt.clean()
        model = attempt.spec.folder / "results/deep/model"

        assert model.read_text() == "42\n"
        assert (model.stat().st_uid, model.parent.stat().st_uid) == (os.geteuid(), os.geteuid())
        after = Path("/etc/passwd").stat()
        assert (before.st_uid, before.st_mode) == (after.st_uid, after.st_mode)

    def test_start_folder(self, start, tmp_path):
        """The job starts in its place inside the tree."""
        make_spec(tmp_path).folder.joinpath("workspace/some place").mkdir(parents=True)
        attempt = start("pwd; echo $FETCHML_WORKSPACE", cwd="some place").go()
        attempt.record()
        place, workspace = attempt.output().splitlines()

        assert place == f"{workspace}/some place"

    def test_command_not_found(self, launcher, image, tmp_path):
        """A command that does not exist gives 127 and a line in the log that names it."""
        attempt = Attempt(launcher, make_spec(tmp_path, ("no-such-command", "x"), image=image)).go()
        record = attempt.record()
        attempt.clean()

        assert record.code == 127
        assert "no-such-command" in attempt.output()

    def test_not_executable(self, launcher, image, tmp_path):
        """A file that is no program gives 126."""
        spec = make_spec(tmp_path, ("./data",), image=image)
        spec.folder.joinpath("workspace/data").write_text("x")
        attempt = Attempt(launcher, spec).go()
        record = attempt.record()
        attempt.clean()

        assert record.code == 126
        assert "data" in attempt.output()


PROMISED = {
    "PATH",
    "HOME",
    "LANG",
    "PYTHONUNBUFFERED",
    "FETCHML_JOB_ID",
    "FETCHML_ATTEMPT",
    "FETCHML_WORKSPACE",
    "FETCHML_RESULTS",
    "FETCHML_CHECKPOINT_DIR",
    "FETCHML_STOP_FILE",
}


def processes_with(attempt: Attempt) -> list[str]:
    """All processes on this machine that belong to an attempt, by its host folder or its container's cgroup."""
    marks = [str(attempt.spec.folder).encode()]
    if attempt.launched.cgroup:
        marks.append(Path(attempt.launched.cgroup).name.encode())
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            try:
                if (process / "stat").read_text().rpartition(")")[2].split()[0] in "ZX":
                    continue
                text = (process / "environ").read_bytes() + (process / "cgroup").read_bytes()
                command = (process / "cmdline").read_bytes()
            except OSError:
                continue
            if any(mark in text for mark in marks) and b"conmon" not in command:
                found.append(f"{process.name} {command!r}")
    return found


CLOCK = Clock()
