"""Where a parser only stumbles, the slip itself is named: its line, its column, what to write."""

from __future__ import annotations

import pytest

from fetchml_core.config.findings import Report
from fetchml_core.config.source import SourceError
from fetchml_core.config.toml_loader import parse_toml
from fetchml_core.config.yaml_loader import parse_yaml
from tests.core.config.support import check_text

PARSERS = pytest.mark.parametrize("pure", [True, False], ids=["pure", "compiled"])
YAML = """\
base_path: "./data"
auth:
  enabled: false
security:
  allowed_origins:
    - "http://localhost"
  rate_limit:
    burst_size: 10
  ip_whitelist: ["10.0.0.1", "10.0.0.2"]
data_dir: "active"
"""
TOML = """\
[server]
worker_host = "localhost"
worker_port = 22

[auth]
api_key = "<key>"
[cli]
verbose = false
"""


@PARSERS
@pytest.mark.parametrize(
    ("old", "new", "line", "column", "words", "fix"),
    [
        ('"./data"', '"./data', 1, 12, "quote is not closed", 'close it with "'),
        ('"./data"', "'./data", 1, 12, "quote is not closed", "close it with '"),
        ('"active"', '"act"ive"', 10, 16, "text follows a closing quote", "at its quote"),
        ('"10.0.0.1", ', '"10.0.0.1" ', 9, 29, "text follows a closing quote", "comma"),
        ('"10.0.0.2"]', '"10.0.0.2"', 9, 17, "[ is not closed", "]"),
        ('"10.0.0.2"]', '"10.0.0.2"}', 9, 40, "} closes another bracket", "brackets"),
        ("security:", "security: {", 4, 11, "{ is not closed", "}"),
        ("  enabled", "\tenabled", 3, 1, "tab", "spaces"),
        ("data_dir: ", "data_dir = ", 10, 10, "= where YAML has a colon", "data_dir:"),
        ("data_dir: ", "data_dir:", 10, 9, "no space after the colon", "data_dir:"),
        ("data_dir: ", "data_dir ", 10, 1, "without a colon", "data_dir:"),
        ("auth:", "auth", 2, 1, "without a colon", "auth:"),
        ('data_dir: "active"', "data_dir: a: b", 10, 12, "second colon", "quotes"),
        ('"active"', '"C:\\data"', 10, 14, "escape", "/ instead of"),
        ("auth:", "  auth:", 2, 3, "deeper than line 1", "like line 1"),
        ("  rate_limit", "   rate_limit", 7, 4, "as no line above", "2 spaces, as line 5"),
        ("  allowed_origins", " allowed_origins", 5, 2, "unlike line 7", "2 spaces"),
        ("  allowed_origins", "allowed_origins", 5, 1, "not indented below line 4", "2 spaces, as line 7"),
        ("    - ", "    - x\n    y: ", 7, 5, "list item and a key", "deeper"),
        ("data_dir: ", " data_dir: ", 10, 2, "indented by 1 space", "like line 4"),
        ('"active"', "@home", 10, 11, "cannot start", "quotes"),
        ('"active"', "*x", 10, 11, "aliases", "quotes"),
    ],
)
def test_yaml(old, new, line, column, words, fix, pure):
    """The line that a person must change is named, whichever parser stumbled below it."""
    assert old in YAML
    with pytest.raises(SourceError) as caught:
        parse_yaml(YAML.replace(old, new, 1), Report(""), pure=pure)
    error = caught.value

    assert (tuple(error.place), words in error.message, fix in error.hint) == ((line, column), True, True), (
        error
    )


@pytest.mark.parametrize(
    ("old", "new", "line", "column", "words", "fix"),
    [
        ('"localhost"', "localhost", 2, 15, "without quotes", "worker_host ="),
        ('"localhost"', '"localhost', 2, 15, "quote is not closed", '"'),
        ("22", "'a", 3, 15, "quote is not closed", "'"),
        ("22", "022", 3, 15, "neither a number", "leading 0"),
        ("22", '"a" b', 3, 19, "follows the end", "one key"),
        ("22", "[1, 2", 3, 15, "[ is not closed", "]"),
        (" = 22", " =", 3, 13, "nothing stands behind", '""'),
        (" = 22", ": 22", 3, 12, "colon where TOML has =", "worker_port ="),
        (" = 22", " 22", 3, 1, "without =", "key = value"),
        ("[auth]", "auth:", 5, 5, "no colon", "[auth]"),
        ("[auth]", "[auth", 5, 1, "[ is not closed", "]"),
        ("[auth]", "[]", 5, 1, "name cannot be read", "[server]"),
        ("[auth]", "[server]", 5, 2, "in line 1", "lines 1 and 5"),
        ("worker_port", "worker_host", 3, 1, "in line 2", "lines 2 and 3"),
        ("false", "False", 8, 11, "small letters", "verbose = false"),
        ("false", "yes", 8, 11, "small letters", "verbose = true"),
        ('"localhost"', "\u201clocalhost\u201d", 2, 15, "curly", "straight"),
        ('"localhost"', '"C:\\data"', 2, 18, "escape", "/ instead of"),
    ],
)
def test_toml(old, new, line, column, words, fix):
    """The slip is named with what to write."""
    assert old in TOML
    with pytest.raises(SourceError) as caught:
        parse_toml(TOML.replace(old, new, 1))
    error = caught.value

    assert (tuple(error.place), words in error.message, fix in error.hint) == ((line, column), True, True), (
        error
    )


def test_the_other_format():
    """YAML read as TOML and TOML read as YAML are told as such."""
    with pytest.raises(SourceError, match="this is YAML, in a file that is read as TOML"):
        parse_toml("server:\n  worker_host: box\n")
    with pytest.raises(SourceError, match="this is TOML, in a file that is read as YAML"):
        parse_yaml(TOML, Report(""))


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("tls:\n  enabled: true", "did you mean server.tls?"),
        ("server:\naddress: ':1'", "indent it below server: (line 1)"),
        ("server:\n  tls:\n    address: ':1'", "it belongs below server: (line 1): indent it less"),
        ("server:\n  data_dir: a", "it belongs to no section: do not indent it"),
        ("queue:\n  data_dir: a", "write native: and below it, indented, data_dir:"),
        (
            "server.tls.enabled: true",
            "write server: and below it, indented, tls: and below it, indented, enabled:",
        ),
        ("max-workers: 3", "did you mean resources.max_workers?"),
        ("MaxWorkers: 3", "did you mean resources.max_workers?"),
        ("server:\n  worker_host: a", "this key belongs in the profile (config.toml)"),
        ("resources:\n  podman_image: a", "this key belongs in the worker file (worker.yaml)"),
        ("redis:\n  hostname_of_it: a", "remove it; known here: addr, db, max_connections, password, url"),
        ("auth:\n  al:\n    hash: a", "indent it below auth.api_keys:"),
        (
            "auth:\n  api_keys:\n    al:\n      hash: a\n      bo:\n",
            "indent it less, if it is a new name below auth.api_keys",
        ),
        ("password: x", "did you mean database.password or redis.password?"),
    ],
)
def test_where_a_key_belongs(tmp_path, text, fix):
    """A key that exists elsewhere is sent there: another section, another level, another file."""
    hints = [found.hint for found in check_text(tmp_path, text)[1] if found.code == "unknown-key"]

    assert hints == [fix]
