"""What the tests of rules share: the findings about a text, on a machine or on none."""

from __future__ import annotations

from pathlib import Path

from fetchml_core.config.findings import Report
from fetchml_core.config.load import check_tree, parse
from fetchml_core.config.rules.base import Machine
from tests.core.config.support import KINDS

HASH = "ab" * 32
OTHER = "cd" * 32
FILES = {"api": "server.yaml", "workers": "worker.yaml", "cli": "config.toml"}


def machine(**parts):
    """An ordinary machine, but for *parts*."""
    usual = {"base": Path("/srv/fetchml"), "cpus": 8, "now": 1.8e9, "filesystem": lambda path: "ext4"}
    return Machine(**usual | {"memory": 16 << 30} | parts)


def problems(text, kind="api", *, on=None, mode=None, environ=None):
    """Findings about *text*, but for those about keys that nothing reads yet; each says how to mend it."""
    report = Report(FILES[kind])
    root = parse(text, report, toml=kind == "cli")
    _, findings = check_tree(root, Path(FILES[kind]), report, environ or {}, KINDS[kind], on, mode)
    wrong = [found for found in findings if found.code != "not-active-yet"]
    assert [found.code for found in wrong if not found.hint and not found.expected] == []
    return wrong


def told(text, kind="api", **settings):
    """The same as ``line severity code``, each."""
    return [f"{one.line} {one.severity} {one.code}" for one in problems(text, kind, **settings)]


def only(text, kind="api", **settings):
    """The one finding that there must be."""
    found = problems(text, kind, **settings)
    assert len(found) == 1, [str(one) for one in found]
    return found[0]
