"""Where errors end: the one place that turns them into text on stderr and an exit status.

Layer 8. A command raises; nobody else prints an error, exits or shows a traceback.

    what was raised                status      what is shown
    FetchError                     its class's at most four lines
    a mistake in what was typed    2           the same, with the help to ask for
    a prompt that was refused      2           the same
    Detached                       130         its lines
    Ctrl-C                         130         nothing
    the reader of our output left  141         nothing, as any Unix tool in ``ml … | head``
    an OSError nobody explained    1 or 6      the system's words
    anything else                  70          a report file is written and named

With ``--json`` what is shown is one JSON object on stderr. Every text is made safe for a terminal: names, paths
and messages of a host are a stranger's words.
"""

from __future__ import annotations

import contextlib
import errno
import sys
from typing import TYPE_CHECKING

from fetchml_core.errors import BugError, FetchError, HostError, InputError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fetchml_cli.cli import Cli

INTERRUPTED = 130
READER_LEFT = 141
LONGEST = 600  # characters of one line; a stranger's message does not fill the screen


class Detached(Exception):  # noqa: N818 - not an error: the job goes on
    """Ctrl-C ended the watching, not the job.

    Args:
        message: One or two lines: that the job goes on, and how to come back.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def guard(action: Callable[[], int], *, argv: Sequence[str], make_cli: Callable[[], Cli]) -> int:
    """Run *action* and return the exit status; whatever it raises is shown.

    Args:
        action: The command; returns its status.
        argv: What was typed, to know ``--json`` and for a report.
        make_cli: Gives streams and folders; called only when something is to be shown.
    """
    try:
        return action()
    except SystemExit as stop:  # a library's way out
        return stop.code if type(stop.code) is int else int(bool(stop.code))
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - here errors end
        if isinstance(error, BrokenPipeError) and _reader_left():
            return READER_LEFT
        return _show(error, argv, make_cli())


def _show(error: Exception, argv: Sequence[str], cli: Cli) -> int:
    if isinstance(error, Detached):
        return _show_detached(error, argv, cli)
    if type(error).__name__ == "NoArgsIsHelpError":  # bare `ml`: its message is the help
        return _show_help(str(error), cli)
    return show_error(error, argv, cli)


def explain(error: Exception, verb: str = "") -> FetchError:
    """Return *error* as one that can be shown; what nobody foresaw becomes a BugError.

    Args:
        error: What was raised.
        verb: The verb that was typed, for the help to name.
    """
    if isinstance(error, FetchError):
        return error
    if isinstance(error, OSError):
        return _explain_system(error)
    return _explain_typer(error, verb) or BugError(
        "bug", "ml made a mistake; it is ours, not yours", context=type(error).__name__
    )


def show_error(error: Exception, argv: Sequence[str], cli: Cli) -> int:
    """Show *error* on stderr, with a report where it is our mistake; returns the exit status it stands for."""
    shown = explain(error, verb=argv[0] if argv and not argv[0].startswith("-") else "")
    from fetchml_cli.output.typed import name_profile

    shown.hint = name_profile(shown.hint, _profile_of(argv))
    report = ""
    if isinstance(shown, BugError):
        from fetchml_cli.report import write_report

        report = write_report(error, argv, cli)
        if report and not shown.hint:
            shown.hint = "read the report, then send it with what you were doing"
    with contextlib.suppress(OSError, ValueError):  # nobody reads stderr: the status still tells
        if _wants_json(argv):
            from fetchml_cli.output.json import json_line

            cli.err.write(json_line(error_fields(shown, report)))
        else:
            cli.err.write("".join(f"{line}\n" for line in error_lines(shown, report)))
        cli.err.flush()
    return shown.status


def error_lines(error: FetchError, report: str = "") -> list[str]:
    """Return the lines that show *error* to a person, four at most."""
    from fetchml_cli.output.safe import safe_text

    context = error.context.split("\n")[:1] if report else error.context.split("\n")[:2]
    rows = [("context" if number == 0 else "", text.strip()) for number, text in enumerate(context)]
    rows += [("report", report), ("hint", error.hint)]
    lines = [
        f"error: {error.code}: {error.message}",
        *(f"  {name:<7}  {text}" for name, text in rows if text),
    ]
    return [_shortened(safe_text(line)) for line in lines]


def error_fields(error: FetchError, report: str = "") -> dict[str, object]:
    """Return *error* for ``--json``."""
    from fetchml_core.errors import to_fields

    fields: dict[str, object] = {**to_fields(error), "status": error.status}
    return {"error": {**fields, "report": report} if report else fields}


def _show_detached(detached: Detached, argv: Sequence[str], cli: Cli) -> int:
    from fetchml_cli.output.json import json_line
    from fetchml_cli.output.safe import safe_text
    from fetchml_cli.output.typed import name_profile

    message = name_profile(detached.message, _profile_of(argv))
    with contextlib.suppress(OSError, ValueError):
        if _wants_json(argv):
            cli.err.write(json_line({"detached": {"message": message, "status": INTERRUPTED}}))
        else:
            cli.err.write(safe_text(message, lines=True).rstrip("\n") + "\n")
        cli.err.flush()
    return INTERRUPTED


def _show_help(text: str, cli: Cli) -> int:
    with contextlib.suppress(OSError, ValueError):
        cli.err.write(text + "\n")
        cli.err.flush()
    return InputError.status


def _wants_json(argv: Sequence[str]) -> bool:
    """Tell whether ``--json`` was typed; asked of argv, because a usage error comes before any option is known."""
    return "--json" in _our_words(argv)


def _profile_of(argv: Sequence[str]) -> str:
    """Return the profile that was typed, empty for none; asked of argv likewise."""
    words = _our_words(argv)
    found = [words[place + 1] for place, word in enumerate(words[:-1]) if word == "--profile"]
    found += [word.partition("=")[2] for word in words if word.startswith("--profile=")]
    return found[-1] if found else ""


def _our_words(argv: Sequence[str]) -> list[str]:
    words = list(argv)
    return words[: words.index("--")] if "--" in words else words


def _shortened(line: str) -> str:
    return line if len(line) <= LONGEST else line[: LONGEST - 4] + " ..."


def _explain_system(error: OSError) -> FetchError:
    place = str(error.filename or "")
    said = error.strerror or str(error) or type(error).__name__
    if isinstance(error, (ConnectionError, TimeoutError)):
        return UnreachableError(
            "link-broken", f"the connection ended: {said}", context=place, hint="run the same command again"
        )
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return HostError("disk-full", "no space left on this machine", context=place, hint="df -h; df -i")
    if error.errno in {errno.EACCES, errno.EPERM}:
        return HostError(
            "not-permitted",
            "this machine does not let you",
            context=place,
            hint=f"ls -ld {place}" if place else "",
        )
    return HostError("io-error", f"this machine says: {said}", context=place)


def _explain_typer(error: Exception, verb: str) -> FetchError | None:
    """Explain what Typer raises for a mistake in what was typed; None when it is something else."""
    if type(error).__name__ == "Abort":
        return InputError("refused", "stopped at the question; nothing was changed")
    from typer.exceptions import TyperException

    if not isinstance(error, TyperException):
        return None
    codes = {
        "NoSuchOption": "unknown-option",
        "MissingParameter": "missing-argument",
        "BadParameter": "bad-value",
    }
    context = getattr(error, "ctx", None)
    path = (
        f"ml {verb}".rstrip() if context is None else context.command_path
    )  # the parser of options has no context
    message = error.format_message().rstrip(".")
    return InputError(codes.get(type(error).__name__, "usage"), message, hint=f"{path} --help")


def _reader_left() -> bool:
    """Tell whether it was our stdout or stderr that broke, and not a connection to a host."""
    import select

    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            poll = select.poll()
            poll.register(stream.fileno(), 0)
            if any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0)):
                return True
    return False
