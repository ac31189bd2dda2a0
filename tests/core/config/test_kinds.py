"""What kind a file is, is told from its keys, then its name, then its format; guessing wrong would hide every other problem."""

from __future__ import annotations

import pytest

from fetchml_core.config.findings import Report
from fetchml_core.config.kinds import FileKind, all_kinds, find_kind, kind_named
from fetchml_core.config.load import is_toml, parse
from fetchml_core.config.validate import validate
from fetchml_core.errors import InputError
from tests.core.config.support import CONFIGS, KINDS, SAMPLES

EACH_SAMPLE = pytest.mark.parametrize(
    "sample", SAMPLES, ids=lambda sample: f"{sample.parent.name}-{sample.stem}"
)


def name_of(found: tuple[FileKind, str] | None):
    """The name of the kind that was found."""
    return found[0].name if found else None


def found_in(path, text):
    """The kind of a file of this name and text."""
    return name_of(find_kind(path, parse(text, Report(""), toml=is_toml(path, None))))


@EACH_SAMPLE
def test_samples(sample):
    """The kind of each shipped file is found from its keys."""
    checked = validate(sample, {})

    assert checked.kind == KINDS[sample.parent.name]
    assert checked.reason == "from its keys"


@EACH_SAMPLE
@pytest.mark.parametrize("name", ["x", "a b", "old-worker", "server-backup", "config-2", "Küche"])
def test_samples_under_odd_names(tmp_path, sample, name):
    """So it is whatever the file is called: keys beat the name."""
    path = tmp_path / f"{name}{sample.suffix}"

    assert found_in(path, sample.read_text("utf-8")) == KINDS[sample.parent.name].name


@EACH_SAMPLE
def test_samples_with_misspelt_sections(tmp_path, sample):
    """Slips in some keys do not change what a file is."""
    text = sample.read_text("utf-8").replace("\nauth:", "\nauht:").replace("\nresources:", "\nresource:")
    text = (
        text.replace("worker_port", "worker_prt")
        .replace("[auth]", "[auths]")
        .replace("podman_image", "image")
    )

    assert found_in(tmp_path / f"x{sample.suffix}", text) == KINDS[sample.parent.name].name


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("server.yaml", "", "api"),
        ("server-gpu7.yaml", "", "api"),
        ("worker.yml", "", "worker"),
        ("worker-prod.toml", "", "worker"),
        ("config.toml", "", "profile"),
        ("config-admin.toml", "", "profile"),
        ("api/prod.yaml", "", "api"),
        ("workers/docker.yaml", "", "worker"),
        (".ml/x.toml", "", "profile"),
        ("server.toml", "", None),
        ("x.yaml", "", None),
        ("server.yaml", "nobody: 1", "api"),
        ("x.yaml", "nobody: 1", None),
        ("x.yaml", "[a, b]", None),
        # Keys that several kinds have: the name decides, else the format.
        ("x.yaml", "logging: {level: info}", None),
        ("server.yaml", "logging: {level: info}", "api"),
        ("worker.yaml", "logging: {level: info}", "worker"),
        ("x.yaml", "auth: {enabld: true}", "api"),
        ("x.toml", "[auth]\nx = 1", "profile"),
        ("config.yaml", "auth: {enabled: true}", "api"),
        # The keys of one kind under the name of another.
        ("worker.yaml", "auth: {enabled: true}", "api"),
        ("server.yaml", "worker_id: a\nqueue: {type: native}", "worker"),
    ],
)
def test_what_tells(tmp_path, name, text, kind):
    """Keys, then name, then format; where none of them tells, nothing is guessed."""
    assert found_in(tmp_path / name, text or ("a = 1" if name.endswith("toml") else "a: 1")) == kind


def test_a_profile_written_as_yaml(tmp_path):
    """It is known for a profile, and its format is what is wrong."""
    path = tmp_path / "config.yaml"
    path.write_text("server:\n  worker_host: gpu7\n  worker_user: ml\ncli:\n  default_timeout: 5\n")
    checked = validate(path, {})

    assert checked.kind == KINDS["cli"]
    assert [found.code for found in checked.findings] == ["wrong-format"]


def test_an_api_file_written_as_toml(tmp_path):
    """So is an api file."""
    path = tmp_path / "server.toml"
    path.write_text(
        "[auth]\nenabled = true\n[auth.api_keys.al]\nhash = 'x'\n[security]\nproduction_mode = true\n"
    )
    checked = validate(path, {})

    assert checked.kind == KINDS["api"]
    assert [found.code for found in checked.findings] == ["wrong-format"]


def test_a_file_that_nothing_tells_of(tmp_path):
    """The finding names the command that says it."""
    path = tmp_path / "x y.yaml"
    path.write_text("nobody: 1\n")
    checked = validate(path, {})

    assert checked.kind is None
    assert [(found.code, found.hint) for found in checked.findings] == [
        ("unknown-kind", f"ml config validate --kind api '{path}'")
    ]


def test_what_is_said_is_not_guessed(tmp_path):
    """A kind that was named counts, whatever keys and name say."""
    path = tmp_path / "server.yaml"
    path.write_text("auth:\n  enabled: true\n")
    checked = validate(path, {}, kind=KINDS["workers"])

    assert checked.kind == KINDS["workers"]
    assert [found.code for found in checked.findings] == ["unknown-key"]
    assert "server.yaml" in checked.findings[0].hint


def test_names_of_kinds():
    """Each kind has the names that people use, and a wrong one lists them."""
    assert [kind.name for kind in all_kinds()] == ["api", "worker", "profile"]
    assert kind_named("server") == kind_named("api")
    assert kind_named("cli") == kind_named("profile")
    with pytest.raises(InputError) as caught:
        kind_named("yaml")
    assert caught.value.code == "unknown-kind"


def test_every_folder_of_samples_has_a_kind():
    """The folders of the samples name their kinds, for files that have no keys yet."""
    for sample in SAMPLES:
        assert name_of(find_kind(CONFIGS / sample.parent.name / "x", parse("a: 1", Report(""), toml=False)))
