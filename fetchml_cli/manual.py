"""Manual pages, made from what the programs know about themselves.

Layer 8, pure but for the import of the commands: `pages` returns file name -> text. The text has no date, so that the
same program always gives the same pages; its words come from the commands' docstrings and options, from the table of
error classes, and from the few tables below.
"""

from __future__ import annotations

import argparse
import importlib
import re
import textwrap
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import typer

from fetchml_cli.lazy import COMMANDS
from fetchml_core import __version__
from fetchml_core.errors import CLASSES, ConfigError, HostError

if TYPE_CHECKING:
    from typer._click import Command, Parameter

Pairs = Iterable[tuple[str, str]]

FILES = (
    ("~/.ml/config.toml", "The profile: which host, with which key. Without it jobs run on this machine."),
    ("~/.ml/config-NAME.toml", "The profile that --profile NAME reads."),
    ("~/.ml/local", "Base folder of the jobs that run on this machine."),
    ("~/.ml/cache", "Hashes of files, and submissions that got no answer yet."),
)
HOST_FILES = (
    ("BASE/worker.yaml", "The worker file; without it its defaults count."),
    ("BASE/server.yaml", "The api file: who may do what; without it authentication is off."),
    ("BASE/run/worker.log", "What a worker that was started on demand has to say."),
    ("BASE/data", "Queue, snapshots and jobs, unless base_path in the worker file names another folder."),
)
HOST_STATUSES = (
    ("0", "It did what was asked."),
    ("1", HostError.__doc__ or ""),
    ("2", "What was typed cannot be used."),
    ("3", ConfigError.__doc__ or ""),
)
ENVIRONMENT = (
    ("CLI_CONFIG", "Names the profile file to use instead of ~/.ml/config.toml."),
    ("NO_COLOR", "Anything but the empty string turns colour off."),
)
HOST_ENVIRONMENT = (
    ("FETCHML_CONFIG", "Names the api file to use instead of BASE/server.yaml."),
    ("FETCHML_LOG_LEVEL", "Overrides logging.level: debug, info, warn or error."),
)
WAITING = (
    ("1", "A job that was waited for failed or was lost."),
    ("7", "It was cancelled."),
    ("8", "Its --time was reached."),
    ("9", "The --timeout of the wait ran out."),
    ("130", "Ctrl-C detached; the job goes on."),
)
SELECTORS = (
    ("42", "The job with this number."),
    ("40-44", "Several, for commands that take more than one."),
    ("last", "The newest job."),
    ("@~1", "The one before it."),
    ("name:PATTERN", "Jobs whose name matches, as in name:sweep-*."),
)
_WORDS = {"str": "TEXT", "int range": "N", "float": "N", "path": "PATH"}
_EXIT = "Exit status: "


def pages() -> dict[str, str]:
    """Return all pages: file name -> text."""
    made = {"ml.1": _program()}
    for name, (module, summary) in COMMANDS.items():
        app = importlib.import_module(module).app
        made[f"ml-{name}.1"] = _verb(name, summary, typer.main.get_command(app))
    from fetchml_core.agent.main import make_parser as agent
    from fetchml_core.worker.main import make_parser as worker

    for parser in (agent(), worker()):
        made[f"{parser.prog}.1"] = _host_program(parser)
    return made


def roff(text: str) -> str:
    """Return *text* for a line of running text: nothing in it is taken for a command of roff."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("^", "\\(ha").replace("~", "\\(ti")
    escaped = escaped.replace("`", "\\(ga")
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in escaped.splitlines())


def _page(name: str, summary: str, synopsis: str, *sections: tuple[str, str]) -> str:
    lines = [
        '.\\" Made by "python -m fetchml_cli.generate man". Do not edit.',
        f'.TH {roff(name.upper())} 1 "" "FetchML {__version__}" "FetchML"',
        f".SH NAME\n{roff(name)} \\- {roff(summary[0].lower() + summary[1:].rstrip('.'))}",
        f".SH SYNOPSIS\n{synopsis}",
    ]
    lines += [f".SH {title}\n{text}" for title, text in sections if text]
    return "\n".join(lines) + "\n"


def _paragraphs(texts: Iterable[str]) -> str:
    return "\n.PP\n".join(_lines(text) for text in texts)


def _lines(text: str) -> str:
    """Break running text into short source lines; roff joins them again."""
    # broken before it is escaped: a hyphen is no place to break, and a line never begins with a lone escape
    wrapped = textwrap.wrap(" ".join(text.split()), 70, break_on_hyphens=False, break_long_words=False)
    return "\n".join(roff(line) for line in wrapped)


def _list(pairs: Pairs) -> str:
    return "\n".join(f".TP\n.B {roff(term)}\n{_lines(text)}" for term, text in pairs)


def _see(*names: str) -> str:
    return " ,\n".join(f".BR {roff(name)} (1)" for name in names).replace("(1) ,", "(1),")


# --- ml and its verbs ---------------------------------------------------------------------------------------


def _program() -> str:
    verbs = [(f"ml {name}", summary) for name, (_, summary) in COMMANDS.items()]
    sections = (
        ("DESCRIPTION", _paragraphs(_DESCRIPTION.split("\n\n"))),
        ("COMMANDS", _list(verbs)),
        (
            "OPTIONS",
            _list([("--version", "Show the version and exit."), ("-h, --help", "Show help and exit.")]),
        ),
        ("NAMING JOBS", _list(SELECTORS)),
        ("EXIT STATUS", _exit_statuses()),
        ("ENVIRONMENT", _list(ENVIRONMENT)),
        ("FILES", _list(FILES)),
        ("SEE ALSO", _see(*(f"ml-{name}" for name in COMMANDS), "fetchml-worker", "podman")),
    )
    synopsis = f".B ml\n.I COMMAND\n{roff('[OPTIONS] [ARGUMENTS]')}\n.br\n.B ml\n{roff('--version | --help')}"
    return _page("ml", "Run training jobs over SSH on the machines you own.", synopsis, *sections)


_DESCRIPTION = """
ml freezes a folder of code, hands it to a host over SSH and returns the number of a job. On the host a durable
queue holds the job, and a worker runs it in a hardened Podman container. The client may disconnect at any time.

Without a profile, or with one that names no host, jobs run on this machine; where Podman cannot be used there,
they run as plain processes, and every one of them is marked 'not sandboxed'.

Data goes to standard output, talk to standard error. Where standard output is no terminal, tables are separated
by tabs and have no head, and times are in seconds and RFC 3339.
"""


def _exit_statuses() -> str:
    own = [("0", "It did what was asked.")]
    own += [(str(cls.status), f"{(cls.__doc__ or '').splitlines()[0]}") for cls in CLASSES.values()]
    waiting = (
        "Commands that wait for a job (wait, logs --follow, submit --wait or --follow) use further ones:"
    )
    return f"{_list(own)}\n.PP\n{_lines(waiting)}\n{_list(WAITING)}"


def _verb(name: str, summary: str, command: Command) -> str:
    texts = [part for part in (command.help or "").split("\n\n") if part.strip()]
    told = [" ".join(part.split()) for part in texts[1:]]
    ending = next((part.removeprefix(_EXIT) for part in told if part.startswith(_EXIT)), "")
    told = [part for part in told if not part.startswith(_EXIT)]
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    options = [param for param in command.params if param.param_type_name == "option"]
    words = " ".join(_term(param) for param in arguments)
    sections = (
        ("DESCRIPTION", _paragraphs([summary, *told])),
        ("ARGUMENTS", _list((_term(param).strip("[]"), _help(param)) for param in arguments)),
        (
            "OPTIONS",
            _list(
                [*((_term(param), _help(param)) for param in options), ("-h, --help", "Show help and exit.")]
            ),
        ),
        ("EXIT STATUS", _list(_statuses(ending))),
        ("FILES", _list(FILES[:2])),
        ("SEE ALSO", _see("ml", *(f"ml-{other}" for other in COMMANDS if other != name))),
    )
    return _page(f"ml-{name}", summary, f".B ml {name}\n{roff('[OPTIONS] ' + words)}", *sections)


def _term(param: Parameter) -> str:
    shown: str = param.metavar or _WORDS.get(param.type.name, "")
    if param.param_type_name == "argument":
        return shown
    known: Any = param
    names = ", ".join([*known.opts, *known.secondary_opts])
    return names if known.is_flag else f"{names} {shown}"


def _help(param: Parameter) -> str:
    known: Any = param
    text: str = known.help or ""
    if type(param.default) is int and param.default:
        text += f" Default: {param.default}."
    if getattr(known, "multiple", False):
        text += " May be given several times."
    return text


def _statuses(text: str) -> list[tuple[str, str]]:
    """Return number and meaning of a docstring's ``0 queued; 2 usage``; a semicolon in brackets separates nothing."""
    found: list[tuple[str, str]] = []
    for part in re.split(r"; (?![^(]*\))", text.rstrip(".")):
        number, _, meaning = part.partition(" ")
        if number.isdigit():
            found.append((number, (meaning or "it did what was asked") + "."))
        else:  # a remark about the one before it
            found[-1] = (found[-1][0], f"{found[-1][1].rstrip('.')}; {part}.")
    return found


# --- programs of the host -----------------------------------------------------------------------------------


def _host_program(parser: argparse.ArgumentParser) -> str:
    about = (parser.description or "").rstrip(".") + "."
    subs = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]  # noqa: SLF001 - argparse has no other way
    options = "".join(f".SS {title}\n{_list(_flags(one))}\n" for title, one in _parts(parser, subs))
    commands = [(choice.dest, choice.help or "") for sub in subs for choice in sub._choices_actions]  # noqa: SLF001
    word = "COMMAND [OPTIONS]" if subs else "[OPTIONS]"
    other = "fetchml-agent" if parser.prog == "fetchml-worker" else "fetchml-worker"
    sections = (
        ("DESCRIPTION", _paragraphs([about, *_HOST_TEXTS[parser.prog].split("\n\n")])),
        ("COMMANDS", _list((name, text[0].upper() + text[1:] + ".") for name, text in commands)),
        ("OPTIONS", options.rstrip("\n")),
        ("EXIT STATUS", _list(HOST_STATUSES)),
        ("ENVIRONMENT", _list(HOST_ENVIRONMENT)),
        ("FILES", _list(HOST_FILES)),
        ("SEE ALSO", _see("ml", other, "podman")),
    )
    return _page(parser.prog, about, f".B {roff(parser.prog)}\n{roff(word)}", *sections)


_HOST_TEXTS = {
    "fetchml-agent": """
ml starts it on the host, over SSH, in the version it carries along; nobody has to install it there. It holds
nothing: every change is in the queue before it is answered.
""",
    "fetchml-worker": """
A worker claims jobs from the queue of one base and runs them. Where none lives when a job is accepted, one is
started on demand and ends after a minute without work; this program runs the same worker as a service.

SIGTERM ends it and leaves its running jobs alone; the next worker of the base takes them up again.
""",
}


def _parts(parser: argparse.ArgumentParser, subs: list[Any]) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    yield "Of the program", parser
    for sub in subs:
        for name, one in sub.choices.items():
            yield f"Of {name}", one


def _flags(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    for action in parser._actions:  # noqa: SLF001
        if not action.option_strings or action.help == argparse.SUPPRESS:
            continue
        value = "" if action.nargs == 0 else f" {action.metavar or action.dest.upper()}"
        text = action.help or "Show the version and exit"
        yield ", ".join(action.option_strings) + value, text[0].upper() + text[1:] + "."
