"""Look at the files of a base and say everything that is wrong with them; nothing is started and nothing made.

Layer 3. What `ml config validate` says on a machine with the command line, a bare host says with the worker alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from fetchml_core.config.find import find_server_file, find_worker_file
from fetchml_core.config.findings import errors_of
from fetchml_core.config.kinds import FileKind, api_kind, worker_kind
from fetchml_core.config.render import plain, printable, render
from fetchml_core.config.rules.base import Machine
from fetchml_core.config.validate import Checked, not_found, validate
from fetchml_core.errors import ConfigError
from fetchml_core.hardware.machine import machine_of

REASON = "in use here"
INVALID = 3


def validate_base(base: Path, config: Path | None, environ: Mapping[str, str], out: TextIO) -> int:
    """Write to *out* what is wrong with the worker file and the api file of a base; return the exit status.

    Args:
        base: The folder given to FetchML.
        config: A worker file other than ``<base>/worker.yaml``.
        environ: The process's environment.
        out: Takes the text.
    """
    machine = machine_of(base, environ)
    finders: tuple[tuple[FileKind[Any], Callable[[], Path | None]], ...] = (
        (worker_kind(), lambda: config or find_worker_file(base, None)),
        (api_kind(), lambda: find_server_file(base, environ)),
    )
    status = 0
    for number, (kind, find) in enumerate(finders):
        if number:
            out.write("\n")
        for checked in _checked(kind, base, find, environ, machine):
            out.writelines(plain(line).rstrip() + "\n" for line in render(checked))
            status = INVALID if errors_of(checked.findings) else status
            break
        else:
            out.write(f"{printable(str(base))}: there is no {kind.file}: the defaults count\n")
    return status


def _checked(
    kind: FileKind[Any],
    base: Path,
    find: Callable[[], Path | None],
    environ: Mapping[str, str],
    machine: Machine,
) -> Iterator[Checked]:
    """The file of *kind*, if there is one."""
    try:
        path = find()
    except ConfigError as error:
        yield not_found(error, base / kind.file, kind, REASON)
        return
    if path is not None:
        yield validate(path, environ, kind=kind, machine=machine, reason=REASON)
