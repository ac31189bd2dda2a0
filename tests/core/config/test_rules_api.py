"""Rules of the api file that belong to no larger subject: audit paths, rotation, the database."""

from __future__ import annotations

import pytest

from tests.core.config.rules_support import only, problems, told


@pytest.mark.parametrize(
    ("audit", "named", "expected"),
    [
        ("{enabled: true, log_path: a}", "a", []),
        ("{enabled: true, log_path: a}", "''", []),
        ("{enabled: true}", "''", []),
        ("{enabled: true, log_path: a}", "b", ["4 error audit-path-disagrees"]),
        ("{enabled: true}", "b", ["4 error audit-path-disagrees"]),
        ("{log_path: a}", "''", ["2 warning audit-not-enabled"]),
        ("{enabled: false}", "b", ["4 warning audit-not-enabled"]),
    ],
)
def test_audit_paths(audit, named, expected):
    """One key decides where audit records go; another may only repeat it, and none counts while it is off."""
    assert told(f"security:\n  audit_logging: {audit}\nlogging:\n  audit_log: {named}\n") == expected


def test_audit_paths_name_both_lines():
    """The disagreement is told with both lines."""
    text = "security:\n  audit_logging:\n    enabled: true\n    log_path: a\nlogging:\n  audit_log: b\n"
    found = only(text)

    assert found.line == 6
    assert "(line 4)" in found.message
    assert [place.line for place in found.also] == [4]


@pytest.mark.parametrize(
    ("days", "expected"), [(1, []), (90, []), (366, []), (367, ["2 warning rotation-rarely"])]
)
def test_rotation(days, expected):
    """A key that is older than a year was forgotten."""
    assert told(f"security:\n  api_key_rotation_days: {days}\n") == expected


@pytest.mark.parametrize(
    ("database", "expected"),
    [
        ("{type: sqlite, connection: data/fetchml.sqlite}", []),
        ("{connection: data/fetchml.sqlite}", []),
        ("{connection: 'sqlite:///data/fetchml.sqlite'}", []),
        ("{type: sqlite, host: db}", [("warning", "database-not-used")]),
        ("{username: al, password: pw, port: 1, database: x}", [("warning", "database-not-used")]),
        ("{type: sqlite, host: ''}", []),
        ("{type: postgres}", [("error", "database-missing")]),
        ("{type: mysql, username: al}", [("error", "database-missing")]),
        ("{type: postgres, host: db}", []),
        ("{type: postgres, connection: 'postgresql://db/x'}", []),
        ("{type: postgres, connection: 'postgresql+psycopg://db/x'}", []),
        ("{type: postgres, connection: 'host=db'}", []),
        ("{connection: 'postgres://db/x'}", [("error", "database-type-disagrees")]),
        ("{type: postgres, connection: 'mysql://db/x'}", [("error", "database-type-disagrees")]),
        ("{type: mysql, connection: 'al@tcp(db)/x'}", []),
    ],
)
def test_databases(database, expected):
    """A server needs a name, a file has none, and a connection string is of the type that is written."""
    assert [(one.severity, one.code) for one in problems(f"database: {database}")] == expected


def test_words_about_databases():
    """Keys and lines are named, the connection string is not."""
    found = only("database:\n  connection: postgres://al:s3cret@db/x\n")
    unused = only("database:\n  host: db\n  password: s3cret\n")

    assert found.message == (
        "database.connection (line 2) names a postgres database, but database.type is sqlite"
    )
    assert found.hint == "write type: postgres"
    assert unused.message == (
        "the database is sqlite, a file: database.host, database.password have no effect"
    )
    assert "s3cret" not in repr((found, unused))
