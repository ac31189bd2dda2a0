"""The file to start from: every option of a kind with its meaning, commented out.

Layer 1, pure. A line that begins with ``# `` is an option or the head of a section; without these two characters
it is a line of the file. One that begins with ``## `` is for people alone. As it is written the file says nothing but
defaults; any option can be uncommented alone, with the sections above it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from .explain import Topic, example_of, members, topics_of
from .findings import Key
from .json_schema import example_value
from .kinds import FileKind, KindName
from .option import Field
from .written import Item, Line, file_lines, value_text

WIDTH = 100
_WHERE: dict[KindName, str] = {
    "api": "who may do what on this host, and where jobs wait. It lies in the base as server.yaml, or where"
    " FETCHML_CONFIG says; without it authentication is off. Mode 0600.",
    "worker": "what one worker runs, how and with which limits. It lies in the base as worker.yaml, or where"
    " fetchml-worker run --config says; without it the defaults count.",
    "profile": "which host jobs are sent to, with which key. It lies in ~/.ml as config.toml, or as config-NAME.toml"
    " for --profile NAME; without it jobs run on this machine. Mode 0600.",
}
#: The parts of each file, the most important first: what they are about, and the keys of the top level.
PARTS: dict[KindName, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "api": (
        ("Who may come in", ("auth",)),
        ("Where jobs wait, and how much may run", ("queue", "resources")),
        ("Hardening and the audit trail", ("security",)),
        ("The log", ("logging",)),
        ("The HTTP door and what watches it", ("server", "monitoring")),
        ("Folders and databases", ("base_path", "data_dir", "database", "redis")),
        ("Services and their GPUs", ("scheduler",)),
    ),
    "worker": (
        ("How much runs at once", ("resources", "max_workers")),
        ("Name and folders", ("worker_id", "base_path", "data_dir", "train_script")),
        (
            "Containers",
            ("podman_image", "launcher", "sandbox", "container_workspace", "container_results"),
        ),
        ("GPUs", ("gpu_vendor", "gpu_devices", "gpu_visible_devices", "apple_gpu")),
        (
            "Where jobs wait",
            ("queue", "poll_interval_seconds", "redis_url", "redis_addr", "redis_password", "redis_db"),
        ),
        (
            "Signs of life, retries and the end of a job",
            ("heartbeat_interval", "task_lease_duration", "max_retries", "graceful_timeout"),
        ),
        (
            "Snapshots and data sets",
            (
                "snapshot_store",
                "prewarm_enabled",
                "auto_fetch_data",
                "data_manager_path",
                "dataset_cache_ttl",
            ),
        ),
        ("Metrics and the log", ("metrics", "metrics_flush_interval", "logging")),
        ("Legacy", ("local_mode", "host", "user", "port", "ssh_key")),
    ),
    "profile": (
        ("", ("server",)),
        ("", ("auth",)),
        ("", ("cli",)),
    ),
}
# A file must say something to be one: the first decision of its owner, as the default has it.
_REAL: dict[KindName, tuple[Key, ...]] = {
    "api": (("auth", "enabled"),),
    "worker": (("resources", "max_workers"),),
    "profile": (("server",), ("auth",), ("cli",)),
}
# Where the example of the schema would contradict what the file says already.
_VALUES: dict[Key, Any] = {("max_workers",): 1}


def starter(kind: FileKind[Any], file: str = "") -> str:
    """Return the text of a file to start from.

    Args:
        kind: What it is to be.
        file: How to call it in the commands that its head names; empty: its usual name.
    """
    # A line break in a name would end the comment that it stands in.
    lines = [*_head(kind, file if file and file.isprintable() else kind.file)]
    for title, keys in PARTS[kind.name]:
        lines += ["", f"## --- {title} ---"] if title else [""]
        lines += [line for name in keys for line in _part(kind, name)]
    return "\n".join(lines) + "\n"


def schema_file(kind: FileKind[Any]) -> str:
    """Return the name of the file that the editor's line of a starter names."""
    return f"{kind.name}.schema.json"


def _head(kind: FileKind[Any], file: str) -> Iterator[str]:
    schema = schema_file(kind)
    yield f"#:schema {schema}" if kind.toml else f"# yaml-language-server: $schema={schema}"
    yield from _prose(f"{kind.title[0].upper()}{kind.title[1:]}: {_WHERE[kind.name]}")
    yield "##"
    for command, what in (
        (f"ml config validate {file}", "checks it"),
        ("ml config explain KEY", "tells more about an option"),
        (f"ml config schema {kind.name} > {schema}", "lets your editor check it, by the first line"),
    ):
        yield f"##   {command:<48} {what}"
    yield "##"
    yield from _prose(
        'A line that begins with "# " shows a default, or an example where the default is unset. To use it, remove'
        " these two characters from it and from the sections that it stands in."
    )


def _part(kind: FileKind[Any], name: str) -> Iterator[str]:
    """Yield the lines about one key of the top level and all that is below it."""
    topics = {topic.shown: topic for topic in _below(kind, name)}
    items = [Item(key, _value(topic)) for key, topic in topics.items() if topic.inside is None]
    real = _REAL[kind.name]
    for line in file_lines(items, toml=kind.toml):
        written = any(key[: len(line.key)] == line.key for key in real)
        indent = " " * (len(line.text) - len(line.text.lstrip()))
        yield from _prose(_comment(line, topics), indent)
        yield line.text if written else f"# {line.text}"


def _below(kind: FileKind[Any], name: str) -> Iterator[Topic]:
    return (topic for topic in topics_of(kind) if topic.key[0] == name)


def _value(topic: Topic) -> Any:
    """The default, or an example where that is unset."""
    field = topic.field
    if topic.key in _VALUES:
        return _VALUES[topic.key]
    return example_of(topic) if _is_unset(field) else field.default


def _is_unset(field: Field) -> bool:
    return field.option.required or field.default is None or field.default == ""


def _comment(line: Line, topics: dict[Key, Topic]) -> str:
    topic = topics.get(line.key)
    if topic is None:  # a name that the file chooses
        return "Any name; a section for each."
    field, about = topic.field, topic.field.option
    told = [about.help]
    if topic.inside is None:
        told += _about_value(field)
    above = [one for at in range(1, len(line.key)) if (one := topics.get(line.key[:at]))]
    if not _is_read(topic) and not about.deprecated and all(map(_is_read, above)):
        told.append("Not active yet.")
    if about.example and not _is_unset(field):
        told.append(f"Example: {_example_text(field)}")
    return " ".join(told)


def _about_value(field: Field) -> Iterator[str]:
    about = field.option
    if about.choices:
        yield f"One of {', '.join(about.choices)}."
    if about.unit:
        yield f"Unit: {about.unit}."
    if about.required:
        yield "Must be written."
    elif _is_unset(field) and "unset" not in about.help:
        yield "Unset by default."
    if about.env:
        yield f"{about.env} overrides it."
    if about.deprecated:
        yield f"Deprecated: {about.deprecated}."


def _example_text(field: Field) -> str:
    value = example_value(field)
    if isinstance(value, dict):
        return f"{{{', '.join(f'{value_text(name)}: {value_text(item)}' for name, item in value.items())}}}"
    return value_text(value)


def _is_read(topic: Topic) -> bool:
    """Whether anything reads *topic* or what is below it."""
    inside = members(topic)
    return any(map(_is_read, inside)) if inside else bool(topic.field.option.read_by)


def _prose(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=f"## {indent}", subsequent_indent=f"## {indent}", break_on_hyphens=False
    )
