"""Manual pages of section 5: the configuration files, made from the schema.

Layer 8, pure: `pages` returns file name -> text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fetchml_cli.roff import definitions, lines, page, paragraphs, roff, see
from fetchml_core.config.environment import VARIABLES
from fetchml_core.config.kinds import all_kinds
from fetchml_core.config.reference import NOT_ACTIVE, TYPES, parts_of, tell_variable

if TYPE_CHECKING:
    from fetchml_core.config.kinds import FileKind, KindName
    from fetchml_core.config.reference import Entry

NAMES: dict[KindName, str] = {"api": "fetchml-api", "worker": "fetchml-worker", "profile": "ml-profile"}
SUMMARIES: dict[KindName, str] = {
    "api": "Who may do what on a host of FetchML.",
    "worker": "What a worker of FetchML runs, how and with which limits.",
    "profile": "The host that ml sends jobs to, and with which key.",
}
PLACES: dict[KindName, tuple[str, ...]] = {
    "api": ("BASE/server.yaml", "or the file that FETCHML_CONFIG names"),
    "worker": ("BASE/worker.yaml", "or the file that fetchml-worker run --config names"),
    "profile": (
        "~/.ml/config.toml",
        "~/.ml/config-NAME.toml for --profile NAME",
        "or the file that CLI_CONFIG names",
    ),
}
_TEXTS: dict[KindName, str] = {
    "api": """
Every door of a host, first of all the agent that ml talks to, reads it. Where there is none, authentication is off:
whoever reaches the account may do everything. One that cannot be read or is not valid lets nobody in.

It is written in YAML. BASE is the folder given to FetchML on the host: worker_base of the profile, or
fetchml-worker run --base. Relative paths are taken from it.
""",
    "worker": """
A worker reads it when it starts. Without one its defaults count, and data lies in BASE/data.

It is written in YAML; TOML is deprecated, still read, and turned into YAML by ml config migrate. BASE is the folder
given to FetchML on the host: worker_base of the profile, or fetchml-worker run --base. Relative paths are taken from
it.
""",
    "profile": """
Without a profile, or with one that names no host, jobs run on this machine.

It is written in TOML. A profile holds a key: its mode should be 0600. ml config set changes one option and keeps the
rest as it is.
""",
}
_RULES = """
Unknown keys, wrong types and values out of range are errors; ml config validate shows all of them at once, each with
its line and a way to mend it. ${NAME} in a text stands for an environment variable; $${ is a plain ${. An empty
text means unset. An option marked 'not active yet' is checked and has no effect so far.
"""


def pages() -> dict[str, str]:
    """Return all pages: file name -> text."""
    return {f"{NAMES[kind.name]}.5": _file(kind) for kind in all_kinds()}


def _file(kind: FileKind[Any]) -> str:
    about = _TEXTS[kind.name].split("\n\n")
    parts = [
        f".SS {roff(part.name or 'No section')}\n{lines(part.help)}\n"
        + definitions((one.key, tell(one)) for one in part.entries)
        for part in parts_of(kind)
    ]
    variables = [(one.name, tell_variable(one)) for one in VARIABLES if _read_here(one.side, kind.name)]
    others = [f"{name}(5)" for name in NAMES.values() if name != NAMES[kind.name]]
    return page(
        NAMES[kind.name],
        5,
        SUMMARIES[kind.name],
        "\n.br\n".join(roff(place) for place in PLACES[kind.name]),
        ("DESCRIPTION", paragraphs([*about, *_RULES.split("\n\n")])),
        ("TYPES", definitions((name, text.replace("`", "")) for name, text in TYPES)),
        ("OPTIONS", "\n".join(parts)),
        ("ENVIRONMENT", definitions(variables)),
        ("SEE ALSO", see("ml(1)", "ml-config(1)", "fetchml-worker(1)", *others)),
    )


def _read_here(side: str, kind: KindName) -> bool:
    return (side == "your machine") == (kind == "profile")


def tell(one: Entry) -> str:
    """Return what there is to tell about an option in running text."""
    told = [
        one.type
        + (f", {one.values}" if one.values else "")
        + (f"; default {one.default}" if one.default else "")
        + "."
    ]
    told.append(one.help)
    if one.example:
        told.append(f"Example: {one.example}.")
    if one.env:
        told.append(f"The variable {one.env} overrides it.")
    if one.secret:
        told.append("Secret: never shown.")
    if one.alias:
        told.append(f"Another name: {one.alias}.")
    if one.deprecated:
        told.append(f"Deprecated: {one.deprecated}.")
    elif one.read_by == NOT_ACTIVE:
        told.append("Not active yet.")
    return " ".join(told)
