"""The init and its shell twin, run without Podman: every Python we promise, dash and busybox.

The shells need to be PID 1, so they run in a pid namespace of their own, which needs root.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fetchml_core.launcher import control, init
from fetchml_core.launcher.environment import host_view, job_environment
from fetchml_core.launcher.log import LogChunk, cut_mark, log_end, read_log
from fetchml_core.launcher.record import read_record
from tests.core.launcher.jobs import FLOOD, LINE, LOG_LIMIT, make_spec
from tests.support.printed import printed
from tests.support.require import find_python, missing, need
from tests.support.wait import poll_until

SOURCE = Path(control.__file__).parent
OLD_PYTHONS = ("3.6", "3.8", "3.13")


def interpreter(kind: str) -> list[str]:
    """The start of an argv that runs the init *kind*: ``python3.8``, ``dash``, ``busybox``."""
    if kind.startswith("python"):
        path = find_python(kind.removeprefix("python"))
        if path is None:
            missing("module:" + kind, f"this machine has no {kind}")
        return [path, "-I", "-S", "-B", str(SOURCE / "init.py")]
    need("root")
    path = shutil.which(kind)
    if path is None:
        missing("busybox", f"this machine has no {kind}")
    shell = [path, "sh"] if kind == "busybox" else [path]
    return ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", *shell, str(SOURCE / "init.sh")]


class Run:
    """An init that runs one attempt."""

    def __init__(self, command: list[str], spec) -> None:
        self.spec = spec
        view = host_view(spec)
        Path(view.home).mkdir(exist_ok=True)
        environment = job_environment(spec, view, path=os.environ["PATH"])
        control.prepare(spec, view, environment)
        control.prepare_shell(spec, view, environment)
        env = {"PATH": os.environ["PATH"], "FETCHML_TEST_RUN": os.environ["FETCHML_TEST_RUN"]}
        self.process = subprocess.Popen(
            # A test run in the background has SIGINT ignored, which a shell could not undo.
            ["env", "--default-signal", *command, str(spec.control)],
            env=env,
            stdin=subprocess.DEVNULL,
            cwd="/",
        )
        poll_until(lambda: control.is_ready(spec.folder), what="the init waits")

    def signal(self, number: int) -> None:
        """Send to the init itself, past an unshare in front."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        inner = "unshare" in self.process.args
        os.kill(int(children[0]) if inner else self.process.pid, number)

    def end(self, seconds: float = 20):
        """Wait for the end; return the init's own status and the record."""
        status = self.process.wait(seconds)
        return status, read_record(self.spec.control, self.spec.attempt)

    @property
    def output(self) -> str:
        """What is kept of the output, as people see it."""
        return printed(self.spec.control).decode()


@pytest.fixture(params=[*(f"python{version}" for version in OLD_PYTHONS), "dash", "busybox"])
def kind(request):
    """Each init that we promise to run."""
    return request.param


@pytest.fixture
def start(kind, tmp_path):
    """Start an attempt and, unless told not to, let it go."""
    runs = []

    def start(*argv: str, go: bool = True, **fields) -> Run:
        runs.append(Run(interpreter(kind), make_spec(tmp_path, argv, **fields)))
        if go:
            control.give_go(runs[-1].spec.folder)
        return runs[-1]

    yield start
    for run in runs:
        if run.process.poll() is None:
            run.signal(signal.SIGQUIT)
            run.process.wait(20)


@pytest.mark.parametrize(
    ("line", "code", "number"), [("exit 0", 0, None), ("exit 3", 3, None), ("kill -9 $$", None, 9)]
)
def test_true_end(start, line, code, number):
    """The record has the true code or signal, and the init's own status repeats it."""
    status, record = start("sh", "-c", line).end()

    assert (record.code, record.signal) == (code, number)
    assert status == (code if number is None else 128 + number)
    assert abs(record.ended - time.time()) < 30


def test_words_arrive_unchanged(start, kind):
    """Arguments and variables are taken as they are, whatever a shell would make of them."""
    words = ["$HOME", "a b", "'", '"', "`id`", "\\", "-n", "x\ny", "", "é", "*", "\udcff"]
    run = start("printf", "<%s>", *words, env={"A": "it's\n$B"})
    _, record = run.end()
    log = (run.spec.control / "log").read_bytes()

    assert record.code == 0
    assert log == b"".join(b"<%s>" % word.encode("utf-8", "surrogateescape") for word in words)


def test_command_with_equals_sign(start, tmp_path):
    """A program whose name looks like a variable is still a program."""
    program = make_spec(tmp_path).folder / "workspace/a=b"
    program.write_text("#!/bin/sh\necho ran\n")
    program.chmod(0o755)
    run = start("./a=b")
    _, record = run.end()

    assert (record.code, run.output) == (0, "ran\n")


@pytest.mark.parametrize(
    ("argv", "code"),
    [(("no-such",), 127), (("./gone-interpreter",), 127), (("./text",), 126), (("/etc",), 126)],
)
def test_cannot_be_started(start, tmp_path, argv, code):
    """A command that cannot be started gives 127 or 126 and a line that names it."""
    workspace = make_spec(tmp_path).folder / "workspace"
    (workspace / "text").write_text("x")
    (workspace / "gone-interpreter").write_text("#!/no/such/program\n")
    (workspace / "gone-interpreter").chmod(0o755)
    run = start(*argv)
    _, record = run.end()

    assert record.code == code
    assert argv[0].strip("./") in run.output


def test_the_path_is_searched_for_the_program(start, tmp_path):
    """What is no program is passed over; a folder that is relative lies below the one that the job starts in."""
    workspace = make_spec(tmp_path).folder / "workspace"
    for folder, text, mode in (("none", "x", 0o644), ("bin", "#!/bin/sh\necho $0\n", 0o755)):
        (workspace / folder).mkdir()
        (workspace / folder / "prog").write_text(text)
        (workspace / folder / "prog").chmod(mode)
    path = f"/no/such/folder:{workspace}/none:bin:{os.defpath}"
    found = start("prog", env={"PATH": path})
    assert (found.end()[1].code, found.output) == (0, "bin/prog\n")


def test_a_file_on_the_path_that_is_no_program(start, tmp_path):
    """Where there is nothing else of the name, that is what the error tells of."""
    workspace = make_spec(tmp_path).folder / "workspace"
    (workspace / "prog").write_text("x")
    only = start("prog", env={"PATH": f"{workspace}:/no/such/folder:{os.defpath}"})
    assert only.end()[1].code == 126


@pytest.mark.parametrize("word", ["stop\n", "going\n", "\n"])
def test_anything_but_go_ends(start, word):
    """Only the word go runs the job."""
    run = start("echo", "ran", go=False)
    (run.spec.control / "go").write_text(word)
    status, record = run.end()

    assert (status, record, run.output) == (0, None, "")


def test_signal_before_the_go_ends(start):
    """An init that is told to stop while it waits goes without a trace."""
    run = start("echo", "ran", go=False)
    run.signal(signal.SIGTERM)
    status, record = run.end()

    assert (status, record, run.output) == (0, None, "")


def test_go_never_comes(start, monkeypatch):
    """An init whose worker vanished before the go does not wait for ever."""
    monkeypatch.setattr(control, "GO_TIMEOUT", 1)
    run = start("echo", "ran", go=False)
    status, record = run.end()

    assert (status, record, run.output) == (0, None, "")


def test_interrupt_is_passed_on(start, kind):
    """SIGINT reaches the job's whole process group; under a shell, which cannot pass it on, as SIGTERM."""
    name = "INT" if kind.startswith("python") else "TERM"
    run = start("sh", "-c", f"trap 'echo got it; exit 4' {name}; echo ready; while :; do sleep 0.1; done")
    poll_until(lambda: "ready" in run.output)
    run.signal(signal.SIGINT)
    _, record = run.end()

    assert record.code == 4
    assert run.output.endswith("got it\n")


def test_quit_kills_all(start):
    """SIGQUIT ends a job that ignores everything, with what it started in sessions of their own."""
    line = "trap '' TERM INT QUIT; setsid sh -c 'trap \"\" TERM; echo child; sleep 50' & echo ready; while :; do sleep 1; done"
    run = start("sh", "-c", line)
    poll_until(lambda: "ready" in run.output and "child" in run.output)
    run.signal(signal.SIGQUIT)
    _, record = run.end()

    assert record.signal == signal.SIGKILL


def test_flood_without_newline(start):
    """100 MB in one line: the cap holds, the ends stay, and it takes neither time nor memory."""
    run = start("sh", "-c", "head -c 100000000 /dev/zero | tr '\\0' x; echo; echo the end")
    _, record = run.end(60)
    kept = sum(path.stat().st_size for path in run.spec.control.glob("log*"))

    assert record.log_bytes == 100_000_009
    assert record.log_bytes - record.log_dropped == kept
    assert kept <= 2 * LOG_LIMIT
    assert run.output.endswith("xxx\nthe end\n")


def test_every_byte_has_its_place(start):
    """What is kept of a long output lies at the offsets where the job printed it."""
    run = start("sh", "-c", FLOOD)
    run.end(60)
    whole = (LINE + "\n").encode()
    offset = pieces = 0
    while (chunk := read_log(run.spec.control, offset, 65_536)).data:
        shift = chunk.offset % len(whole)
        expected = (whole * (len(chunk.data) // len(whole) + 2))[shift : shift + len(chunk.data)]
        assert chunk.data == expected
        pieces += 1
        offset = chunk.next

    assert pieces > 4
    assert offset == log_end(run.spec.control) == 100_000_000


def test_python_init_keeps_the_cap_exactly(tmp_path):
    """The Python init's log never exceeds its limit, and keeps at least seven eighths of it."""
    run = Run(interpreter("python3.13"), make_spec(tmp_path, ("sh", "-c", FLOOD)))
    control.give_go(run.spec.folder)
    run.end(60)
    kept = sum(path.stat().st_size for path in run.spec.control.glob("log*"))

    assert LOG_LIMIT * 7 // 8 <= kept <= LOG_LIMIT


def test_full_disk(tmp_path):
    """A disk filled by the job's output costs output, not the job, and the record still fits."""
    need("root")
    disk = tmp_path / "jobs"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "fetchml-test", disk], check=True)
    try:
        spec = make_spec(tmp_path, ("sh", "-c", f"{FLOOD}; exit 3"), log_limit=64 << 20)
        run = Run(interpreter("python3.13"), spec)
        control.give_go(spec.folder)
        _, record = run.end(60)
    finally:
        subprocess.run(["umount", disk], check=True)

    assert (record.code, record.log_bytes) == (3, 100_000_000)
    assert record.log_dropped > 90_000_000


def test_full_disk_before_the_start(tmp_path):
    """Where the record would not fit, the init ends before anything of the job ran."""
    need("root")
    disk = tmp_path / "jobs"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "fetchml-test", disk], check=True)
    try:
        spec = make_spec(tmp_path, ("touch", "ran"))
        view = host_view(spec)
        control.prepare(spec, view, job_environment(spec, view))
        with pytest.raises(OSError, match="No space"):
            (disk / "fill").write_bytes(bytes(1 << 20))
        done = subprocess.run(
            [*interpreter("python3.13"), str(spec.control)], capture_output=True, timeout=20, check=False
        )
    finally:
        subprocess.run(["umount", disk], check=True)

    assert done.returncode != 0
    assert b"No space left" in done.stderr


def test_memory_of_the_init_is_bounded(tmp_path):
    """The init does not grow with the job's output."""
    run = Run(interpreter("python3.13"), make_spec(tmp_path, ("sh", "-c", f"{FLOOD}; sleep 60")))
    control.give_go(run.spec.folder)
    poll_until(lambda: log_end(run.spec.control) == 100_000_000, timeout=60)
    status = Path(f"/proc/{run.process.pid}/status").read_text()
    peak = int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")))
    run.signal(signal.SIGQUIT)
    run.end()

    assert peak < 40_000


def test_job_dies_with_its_init(tmp_path):
    """On a bare host a killed init takes the job along."""
    run = Run(interpreter("python3.13"), make_spec(tmp_path, ("sh", "-c", "echo $$; exec sleep 60")))
    control.give_go(run.spec.folder)
    pid = int(poll_until(lambda: run.output))
    run.process.kill()
    run.process.wait()

    poll_until(
        lambda: not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split()[2]
    )


def test_record_is_padded_json(start):
    """The record is one JSON object in a plain file that any reader takes."""
    run = start("true")
    run.end()

    assert json.loads((run.spec.control / "exit.json").read_text())["version"] == 1
    assert not list(run.spec.control.glob("*.tmp"))


def test_reading_past_a_gap(tmp_path):
    """A reader that asks for dropped bytes gets the next ones there are, and is told how many are missing."""
    (tmp_path / "log").write_bytes(b"0123")
    (tmp_path / "log.10").write_bytes(b"abcd")
    (tmp_path / "log.14").write_bytes(b"ef")

    assert read_log(tmp_path, 2, 100) == LogChunk(2, b"23")
    assert read_log(tmp_path, 4, 100) == LogChunk(10, b"abcd", dropped=6)
    assert read_log(tmp_path, 7, 2) == LogChunk(10, b"ab", dropped=3)
    assert read_log(tmp_path, 14, 100) == LogChunk(14, b"ef")
    assert read_log(tmp_path, 16, 100) == LogChunk(16, b"")
    assert printed(tmp_path) == b"0123" + cut_mark(6) + b"abcdef"
    assert log_end(tmp_path) == 16
    assert read_log(tmp_path / "not-yet", 0, 1) == LogChunk(0, b"")


def test_hostile_log_folder(tmp_path):
    """A job that puts links, FIFOs and folders in place of its log is read as nothing, at once."""
    (tmp_path / "log").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "log.5")
    (tmp_path / "log.7").mkdir()
    (tmp_path / "log.x").write_text("x")

    assert printed(tmp_path) == b""
    assert log_end(tmp_path) == 0


@pytest.mark.parametrize("accelerated", [True, False])
def test_a_spec_is_read_as_json_says(tmp_path, monkeypatch, accelerated):
    """Whatever words a job is given, also in a Python whose json has no part in C."""
    if not accelerated:
        monkeypatch.setitem(sys.modules, "_json", None)
    spec = {
        "argv": ["a b", '"\\/\n\0', "€", "\U0001f600", "\udcff"],
        "env": {},
        "log_limit": 1 << 40,
        "cuda": False,
    }
    (tmp_path / "spec.json").write_text(json.dumps(spec), "ascii")

    assert init.read_spec(str(tmp_path)) == spec
