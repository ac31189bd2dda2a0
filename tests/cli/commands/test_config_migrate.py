"""A TOML worker file becomes YAML that says the same, with every comment."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import pytest
import tomllib
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fetchml_cli.commands.config.migrate import to_yaml
from fetchml_cli.commands.config.yaml_from_toml import comments
from fetchml_core.config.option import fields_of
from fetchml_core.config.worker import WorkerConfig
from fetchml_core.errors import ConfigError
from tests.cli.support import CASES, fake_cli, run_in
from tests.core.config.support import CONFIGS, check_text

TOML = '''\
#:schema ../schema/worker.json
# The worker of the lab.

worker_id = "no" # its name
redis_db = 0x10
data_dir = """
two
lines"""

# GPUs, see the wiki
gpu_devices = [ # two
  "/dev/a", # first
  # the other
  '/dev/b',
  # no more
] # really
gpu_visible_devices = [0, 1]
resources.max_workers = 4 # dotted
resources.podman_cpus = "4"
sandbox = { network = "full", limits = "best-effort" } # inline

[queue] # where jobs wait
type = "native"
# type = "redis"

# its folder
[queue.native]
data_dir = "queue"

[metrics]
# enabled = true

# the end
'''
YAML = """\
# yaml-language-server: $schema=../schema/worker.json
# The worker of the lab.

worker_id: "no" # its name
redis_db: 16
data_dir: "two\\nlines"

# GPUs, see the wiki
gpu_devices: # really
  # two
  - "/dev/a" # first
  # the other
  - "/dev/b"
  # no more
gpu_visible_devices: [0, 1]
resources:
  max_workers: 4 # dotted
  podman_cpus: "4"
sandbox: # inline
  network: "full"
  limits: "best-effort"

queue: # where jobs wait
  type: "native"
  # type = "redis"

  # its folder
  native:
    data_dir: "queue"

metrics: {}
  # enabled = true

  # the end
"""


@pytest.fixture
def migrate(tmp_path):
    """Run the command on a text; returns status, stdout and stderr."""

    def run(text: str, *more: str, name="worker.toml", tty=False):
        (tmp_path / name).write_text(text, "utf-8")
        return run_in(fake_cli(tmp_path, tty=tty), "config", "migrate", name, *more)

    return run


def test_keys_order_and_comments_stay_in_their_places():
    """Each comment is beside or above the key that it was beside or above."""
    assert to_yaml(TOML) == YAML


def same(text: str) -> None:
    """Check that *text* as TOML and as YAML gives the same records and findings, and plain readers agree."""
    written = to_yaml(text)
    with tempfile.TemporaryDirectory() as folder:
        old, old_findings = check_text(Path(folder), text, "workers", name="worker.toml")
        new, new_findings = check_text(Path(folder), written, "workers")

    assert yaml.safe_load(written) == tomllib.loads(text)
    told = [
        [
            (found.code, found.severity)  # one that names the first of several keys may name another
            for found in findings
            if found.code != "legacy-toml"
        ]
        for findings in (old_findings, new_findings)
    ]
    assert sorted(told[0]) == sorted(told[1])
    assert (old and old.config) == (new and new.config)


def test_the_shipped_sample_means_the_same():
    """Records and findings are those of the TOML file, but for being TOML."""
    same((CONFIGS / "workers" / "worker-prod.toml").read_text("utf-8"))


COMMENT = st.text(
    st.characters(blacklist_categories=["Cs", "Cc", "Cn", "Zl", "Zp"], blacklist_characters="\ufeff"),
    max_size=12,
).map(lambda text: f"# {text}".rstrip())
SPACE = st.lists(st.one_of(st.just(""), COMMENT), max_size=3)
TEXT = st.one_of(
    st.sampled_from(
        [
            "no",
            "22:22",
            "010",
            "1e3",
            "~",
            "# x",
            "a: b",
            "- a",
            "'",
            '"',
            "\\",
            "a\nb",
            "\x85",
            "@",
            "%",
            "*a",
            "&a",
        ]
    ),
    st.text(st.characters(blacklist_categories=["Cs"]), max_size=10),
)


def basic(text: str) -> str:
    """*text* as a basic string."""
    odd = {'"': '\\"', "\\": "\\\\"}
    return '"' + "".join(odd.get(c, c if c.isprintable() else f"\\U{ord(c):08x}") for c in text) + '"'


def written(draw, text: str) -> str:
    """*text* in one of the four ways of TOML that can hold it."""
    ways = [basic(text), '"""\n' + basic(text)[1:-1] + '"""']
    if text.isprintable() and "'" not in text:
        ways += [f"'{text}'", f"'''{text}'''"]
    return draw(st.sampled_from(ways))


class Writer:
    """Writes a worker file with values of the right types in all the ways of TOML, and keeps its comments."""

    def __init__(self, draw) -> None:
        self.draw = draw
        self.told: list[str] = []

    def own_lines(self) -> list[str]:
        """Comments on lines of their own, and blank lines."""
        lines = self.draw(SPACE)
        self.told += filter(None, lines)
        return [self.draw(st.sampled_from(["", "  "])) + line if line else "" for line in lines]

    def behind(self) -> str:
        """A comment behind something, or none."""
        comment = self.draw(st.one_of(st.just(""), COMMENT))
        self.told += filter(None, [comment])
        return f" {comment}" if comment else ""

    def array(self, items: list[str]) -> str:
        """On one line, or with a line each."""
        if self.draw(st.booleans()):
            return f"[{', '.join(items)}]"
        parts = [f"[{self.behind()}"]
        for item in items:
            parts += [*self.own_lines(), f"  {item},{self.behind()}"]
        return "\n".join([*parts, *self.own_lines(), "]"])

    def value(self, field, *, flat: bool) -> str:
        """A value of the type of *field*; *flat*: on one line."""
        if field.kind == "bool":
            return self.draw(st.sampled_from(["true", "false"]))
        if field.kind == "int":
            return self.draw(st.sampled_from(["1", "0x10", "+7", "1_000"]))
        if field.kind == "list":
            items = [written(self.draw, text) for text in self.draw(st.lists(TEXT, max_size=3))]
            return f"[{', '.join(items)}]" if flat else self.array(items)
        if field.option.choices:
            return written(self.draw, self.draw(st.sampled_from(field.option.choices)))
        good = {"duration": "5m", "size": "4Gi", "cpus": "2"}.get(field.kind)
        return basic(good) if good else written(self.draw, self.draw(TEXT))

    def some(self, cls, kinds, most: int) -> list:
        """Some of the fields of *cls*, in any order."""
        fields = [field for field in fields_of(cls).values() if (field.kind == "section") == kinds]
        return self.draw(st.lists(st.sampled_from(fields), max_size=most, unique_by=lambda one: one.name))

    def pairs(self, cls, prefix: str = "") -> list[str]:
        """A line for each of some options."""
        lines: list[str] = []
        for field in self.some(cls, False, 5):
            text = self.value(field, flat=False)
            lines += [f"{prefix}{field.name} = {text}{self.behind()}", *self.own_lines()]
        return lines

    def section(self, field, way: str) -> list[str]:
        """A section in one of three ways."""
        if way == "dotted":
            return self.pairs(field.item, f"{field.name}.")
        if way == "table":
            return [f"[{field.name}]{self.behind()}", *self.own_lines(), *self.pairs(field.item)]
        inner = [f"{one.name} = {self.value(one, flat=True)}" for one in self.some(field.item, False, 3)]
        return [f"{field.name} = {{ {', '.join(inner)} }}{self.behind()}", *self.own_lines()]


@st.composite
def worker_files(draw):
    """A worker file, and its comments."""
    writer = Writer(draw)
    lines = [*writer.own_lines(), *writer.pairs(WorkerConfig)]
    ways = [
        (draw(st.sampled_from(["dotted", "inline", "table"])), field)
        for field in writer.some(WorkerConfig, True, 4)
    ]
    for way, field in sorted(ways, key=lambda pair: pair[0] == "table"):
        lines += writer.section(field, way)
    return "\n".join(lines) + draw(st.sampled_from(["", "\n", "\n\n"])), writer.told


@settings(max_examples=CASES, deadline=None)
@given(worker_files())
def test_any_worker_file_means_the_same(made):
    """Whatever way of TOML it is written in."""
    text, _ = made

    if text.strip():
        same(text)


@settings(max_examples=CASES, deadline=None)
@given(worker_files())
def test_no_comment_is_lost(made):
    """Each is in the YAML as often as it was written."""
    text, told = made

    if text.strip():
        assert Counter(comments(to_yaml(text))) == Counter(told)


@pytest.mark.parametrize(
    ("text", "message", "context"),
    [
        ("a = 1\nb = 2024-01-01\n", "a date", "line 2"),
        ("a = 1\nb = [[07:32:00]]\n", "a date", "line 2"),
        ("a = inf\n", "inf", "line 1"),
        ("a = 9999999999999999999\n", "digits", '"a"'),
        ("a = 1\na = 2\n", "", "line 2"),
        ("a: 1\n", "", "line 1"),
        ("a.b.c.d.e.f.g = 1\n", "too deeply", ""),
        ("#" * (33 << 10), "too long", ""),
        ("a" * 2000 + " = 1\n", "could not be read", ""),
    ],
)
def test_what_yaml_cannot_say_is_refused(text, message, context):
    """With the line; nothing is written that would mean something else."""
    with pytest.raises(ConfigError) as caught:
        to_yaml(text)

    assert message in caught.value.message
    assert (caught.value.code, caught.value.context) == ("cannot-migrate", context)


def test_a_comment_never_becomes_a_line():
    """YAML ends a line at characters that TOML allows in a comment."""
    text = to_yaml("# a\x85user: root\n# b\u2028host: x\nmax_workers = 1 # c\u2029port: 1\n")

    assert yaml.safe_load(text) == {"max_workers": 1}
    assert "\\x85user: root" in text


def test_odd_keys_stay_texts():
    """Keys that YAML takes for something else are quoted."""
    text = to_yaml('on = 1\n1 = 2\n"" = 3\n"a b: #c" = 4\n"<<" = 5\n"é\\n" = 6\n')

    assert yaml.safe_load(text) == {"on": 1, "1": 2, "": 3, "a b: #c": 4, "<<": 5, "é\n": 6}


def test_nested_lists_and_tables():
    """Lists of tables, tables out of order and lists in lists, all with their comments."""
    toml = "[[x]] # 1\na = 1e16\n# 2\n[[x]]\n# 3\nb = [[1, 2], [{c = 3}]]\n[a.b]\nc = 1\n[d]\n# 4\n[a.e] # 5\nf = []\n"
    text = to_yaml(toml)

    assert yaml.safe_load(text) == tomllib.loads(toml)
    assert [f"# {number}" in text for number in range(1, 6)] == [True] * 5


def test_a_file_of_comments_is_an_empty_section():
    """An empty YAML file would be an error."""
    assert yaml.safe_load(to_yaml("# nothing yet\n")) == {}


def test_it_is_printed_with_the_next_step(migrate):
    """YAML alone on stdout; a person is told what comes next."""
    ran = migrate(TOML, tty=True)

    assert (ran.status, ran.out) == (0, YAML)
    assert "fetchml-worker run --config worker.yaml --validate" in ran.err


def test_out_is_made_private_and_never_overwritten(migrate, tmp_path):
    """It holds passwords; a second time is refused and changes nothing."""
    assert migrate(TOML, "new.yaml").status == 0
    made = tmp_path / "new.yaml"
    again = migrate("max_workers = 9\n", "new.yaml")

    assert made.read_text("utf-8") == YAML
    assert made.stat().st_mode & 0o777 == 0o600
    assert (again.status, "file-exists" in again.err) == (2, True)


def test_a_link_is_not_written_through(migrate, tmp_path):
    """OUT is a file of ours or an error, even where the link leads nowhere."""
    (tmp_path / "new.yaml").symlink_to(tmp_path / "elsewhere")

    assert migrate(TOML, "new.yaml").status == 2
    assert not (tmp_path / "elsewhere").exists()


def test_unknown_keys_are_kept_and_told(migrate):
    """Loss-free even for what we do not know; errors are left to validate."""
    ran = migrate('max_workers = 0\nmax_wokers = 2\n[extra]\nx = "y"\n')

    assert ran.status == 0
    assert 'extra:\n  x: "y"' in ran.out
    assert "max_wokers" in ran.err
    assert "ml config validate worker.yaml" in ran.err


@pytest.mark.parametrize(
    ("text", "name", "code"),
    [
        ('[server]\nworker_host = "a"\n', "worker.toml", "not-a-worker-file"),
        ("[tool.ruff]\nx = 1\n", "pyproject.toml", "not-a-worker-file"),
        ("worker_id: a\n", "worker.yaml", "cannot-migrate"),
        ("worker_id = \n", "worker.toml", "cannot-migrate"),
        ("", "worker.toml", "cannot-migrate"),
    ],
)
def test_what_is_no_toml_worker_file_is_refused(migrate, text, name, code):
    """With a status of 3 and the command that tells more."""
    ran = migrate(text, name=name)

    assert (ran.status, ran.out) == (3, "")
    assert code in ran.err
    assert name in ran.err


def test_a_missing_file_is_told(tmp_path):
    """Like any other file that cannot be read."""
    ran = run_in(fake_cli(tmp_path), "config", "migrate", "worker.toml")

    assert ran.status == 3
    assert "there is no such file" in ran.err
