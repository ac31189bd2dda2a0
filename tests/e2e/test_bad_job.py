"""Jobs that end badly, or behave badly: what the submitter reads, and what the terminal is spared."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from tests.e2e.said import local_base, script

LAUNCHERS = {"process": "launcher: process\n", "podman": "sandbox:\n  limits: best-effort\n"}
MEASURED = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
"""
ESCAPES = r"""
    import sys
    sys.stdout.buffer.write(
        b"\x1b]0;owned\x07"          # the title of the window
        b"\x1b[31mred\x1b[0m "
        b"\x1b[2J\x1b[H"             # clears the screen
        b"\x1b]52;c;ZXZpbA==\x07"    # the clipboard
        b"\x1b[6n\x9b31m\x90q\x9c"   # a question to the terminal, and 8-bit controls
        b"\rover the line "
        b"the end\n"
    )
    """


@pytest.fixture(params=LAUNCHERS)
def ml_on(ml, tmp_path, request):
    """``ml`` whose jobs run as processes, or in containers."""
    if request.param == "podman":
        request.getfixturevalue("image_python")
    local_base(ml, tmp_path / "base", LAUNCHERS[request.param])
    return ml


def ending(text: str) -> str:
    """The lines from the one that tells how the job ended."""
    lines = text.splitlines()
    first = next(i for i, line in enumerate(lines) if " failed" in line or " succeeded" in line)
    return "\n".join(lines[first:])


def test_exit_3(ml_on):
    """A script that exits 3 has failed: 1 for whoever waits, 3 for whoever asks for the job's own."""
    script(ml_on, "exit 3\n", "run.sh")

    done = ml_on.fails(1, "submit", "job/run.sh", "-f")
    assert ending(done.stderr) == "job 1 failed: exit 3"
    ml_on.fails(1, "wait", "1")
    ml_on.fails(3, "wait", "1", "--exit-status", "job")
    assert "failed\t" in ml_on.ok("status")
    assert "exit 3" in ml_on.ok("status")
    outcome = ml_on.json("show", "1")["job"]["attempts"][0]["outcome"]
    assert (outcome["state"], outcome["code"], outcome["signal"], outcome["failure"]) == (
        "failed",
        3,
        None,
        "code",
    )


def test_segmentation_fault(ml_on):
    """A script that dies by a signal: its name, and 128 + 11 for whoever asks for the job's own status."""
    script(ml_on, "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")

    done = ml_on.fails(1, "submit", "job", "--wait")
    assert ending(done.stderr) == "job 1 failed: killed by SIGSEGV"
    ml_on.fails(139, "wait", "1", "--exit-status", "job")
    outcome = ml_on.json("show", "1")["job"]["attempts"][0]["outcome"]
    assert (outcome["code"], outcome["signal"]) == (None, 11)


def test_module_that_is_missing(ml_on, request):
    """ModuleNotFoundError: the hint names the image (or the host's Python) and the way out."""
    script(ml_on, "import no_such_library.part\n")

    done = ml_on.fails(1, "submit", "job", "-f")

    hints = {
        "podman": "the image docker.io/library/python:3.9-slim has no no_such_library: name one that has it (--image), "
        "or put no_such_library into the tree",
        "process": "the host's python3 has no no_such_library: install it there, or put no_such_library into the tree",
    }
    launcher = request.node.callspec.params["ml_on"]
    assert ending(done.stderr) == f"job 1 failed: exit 1\n  hint  {hints[launcher]}"
    assert hints[launcher] in ml_on.ok("show", "1")


def test_interpreter_that_is_missing(ml_on):
    """A script whose interpreter is not there: which script, and that the first line may be at fault."""
    script(ml_on, "#!/no/such/interpreter\n", "run").chmod(0o755)

    done = ml_on.fails(1, "submit", "job/run", "-f")

    assert 'command not found: "./run" (or the program named in its first line)' in ending(done.stderr)
    ml_on.fails(127, "wait", "1", "--exit-status", "job")


def test_100_mb_of_output(ml_on):
    """Output beyond 64 MiB is cut in its middle, the cut is marked, and reading it takes bounded memory."""
    script(
        ml_on,
        """
        import sys
        print("first line")
        for _ in range(1000):
            sys.stdout.write(("x" * 99 + "\\n") * 1000)
        print("last line")
        """,
    )

    done = ml_on.fails(0, "submit", "job", "--wait")
    dropped = int(ending(done.stderr).split("\n")[1].split()[1])
    assert ending(done.stderr) == (
        f"job 1 succeeded\n  note  {dropped} bytes in the middle of its log were dropped"
    )

    with (ml_on.cwd / "log").open("wb") as out:
        argv = [sys.executable, "-c", MEASURED, sys.executable, "-m", "fetchml_cli", "logs", "1"]
        measured = subprocess.run(
            argv, stdout=out, stderr=subprocess.PIPE, env=ml_on.env, cwd=ml_on.cwd, check=True, timeout=60
        )
    peak = int(measured.stderr.split()[-1])
    log = (ml_on.cwd / "log").read_bytes()
    mark = b"[fetchml: %d bytes of output dropped here]\n" % dropped
    assert log.startswith(b"first line\n")
    assert log.endswith(b"last line\n")
    assert log.count(mark) == 1
    assert len(log) < 70 << 20
    assert peak < 60 << 10, "KiB of the largest process: less than the log"
    assert ml_on.ok("logs", "1", "--tail", "1") == "last line\n"


def test_escape_sequences(ml_on):
    """On a terminal text and colour are all that a log can do; --raw passes every byte, a pipe gets every byte."""
    script(ml_on, ESCAPES)
    ml_on.fails(0, "submit", "job", "--wait")
    raw = subprocess.run(
        [sys.executable, "-m", "fetchml_cli", "logs", "1"],
        env=ml_on.env,
        cwd=ml_on.cwd,
        capture_output=True,
        check=True,
    ).stdout
    assert raw.startswith(b"\x1b]0;owned\x07\x1b[31mred")

    shown = typescript(ml_on, "logs", "1")
    assert b"\x1b]" not in shown
    assert b"\x1b[2J" not in shown
    assert b"\x1b[6n" not in shown
    assert not any(0x80 <= ord(char) < 0xA0 for char in shown.decode("utf-8"))
    assert b"\x1b[31mred\x1b[0m" in shown
    assert b"the end" in shown

    assert b"\x1b]0;owned\x07" in typescript(ml_on, "logs", "1", "--raw")


def typescript(ml, *args: str) -> bytes:
    """Run ``ml ARGS`` on a pseudo-terminal and return every byte it sent there."""
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(ml.cwd)
        os.execve(sys.executable, [sys.executable, "-m", "fetchml_cli", *args], ml.env)
    seen = b""
    try:
        while chunk := os.read(fd, 65536):
            seen += chunk
    except OSError:  # the other end is closed
        pass
    os.close(fd)
    os.waitpid(pid, 0)
    return seen


def test_prints_and_never_ends(ml_on):
    """--time ends a job that does not: 8 for whoever waits, and the log up to then is kept."""
    script(ml_on, "import time\nprint('started')\ntime.sleep(1000)\n")

    done = ml_on.fails(8, "submit", "job", "-f", "--time", "2s")

    assert done.stdout.endswith("started\n")
    assert "job 1 timed-out: its time limit of 2s ran out" in done.stderr
