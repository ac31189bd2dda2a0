"""Manual pages, made from what the programs know about themselves.

Layer 8, pure but for the import of the commands: `pages` returns file name -> text. The text has no date, so that the
same program always gives the same pages; its words come from the commands' docstrings and options, from the table of
error classes, and from the few tables below.
"""

from __future__ import annotations

import argparse
import importlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from fetchml_cli.lazy import COMMANDS, LazyGroup
from fetchml_cli.roff import definitions, lines, page, paragraphs, roff, see
from fetchml_core.config.environment import VARIABLES
from fetchml_core.config.reference import tell_variable
from fetchml_core.errors import CLASSES, ConfigError, HostError

if TYPE_CHECKING:
    from typer._click import Command, Parameter

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
    *((one.name, one.help) for one in VARIABLES if one.side == "your machine"),
    ("NO_COLOR", "Anything but the empty string turns colour off."),
)
HOST_ENVIRONMENT = tuple((one.name, tell_variable(one)) for one in VARIABLES if one.side == "the host")
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
        command = _command(module)
        if isinstance(command, LazyGroup):
            made[f"ml-{name}.1"] = _group(name, summary, command)
        else:
            made[f"ml-{name}.1"] = _verb(name, summary, command)
    from fetchml_core.agent.main import make_parser as agent
    from fetchml_core.worker.main import make_parser as worker

    for parser in (agent(), worker()):
        made[f"{parser.prog}.1"] = _host_program(parser)
    return made


def _command(module: str) -> Command:
    return typer.main.get_command(importlib.import_module(module).app)


# --- ml and its verbs ---------------------------------------------------------------------------------------


def _program() -> str:
    verbs = [(f"ml {name}", summary) for name, (_, summary) in COMMANDS.items()]
    sections = (
        ("DESCRIPTION", paragraphs(_DESCRIPTION.split("\n\n"))),
        ("COMMANDS", definitions(verbs)),
        (
            "OPTIONS",
            definitions([("--version", "Show the version and exit."), ("-h, --help", "Show help and exit.")]),
        ),
        ("NAMING JOBS", definitions(SELECTORS)),
        ("EXIT STATUS", _exit_statuses()),
        ("ENVIRONMENT", definitions(ENVIRONMENT)),
        ("FILES", definitions(FILES)),
        ("SEE ALSO", see(*(f"ml-{name}" for name in COMMANDS), "fetchml-worker", "ml-profile(5)", "podman")),
    )
    synopsis = f".B ml\n.I COMMAND\n{roff('[OPTIONS] [ARGUMENTS]')}\n.br\n.B ml\n{roff('--version | --help')}"
    return page("ml", 1, "Run training jobs over SSH on the machines you own.", synopsis, *sections)


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
    return f"{definitions(own)}\n.PP\n{lines(waiting)}\n{definitions(WAITING)}"


def _verb(name: str, summary: str, command: Command) -> str:
    told, statuses = _docstring(command)
    arguments, options = _params(command)
    sections = (
        ("DESCRIPTION", paragraphs([summary, *told])),
        ("ARGUMENTS", definitions(arguments)),
        ("OPTIONS", definitions([*options, ("-h, --help", "Show help and exit.")])),
        ("EXIT STATUS", definitions(statuses)),
        ("FILES", definitions(FILES[:2])),
        ("SEE ALSO", _see_verbs(name)),
    )
    return page(f"ml-{name}", 1, summary, f".B ml {name}\n{roff(_usage(command))}", *sections)


def _group(name: str, summary: str, command: LazyGroup) -> str:
    """Return the page of a group: one section for each of its commands."""
    told, _ = _docstring(command)
    parts = [
        _part_of_group(f"ml {name} {verb}", about, _command(module))
        for verb, (module, about) in command.table.items()
    ]
    sections = (
        ("DESCRIPTION", paragraphs([summary, *told])),
        ("COMMANDS", "\n".join(parts)),
        ("OPTIONS", definitions([("-h, --help", "Show help and exit; of a command after its name.")])),
        ("FILES", definitions([*FILES[:2], *HOST_FILES[:2]])),
        ("SEE ALSO", _see_verbs(name)),
    )
    return page(
        f"ml-{name}", 1, summary, f".B ml {name}\n.I COMMAND\n{roff('[OPTIONS] [ARGUMENTS]')}", *sections
    )


def _part_of_group(path: str, summary: str, command: Command) -> str:
    told, statuses = _docstring(command)
    arguments, options = _params(command)
    lists = [
        definitions([*arguments, *options]),
        f".PP\nExit status:\n{definitions(statuses)}" if statuses else "",
    ]
    text = paragraphs([summary, *told])
    return "\n".join([f".SS {roff(f'{path} {_usage(command)}')}", text, *(one for one in lists if one)])


def _docstring(command: Command) -> tuple[list[str], list[tuple[str, str]]]:
    """Return the paragraphs of a command's docstring after the first, and its exit statuses."""
    texts = [part for part in (command.help or "").split("\n\n") if part.strip()]
    told = [" ".join(part.split()) for part in texts[1:]]
    ending = next((part.removeprefix(_EXIT) for part in told if part.startswith(_EXIT)), "")
    return [part for part in told if not part.startswith(_EXIT)], _statuses(ending) if ending else []


def _params(command: Command) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return the arguments of a command and its options, with their help."""
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    options = [param for param in command.params if param.param_type_name == "option"]
    return (
        [(_term(param).replace("[", "").replace("]", ""), _help(param)) for param in arguments],
        [(_term(param), _help(param)) for param in options],
    )


def _usage(command: Command) -> str:
    words = [_term(param) for param in command.params if param.param_type_name == "argument"]
    return " ".join(["[OPTIONS]", *words])


def _see_verbs(name: str) -> str:
    return see("ml", *(f"ml-{other}" for other in COMMANDS if other != name))


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
    options = "".join(f".SS {title}\n{definitions(_flags(one))}\n" for title, one in _parts(parser, subs))
    commands = [(choice.dest, choice.help or "") for sub in subs for choice in sub._choices_actions]  # noqa: SLF001
    word = "COMMAND [OPTIONS]" if subs else "[OPTIONS]"
    other = "fetchml-agent" if parser.prog == "fetchml-worker" else "fetchml-worker"
    sections = (
        ("DESCRIPTION", paragraphs([about, *_HOST_TEXTS[parser.prog].split("\n\n")])),
        ("COMMANDS", definitions((name, text[0].upper() + text[1:] + ".") for name, text in commands)),
        ("OPTIONS", options.rstrip("\n")),
        ("EXIT STATUS", definitions(HOST_STATUSES)),
        ("ENVIRONMENT", definitions(HOST_ENVIRONMENT)),
        ("FILES", definitions(HOST_FILES)),
        ("SEE ALSO", see("ml", other, "fetchml-api(5)", "fetchml-worker(5)", "podman")),
    )
    return page(parser.prog, 1, about, f".B {roff(parser.prog)}\n{roff(word)}", *sections)


_HOST_TEXTS = {
    "fetchml-agent": """
ml starts it on the host, over SSH, in the version it carries along; nobody has to install it there. It holds
nothing: every change is in the queue before it is answered.
""",
    "fetchml-worker": """
A worker claims jobs from the queue of one base and runs them. Where none lives when a job is accepted, one is
started on demand and ends after a minute without work; this program runs the same worker as a service.

SIGTERM ends it and leaves its running jobs alone; the next worker of the base takes them up again. SIGHUP lets it read
its file again: slots, times, retries and log level count at once, what else differs is named in the log and kept. Where
ml worker drain was typed it takes no new jobs, and ends when none runs.
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
