"""A stranger breaks each shipped file in twenty ways and more, and is told each time the line and the fix.

The goldens hold what the stranger reads: FETCHML_UPDATE_GOLDEN=1 writes them anew, to be read before they are kept.
Findings that the unbroken sample has too are left out of them.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from attrs import evolve

from fetchml_core.config.findings import Report
from fetchml_core.config.kinds import kind_named
from fetchml_core.config.render import plain, render
from fetchml_core.config.rules.base import Machine, TlsPair
from fetchml_core.config.source import SourceError
from fetchml_core.config.validate import validate
from fetchml_core.config.yaml_loader import parse_yaml
from tests.core.config.broken.edits import EDITS
from tests.core.config.support import CONFIGS

GOLDEN = Path(__file__).parent / "broken"
KINDS = {"api": "api", "workers": "worker", "cli": "profile"}
CASES = [(sample, edit) for sample, rows in EDITS.items() for edit in rows]
SECRETS = ("hunter2", "s3cret", "12345", "5e884898")


def tls_pair(cert, key):
    """Files are there and right, unless they are named missing."""
    return TlsPair(
        cert_problem="does not exist" if "missing" in str(cert) else "", not_before=0.0, not_after=4e9
    )


MACHINE = Machine(
    Path("/srv/fetchml"), cpus=8.0, now=1.8e9, filesystem=lambda _: "ext4", memory=64 << 30, tls_pair=tls_pair
)


def look(sample, text, folder):
    """Everything found in *text*, which the file of *sample* now holds."""
    path = folder / Path(sample).name
    path.write_text(text, "utf-8")
    path.chmod(0o600)
    kind = kind_named(KINDS[Path(sample).parent.name])
    return validate(
        path,
        {"REDIS_PASSWORD": "x"},
        kind=kind,
        machine=MACHINE,
        name=f"configs/{sample}",
        reason="from its keys",
    )


def broken(sample, edit):
    """The text of *sample* after *edit*, and the number of the line that must be named."""
    text = (CONFIGS / sample).read_text("utf-8")
    assert edit.old in text, f"{sample}: {edit.name}"
    after = text.replace(edit.old, edit.new, 1)
    lines = after.split("\n")
    if edit.line:
        begin = after[: text.index(edit.old)].count("\n") if edit.line in edit.new else 0
        near = [n for n, line in enumerate(lines, 1) if f"{line}\n".startswith(edit.line)]
        return after, next((n for n in near if n > begin), near[0])
    old = text.split("\n")
    return after, next(n for n, line in enumerate(lines, 1) if n > len(old) or line != old[n - 1])


def same(found):
    """What a finding says, whatever line it stands in."""
    return found.code, re.sub(r"\d+", "N", found.message)


def new_findings(sample, edit, folder):
    """What is found after *edit* and not before."""
    before = {same(found) for found in look(sample, (CONFIGS / sample).read_text("utf-8"), folder).findings}
    checked = look(sample, broken(sample, edit)[0], folder)
    return evolve(checked, findings=tuple(found for found in checked.findings if same(found) not in before))


def told(sample, folder):
    """The golden text of *sample*."""
    parts = []
    for edit in EDITS[sample]:
        shown = "\n".join(plain(line).rstrip() for line in render(new_findings(sample, edit, folder)))
        parts.append(f"######## {edit.name}\n\n{shown}\n")
    return "\n".join(parts)


@pytest.mark.parametrize("sample", EDITS)
def test_what_a_stranger_reads(sample, tmp_path):
    """The whole output of each broken sample is the one that was read and kept."""
    golden = GOLDEN / (sample.replace("/", "-").rpartition(".")[0] + ".txt")
    shown = told(sample, tmp_path)
    if os.environ.get("FETCHML_UPDATE_GOLDEN"):
        golden.write_text(shown, "utf-8")

    assert shown == golden.read_text("utf-8")


@pytest.mark.parametrize(("sample", "edit"), CASES, ids=[f"{sample}-{edit.name}" for sample, edit in CASES])
def test_the_line_and_the_fix(sample, edit, tmp_path):
    """Some finding names the line that was broken and says how to mend it."""
    number = broken(sample, edit)[1]
    findings = new_findings(sample, edit, tmp_path).findings
    here = [found for found in findings if number in {found.line, *(place.line for place in found.also)}]

    assert [found.hint for found in here if found.hint], (number, findings)


@pytest.mark.parametrize("sample", EDITS)
def test_no_secret_is_shown(sample, tmp_path):
    """Whatever a stranger does to the line of a secret, it is not shown."""
    shown = told(sample, tmp_path)

    assert not [secret for secret in SECRETS if secret in shown]


def test_there_are_twenty_ways_for_each_sample():
    """Each shipped file is broken in at least twenty ways, no two of the same name."""
    shipped = {str(path.relative_to(CONFIGS)) for kind in KINDS for path in (CONFIGS / kind).iterdir()}

    assert set(EDITS) == shipped
    for rows in EDITS.values():
        assert len({edit.name for edit in rows}) == len(rows) >= 20


YAML_CASES = [(sample, edit) for sample, edit in CASES if sample.endswith(".yaml")]


@pytest.mark.parametrize(
    ("sample", "edit"), YAML_CASES, ids=[f"{sample}-{edit.name}" for sample, edit in YAML_CASES]
)
def test_a_bare_host_says_the_same(sample, edit):
    """PyYAML's two parsers stumble in their own words; what we say of it is the same."""
    said = []
    for pure in (True, False):
        try:
            parse_yaml(broken(sample, edit)[0], Report(""), pure=pure)
            said.append(None)
        except SourceError as error:
            said.append((error.code, error.message, error.place, error.hint))

    assert said[0] == said[1]
