"""What an admin waits for: ``ml config validate``, beside the tools that people check YAML with.

    make bench            with the other benchmarks
    python -m benchmarks.config --count 30 --only peers

Whole processes, on the same file, in turn: yamllint looks at style only, check-jsonschema holds the file against our own
schema (``configs/schema/api.json``); neither knows ports, hashes, certificates or what belongs together. The second table
doubles the number of people in an api file. It reports and is no test: the exit status is 0 whatever the table says; only a
peer that is missing is an error, since a table without it would look as if all were well.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from .measure import BrokenCaseError, Case, Program, Times, round_robin
from .scene import ml_argv
from .submit import Row, machine, row, show

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = Path("configs/api/prod.yaml")
SCHEMA = Path("configs/schema/api.json")
PEERS = ("yamllint", "check-jsonschema")
INVALID = 3  # the certificate that the sample names is not there
USERS = 2500
ROLES = ("admin", "researcher", "analyst", "user")
PERMISSIONS = ("jobs:read", "jobs:create", "jobs:update", "jobs:delete", "experiments", "datasets")


def peer(name: str) -> str:
    """The path of a tool that was installed beside us."""
    return str(Path(sys.executable).with_name(name))


def missing() -> list[str]:
    """The peers that are not installed."""
    return [name for name in PEERS if not Path(peer(name)).exists()]


def versions() -> str:
    """Who is compared, as they call themselves."""
    told = [
        subprocess.run([peer(name), "--version"], capture_output=True, text=True, check=True)
        for name in PEERS
    ]
    return "; ".join(done.stdout.strip() for done in told)


def program(argv: Sequence[str], status: int = 0) -> Program:
    """A program in the folder of the project, with hardly any environment."""
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"}
    return Program(argv, env, ROOT, status)


def validate(path: Path, status: int = 0) -> Program:
    """``ml config validate PATH``."""
    return program(ml_argv("config", "validate", str(path)), status)


def peers(count: int) -> list[Row]:
    """A shipped file, by each tool."""
    file = str(SAMPLE)
    cases = [
        Case("python3 -c pass", program([sys.executable, "-c", "pass"]).time_to_end),
        Case("ml config validate", validate(SAMPLE, INVALID).time_to_end),
        Case("yamllint", program([peer("yamllint"), file]).time_to_end),
        Case(
            "check-jsonschema",
            program([peer("check-jsonschema"), "--schemafile", str(SCHEMA), file]).time_to_end,
        ),
    ]
    found = round_robin(cases, count)
    return [
        row(found, "python3 -c pass"),
        row(found, "yamllint"),
        row(found, "check-jsonschema"),
        against(found, "check-jsonschema", 0.6),
        against(found, "yamllint", 2.0),
    ]


def against(found: dict[str, Times], floor: str, at_most: float) -> Row:
    """The row of ours beside a peer."""
    return row(found, "ml config validate", floor, at_most)


def people(count: int, folder: Path) -> list[Row]:
    """A lab's api file, and one of twice its size."""
    few, many = (f"{users:,} users" for users in (USERS, 2 * USERS))
    cases = [
        Case(name, validate(api_file(folder, users)).time_to_end)
        for name, users in ((few, USERS), (many, 2 * USERS))
    ]
    found = round_robin(cases, count)
    return [row(found, few), row(found, many, few, 2.2)]


def api_file(folder: Path, users: int) -> Path:
    """An api file as a big lab has it: everyone with a hash, roles and permissions of their own."""
    lines = ["auth:", "  enabled: true", "  api_keys:"]
    for number in range(users):
        permissions = [PERMISSIONS[(number + i) % len(PERMISSIONS)] for i in range(3)]
        lines += [
            f"    user{number:04}:",
            f'      hash: "{hashlib.sha256(str(number).encode()).hexdigest()}"',
            "      admin: false",
            "      roles:",
            f"        - {ROLES[1 + number % 3]}",
            "      permissions:",
            *(f'        "{name}": {"false" if i == 2 else "true"}' for i, name in enumerate(permissions)),
        ]
    path = folder / f"server-{users}.yaml"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    path.chmod(0o600)
    return path


def main() -> int:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="benchmarks.config", description="Measure ml config validate.")
    parser.add_argument(
        "--count", type=int, default=20, help="measurements of each case, after one to warm up"
    )
    parser.add_argument("--only", default="peers,people", help="comma list of peers, people")
    options = parser.parse_args()
    if lacking := missing():
        print(
            f"error: {' and '.join(lacking)} not installed; type: {sys.executable} -m pip install {' '.join(lacking)}"
        )
        return 1
    print("\n".join([*machine(), versions()]))
    wanted = set(options.only.split(","))
    try:
        if "peers" in wanted:
            show(f"{SAMPLE}, whole process", peers(options.count))
        if "people" in wanted:
            with tempfile.TemporaryDirectory() as folder:
                show("ml config validate, an api file with many people", people(options.count, Path(folder)))
    except BrokenCaseError as error:
        print(f"not measured: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
