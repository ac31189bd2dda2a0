"""A file gives records or one error with every problem; a hostile or careless file one clear line."""

from __future__ import annotations

import os
import resource

import pytest

from fetchml_core.config.findings import InvalidConfigError
from fetchml_core.config.load import load_profile, load_server, load_worker
from fetchml_core.config.profile import Profile
from fetchml_core.config.server import ServerConfig
from fetchml_core.config.validate import validate
from fetchml_core.config.worker import WorkerConfig
from fetchml_core.errors import ConfigError, from_fields, to_fields
from tests.core.config.support import check_file, check_text


def test_no_file_means_the_defaults():
    """Without a file there are the defaults, and the environment still counts."""
    assert load_server(None, {}).config == ServerConfig()
    assert load_worker(None, {"FETCHML_LOG_LEVEL": "warn"}).config.logging.level == "warn"
    assert load_profile(None, {}).config == Profile()
    assert load_worker(None, {}).config == WorkerConfig()


def test_the_error_has_every_finding(tmp_path):
    """The error tells the first three in at most four lines; `findings` has them all."""
    path = tmp_path / "server.yaml"
    path.write_text("auth:\n  enabled: 1\n  a: 1\n  b: 1\n  c: 1\n  d: 1\n")
    with pytest.raises(InvalidConfigError) as caught:
        load_server(path, {})
    error = caught.value

    assert (error.code, error.status, len(error.findings)) == ("config-invalid", 3, 5)
    assert str(error).splitlines() == [
        f"config-invalid: {path}:2:12: auth.enabled: expected true or false, got 1",
        f"  context  {path}:3:3: unknown key 'a' in auth",
        f"           {path}:4:3: unknown key 'b' in auth",
        f"  hint     ml config validate {path} shows all 5 problems",
    ]


def test_one_problem_keeps_its_hint(tmp_path):
    """The hint of a single problem is the error's hint."""
    path = tmp_path / "worker.yaml"
    path.write_text("podman_imag: x\n")
    with pytest.raises(ConfigError) as caught:
        load_worker(path, {})

    assert caught.value.hint.startswith("did you mean podman_image?")
    assert caught.value.context == ""


def test_the_error_travels_as_a_config_error(tmp_path):
    """On the wire it stays exit status 3."""
    with pytest.raises(ConfigError) as caught:
        load_server(tmp_path / "none.yaml", {})

    assert from_fields(to_fields(caught.value)).status == 3


def test_an_api_file_is_yaml(tmp_path):
    """A TOML api file is refused by its name."""
    assert check_text(tmp_path, "a = 1", name="server.toml")[1][0].code == "wrong-format"


@pytest.mark.parametrize(
    ("data", "code", "place"),
    [
        (b"", "file-empty", (0, 0)),
        (b"\n\n", "file-empty", (0, 0)),
        (b"\xef\xbb\xbfauth:\n", "not-utf8", (1, 1)),
        ("auth:\n".encode("utf-16"), "not-utf8", (1, 1)),
        ("a: b\n\xe4: \xff".encode("latin-1"), "not-utf8", (2, 1)),
        (b"a: 1\nb: \xc3\xa4 \0", "control-character", (2, 6)),
    ],
)
@pytest.mark.parametrize("kind", ["api", "workers", "cli"])
def test_bytes_that_are_no_text(tmp_path, data, code, place, kind):
    """Whatever is no UTF-8 text is one clear line with its place."""
    path = tmp_path / "file"
    path.write_bytes(data)
    findings = check_file(path, kind)[1]

    assert [(found.code, (found.line, found.column)) for found in findings] == [(code, place)]


def test_what_is_no_file(tmp_path):
    """A directory, a FIFO, a socket's place, a missing file and a dead link give one line each, and nothing waits."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    codes = {
        name: [found.code for found in check_file(tmp_path / name, "api")[1]]
        for name in ("", "fifo", "link", "loop", "none", "fifo/x", "a\0b")
    }

    assert codes == {
        "": ["not-a-file"],
        "fifo": ["not-a-file"],
        "link": ["file-missing"],
        "loop": ["file-unreadable"],
        "none": ["file-missing"],
        "fifo/x": ["file-missing"],
        "a\0b": ["file-missing"],
    }


def test_a_huge_file_is_not_read(tmp_path):
    """A file of a gigabyte is refused by its size alone."""
    path = tmp_path / "server.yaml"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    assert [found.code for found in check_file(path, "api")[1]] == ["file-too-large"]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 18  # KiB


def test_a_link_to_a_file_is_followed(tmp_path):
    """Where configuration lies is the admin's choice."""
    (tmp_path / "real").write_text("auth:\n  enabled: true\n")
    (tmp_path / "server.yaml").symlink_to("real")

    assert load_server(tmp_path / "server.yaml", {}).config.auth.enabled


@pytest.mark.parametrize("name", ["a\nb", "\x1b[2J", "\u202eb"])
def test_findings_about_odd_names_are_safe(tmp_path, name):
    """The commands that a finding proposes hold no control character of the file's name."""
    unknown, loop, legacy = tmp_path / f"{name}.yaml", tmp_path / f"{name}.loop", tmp_path / f"{name}.toml"
    unknown.write_text("nobody: 1\n")
    loop.symlink_to(loop.name)
    legacy.write_text("worker_id = 'a'\nbase_path = 'b'\n")
    for path in (unknown, loop, legacy, tmp_path / name / "none.yaml"):
        hints = [found.hint for found in validate(path, {}, name="x").findings]

        assert any(hints)
        assert all(hint.isprintable() for hint in hints)
