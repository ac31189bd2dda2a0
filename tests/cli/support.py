"""A command line inside a test: the whole of it, with streams, environment and folders of the test."""

import io
import os
import subprocess
import sys
from pathlib import Path

from attrs import frozen

from fetchml_cli.cli import Cli
from fetchml_cli.main import run
from fetchml_cli.output.writer import Writer

ROOT = Path(__file__).parents[2]
# CI names the number for the damaged samples (tests/core/config/test_properties.py): these are dearer and fewer.
CASES = max(150, int(os.environ.get("FETCHML_CASES", "0")) // 20)


@frozen
class Ran:
    """How a command ended and what it wrote."""

    status: int
    out: str
    err: str


def text_of(writer: Writer) -> str:
    """What was written so far."""
    writer.flush()
    kept = getattr(writer.stream, "buffer", None)
    assert isinstance(kept, io.BytesIO)
    return kept.getvalue().decode()


def fake_cli(
    home: Path,
    *,
    tty: bool = False,
    colour: bool = False,
    width: int = 80,
    stdin: bytes = b"",
    **environ: str,
) -> Cli:
    """Surroundings for a test; ``tty`` is about stdout and stderr."""

    def writer() -> Writer:
        return Writer(io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline=""), tty=tty, colour=colour)

    return Cli(
        out=writer(),
        err=writer(),
        stdin=io.BytesIO(stdin),
        environ={"TERM": "xterm", **environ},
        home_folder=home,
        start_folder=home,
        columns=lambda: width,
        interactive=tty,
    )


def run_in(cli: Cli, *argv: str, commands=None) -> Ran:
    """Run `ml` with *argv* in this process."""
    status = run(argv, lambda: cli, commands)
    return Ran(status, text_of(cli.out), text_of(cli.err))


def plain_environ(home: Path, **more: str) -> dict[str, str]:
    """An environment that has nothing of the person who runs the tests."""
    return {"HOME": str(home), "PATH": os.defpath, "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT), **more}


def python(home: Path, *words: str, **settings) -> subprocess.CompletedProcess[bytes]:
    """Run a fresh Python that knows our packages."""
    environ = plain_environ(home, **settings.pop("environ", {}))
    settings = {"capture_output": True, "timeout": 60, "cwd": ROOT, **settings}
    return subprocess.run([sys.executable, *words], env=environ, check=False, **settings)


def ml(home: Path, *words: str, **settings) -> subprocess.CompletedProcess[bytes]:
    """Run `ml` in a process of its own."""
    return python(home, "-m", "fetchml_cli", *words, **settings)
