"""The name of a host among those that share a queue: made once for its data folder, where its snapshots lie.

home.json    {"home": "<the machine's name>-<8 random hex digits>"}
"""

from __future__ import annotations

import json
import re
import secrets
from pathlib import Path

from fetchml_core.errors import HostError, explain_os_error
from fetchml_core.fsio import locked, make_folder, read_json, write_durably


def find_home(data: Path, machine: str) -> str:
    """Return the name that belongs to a data folder.

    Args:
        data: The folder of snapshots and jobs.
        machine: The machine's name, for people.

    Raises:
        HostError: ``damaged-file``, or what the system says.
    """
    path = data / "home.json"
    try:
        make_folder(data)
        with locked(data / "home.lock"):
            if not path.exists():
                name = re.sub(r"[^A-Za-z0-9.-]", "-", machine) or "host"
                text = json.dumps({"home": f"{name}-{secrets.token_hex(4)}"})
                write_durably(path, text.encode("ascii") + b"\n")
            found = read_json(path)
    except OSError as error:
        raise explain_os_error(error, "read the name of this host", path) from None
    if not isinstance(found, dict) or not isinstance(found.get("home"), str):
        raise HostError(
            "damaged-file",
            "this file does not name the host",
            context=str(path),
            hint="write the home of a job of this host into it again: ml show JOB --json",
        )
    return str(found["home"])
