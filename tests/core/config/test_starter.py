"""The starter files: they change nothing as they are, and every option in them can be used alone."""

from __future__ import annotations

import re

import pytest

from fetchml_core.config.findings import Report
from fetchml_core.config.kinds import all_kinds
from fetchml_core.config.load import parse
from fetchml_core.config.option import fields_of, walk
from fetchml_core.config.starter import PARTS, schema_file, starter
from fetchml_core.config.validate import validate

ENVIRON = {"ML_API_KEY": "k3y", "DB_PASSWORD": "pw", "REDIS_PASSWORD": "pw"}
KINDS = {kind.name: kind for kind in all_kinds()}
_YAML = re.compile(r'( *)([a-z_]+|"[^"]+"):')
_TOML = re.compile(r"()(?:\[([a-z_.]+)\]|([a-z_]+) =)")


def uncommented(line: str) -> str:
    """The line without the two characters that keep it out."""
    return line.removeprefix("# ")


def options(text: str, *, toml: bool) -> dict[tuple[str, ...], list[int]]:
    """Key of each option or section in *text*, with the numbers of its line and of those of its sections."""
    found: dict[tuple[str, ...], list[int]] = {}
    above: list[tuple[str, ...]] = [()]
    for number, line in enumerate(text.split("\n")):
        match = (_TOML if toml else _YAML).match(uncommented(line))
        if match is None or line.startswith(("## ", "# yaml-language", "#:")):
            continue
        depth = (0 if match[2] else 1) if toml else len(match[1]) // 2
        above = above[: depth + 1]
        key = (*above[-1], (match[2] or match[3] if toml else match[2]).strip('"'))
        found[key] = [*found.get(above[-1], []), number]
        above.append(key)
    return found


STARTERS = {name: starter(kind) for name, kind in KINDS.items()}
OPTIONS = {name: options(STARTERS[name], toml=kind.toml) for name, kind in KINDS.items()}
CASES = [(name, key) for name in KINDS for key in OPTIONS[name]]


@pytest.mark.parametrize("name", KINDS)
def test_every_option_of_the_schema_is_in_it(name):
    """None is missing, none is surplus; names that a file chooses are those of the example."""
    chosen = {"alice": "*", "jupyter": "*"}
    written = {tuple(chosen.get(part, part) for part in key) for key in OPTIONS[name]}
    known = {key for key, _ in walk(KINDS[name].cls)}
    sections = {key[:at] for key in known for at in range(1, len(key))}

    assert known <= written
    assert written <= known | sections


@pytest.mark.parametrize("name", KINDS)
def test_every_key_of_the_top_level_stands_in_one_part(name):
    """A new section has to find its place in the order that people read."""
    keys = [key for _, part in PARTS[name] for key in part]

    assert sorted(keys) == sorted(fields_of(KINDS[name].cls))


@pytest.mark.parametrize("name", KINDS)
def test_as_written_it_is_the_defaults_without_a_finding(tmp_path, name):
    """Whoever writes one and starts has changed nothing."""
    kind = KINDS[name]
    path = tmp_path / kind.file
    path.write_text(STARTERS[name], "utf-8")
    path.chmod(0o600)

    checked = validate(path, {})

    assert checked.kind is kind
    assert checked.findings == ()
    assert checked.loaded.config == kind.cls()


@pytest.mark.parametrize(("name", "key"), CASES, ids=[f"{name}-{'.'.join(key)}" for name, key in CASES])
def test_any_option_can_be_uncommented_alone(tmp_path, name, key):
    """With the sections above it, and with the hash where it is a user's, it is a valid file that says it."""
    kind, lines = KINDS[name], STARTERS[name].split("\n")
    wanted = {*OPTIONS[name][key]}
    if key[:2] == ("auth", "api_keys") and name == "api":
        wanted |= {*OPTIONS[name]["auth", "api_keys", "alice", "hash"]}
    leaf = not any(other[:-1] == key for other in OPTIONS[name])
    if not leaf and key not in {("auth", "api_keys"), ("auth", "api_keys", "alice")}:
        return  # a section without an option in it is no statement
    text = "\n".join(uncommented(line) if at in wanted else line for at, line in enumerate(lines))
    path = tmp_path / kind.file
    path.write_text(text, "utf-8")

    checked = validate(path, ENVIRON, kind=kind)

    assert [str(found) for found in checked.findings if found.severity == "error"] == []
    assert any(place[: len(key)] == key for place in checked.loaded.places)


@pytest.mark.parametrize("name", KINDS)
def test_with_every_option_uncommented_it_still_has_the_shape_of_a_file(name):
    """An editor that uncomments a whole selection makes no mess."""
    kind = KINDS[name]
    numbers = {number for line in OPTIONS[name].values() for number in line}
    lines = STARTERS[name].split("\n")
    text = "\n".join(uncommented(line) if at in numbers else line for at, line in enumerate(lines))
    report = Report("")

    root = parse(text, report, toml=kind.toml)

    assert report.sorted() == ()
    assert set(root.value) == set(fields_of(kind.cls))


@pytest.mark.parametrize("name", KINDS)
def test_each_option_has_its_meaning_right_above(name):
    """The line before an option is for people, and nothing is left without one."""
    lines = STARTERS[name].split("\n")
    for numbers in OPTIONS[name].values():
        assert lines[numbers[-1] - 1].startswith("## ")


@pytest.mark.parametrize("name", KINDS)
def test_head_tells_how_to_check_it_and_names_the_schema_for_editors(name):
    """The first line is what editors look for, with a file that `ml config schema` can write."""
    kind = KINDS[name]
    text = starter(kind, "/srv/my file")
    first = text.split("\n")[0]

    assert first == ("#:schema " if kind.toml else "# yaml-language-server: $schema=") + schema_file(kind)
    assert f"ml config schema {name} > {schema_file(kind)}" in text
    assert "ml config validate /srv/my file" in text
    assert "://" not in first


@pytest.mark.parametrize("name", KINDS)
def test_its_lines_fit_a_screen(name):
    """Prose is broken; an option is as long as it is."""
    assert max(map(len, STARTERS[name].split("\n"))) <= 110
