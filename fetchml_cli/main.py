"""The program `ml`: from argv to an exit status.

Layer 8. ``ml --version`` is answered before anything is imported that takes time. Everything else runs inside
`boundary.guard`, the one place where an error becomes text and a status; the surroundings (`Cli`) are made only
when a command runs or an error is to be shown, so help never pays for them.
"""

from __future__ import annotations

import gc
import os
import sys

from fetchml_core import __version__

TYPE_CHECKING = False  # not from typing, whose import would be half the time of `ml --version`
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TextIO

    from fetchml_cli.cli import Cli

    Table = Mapping[str, tuple[str, str]]

INTERRUPTED = 130
RARELY = 50_000
"""How many new objects make a garbage collection."""


def main(commands: Table | None = None) -> int:
    """Run `ml` in this process: the console script. *commands*: other verbs than ours, for tests."""
    try:
        return _main(sys.argv[1:], commands)
    except KeyboardInterrupt:  # while starting, or while an error was being shown
        return INTERRUPTED


def run(argv: Sequence[str], make_cli: Callable[[], Cli], commands: Table | None = None) -> int:
    """Run one command and return its exit status; errors are shown, never raised.

    Args:
        argv: What was typed after ``ml``.
        make_cli: Gives the surroundings; called late, perhaps several times, and always gives the same object.
        commands: Other verbs than ours, for tests.
    """
    from fetchml_cli.boundary import guard

    return guard(lambda: dispatch(argv, make_cli, commands), argv=argv, make_cli=make_cli)


def dispatch(argv: Sequence[str], make_cli: Callable[[], Cli], commands: Table | None = None) -> int:
    """Parse *argv*, run the command and return its status; errors pass through.

    A command ends well by returning nothing, and with another status by returning it or by ``typer.Exit``.
    """
    import typer

    from fetchml_cli.lazy import COMMANDS, root_app

    group = typer.main.get_command(root_app(COMMANDS if commands is None else commands))
    try:
        # Not Typer's own main(): it shows errors its own way, swallows Ctrl-C and exits.
        with group.make_context("ml", list(argv), obj=make_cli) as context:
            result = group.invoke(context)
    except typer.Exit as stop:
        result = stop.exit_code
    sys.stdout.flush()  # a full disk or a closed pipe shows here, where it still changes the status
    return result if type(result) is int else 0


def _main(argv: list[str], commands: Table | None) -> int:
    _prepare_streams()
    if argv == ["--version"]:
        try:
            sys.stdout.write(f"ml {__version__}\n")
            sys.stdout.flush()
        except OSError:  # the long way comes to the same error and explains it
            pass
        else:
            return 0
    # A hundred modules are imported next, and hardly anything of them is garbage: collecting seldom saves a tenth of it.
    gc.set_threshold(RARELY)
    made: list[Cli] = []

    def make_cli() -> Cli:
        if not made:
            from fetchml_cli.cli import Cli

            made.append(Cli.from_process())
        return made[0]

    _watch_threads(argv, make_cli)
    status = run(argv, make_cli, commands)
    _let_go_of_output()
    # The end of the interpreter looks through all that is left for garbage, for a tenth of a second: let it find nothing.
    gc.freeze()
    return status


def _watch_threads(argv: Sequence[str], make_cli: Callable[[], Cli]) -> None:
    """Let a failure in a thread end as a report and not as a traceback; the command itself goes on or fails on its own."""
    import threading

    def failed(args: threading.ExceptHookArgs) -> None:
        if isinstance(args.exc_value, Exception):
            from fetchml_cli.boundary import show_error

            show_error(args.exc_value, argv, make_cli())

    threading.excepthook = failed


def _prepare_streams() -> None:
    """Fill the streams that the caller closed (``>&-``), else the next file or socket would take their descriptors."""
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115, PTH123 - lives as long as the process
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    for stream in (sys.stdout, sys.stderr):
        change = getattr(stream, "reconfigure", None)  # a test may have put another kind of stream here
        if change is not None:
            change(errors="backslashreplace")  # a name that the locale cannot show is no error


def _let_go_of_output() -> None:
    """Write out what is left; where that fails, stop the interpreter from trying it again with a traceback."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the status is known: a late Ctrl-C has nothing to stop
    _flush_or_drop(sys.stdout, 1)
    _flush_or_drop(sys.stderr, 2)


def _flush_or_drop(stream: TextIO, number: int) -> None:
    try:
        stream.flush()
    except (OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)
