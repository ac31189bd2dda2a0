"""The environment variables: legal values, precedence, and an error that names the variable."""

from __future__ import annotations

import pytest

from fetchml_core.config.environment import (
    VARIABLES,
    Overrides,
    active_overrides,
    check_overrides,
    variable_named,
)
from fetchml_core.config.findings import InvalidConfigError
from fetchml_core.config.load import load_profile, load_server, load_worker
from tests.core.config.support import check_text

ALL = {
    "FETCH_ML_GPU_TYPE": "amd",
    "FETCH_ML_GPU_COUNT": "0",
    "FETCH_ML_TOTAL_CPU": "8",
    "FETCH_ML_GPU_SLOTS_PER_GPU": "2",
}


def test_values():
    """Each variable has its type; what is unset says nothing, and one job has a GPU to itself."""
    assert check_overrides(ALL) == (Overrides("amd", 0, 8, 2), ())
    assert check_overrides({}) == (Overrides(None, None, None, 1), ())


def test_empty_is_unset():
    """`export NAME=` is how a shell takes a value away."""
    assert check_overrides(dict.fromkeys(ALL, "")) == (Overrides(), ())
    assert active_overrides(dict.fromkeys(ALL, "")) == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FETCH_ML_GPU_TYPE", "nvida"),
        ("FETCH_ML_GPU_TYPE", "NVIDIA"),
        ("FETCH_ML_GPU_COUNT", "-1"),
        ("FETCH_ML_GPU_COUNT", "two"),
        ("FETCH_ML_GPU_COUNT", "1.0"),
        ("FETCH_ML_GPU_COUNT", "\N{ARABIC-INDIC DIGIT TWO}"),
        ("FETCH_ML_GPU_COUNT", "9" * 5000),
        ("FETCH_ML_TOTAL_CPU", "0"),
        ("FETCH_ML_TOTAL_CPU", "8 "),
        ("FETCH_ML_TOTAL_CPU", "\x1b[31m"),
        ("FETCH_ML_GPU_SLOTS_PER_GPU", "0"),
    ],
)
def test_bad_value_names_the_variable(tmp_path, name, value):
    """It is exit status 3, wherever it is met: at the start of a worker, in a validation."""
    with pytest.raises(InvalidConfigError, match=name) as caught:
        load_worker(None, {name: value})

    assert caught.value.status == 3
    assert [found.code for found in caught.value.findings] == ["bad-environment"]
    assert len(str(caught.value)) < 400
    assert str(caught.value).replace("\n", "").isprintable()
    _, findings = check_text(tmp_path, "max_workers: 1\n", "workers", {name: value})
    assert [(found.code, found.key) for found in findings if found.severity == "error"] == [
        ("bad-environment", name)
    ]


def test_all_bad_ones_are_told_at_once():
    """Whoever mends one hears of the others as well."""
    _, findings = check_overrides(dict.fromkeys(ALL, "x"))

    assert {found.key for found in findings} == set(ALL)
    assert all(found.hint for found in findings)


def test_a_client_and_a_door_do_not_mind():
    """Only a worker reads these variables: api file and profile load whatever they say."""
    bad = dict.fromkeys(ALL, "x")

    assert load_server(None, bad).config.resources.max_workers == 1
    assert load_profile(None, bad).config.server.worker_port == 22


@pytest.mark.parametrize("text", ["gpu_vendor: nvidia\n", "max_workers: 1\n"])
def test_environment_beats_file_beats_default(tmp_path, text):
    """FETCH_ML_GPU_TYPE counts whatever the file says."""
    path = tmp_path / "worker.yaml"
    path.write_text(text, "utf-8")

    assert load_worker(path, {"FETCH_ML_GPU_TYPE": "none"}).config.gpu_vendor == "none"
    assert load_worker(path, {}).config.gpu_vendor == ("nvidia" if "nvidia" in text else "")


def test_active_ones_are_told():
    """Each that is set on a host gives one line, with its value, what it overrides, and whether it does so yet."""
    lines = active_overrides({**ALL, "FETCHML_LOG_LEVEL": "debug", "CLI_CONFIG": "x", "PATH": "/bin"})

    assert [line.split("=")[0] for line in lines] == ["FETCHML_LOG_LEVEL", *ALL]
    assert lines[0] == "FETCHML_LOG_LEVEL=debug overrides logging.level"
    assert lines[2].startswith("FETCH_ML_GPU_COUNT=0 overrides the detected number of GPUs")
    assert [("not active yet" in line) for line in lines] == [
        not one.read_by for one in VARIABLES if one.name in {"FETCHML_LOG_LEVEL", *ALL}
    ]


def test_a_path_in_a_line_attacks_no_terminal():
    """The one variable with free text is shown with its control characters spelt out."""
    (line,) = active_overrides({"FETCHML_CONFIG": "/x\x1b[31m\n"})

    assert line.isprintable()


def test_records():
    """A variable is found by its name, and tells its legal values in words."""
    variable = variable_named("FETCH_ML_TOTAL_CPU")

    assert variable is not None
    assert variable.expected == "a whole number from 1 up"
    assert variable_named("HOME") is None
