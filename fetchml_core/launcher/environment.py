"""The job's environment: built from nothing, complete, the same names under both launchers.

Layer 2, pure. Nothing of the worker's environment reaches a job but PATH under the process launcher. In a
container PATH is the image's own, which only the init can see: where it is absent here, the init adds it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attrs import frozen

from fetchml_core.errors import InputError

from .spec import CHECKPOINT, CONTROL, LaunchSpec, check_words

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,200}")
_REFUSED = ("LD_", "NVIDIA_", "FETCHML_")


@frozen
class JobView:
    """The job's folders, as the job sees them."""

    workspace: str
    results: str
    checkpoint: str
    control: str
    home: str


def container_view(spec: LaunchSpec) -> JobView:
    """Return what the job sees in a container; its home is the private /tmp, which ends with it."""
    return JobView(spec.workspace, spec.results, CHECKPOINT, CONTROL, "/tmp")  # noqa: S108 - in the container


def host_view(spec: LaunchSpec) -> JobView:
    """Return what the job sees without a container.

    Its home is a folder of the attempt: /tmp is shared on a host, and the account's own home holds keys and
    settings that a job should neither find by habit nor overwrite.
    """
    folder = str(spec.folder)
    return JobView(
        f"{folder}/workspace",
        f"{folder}/results",
        str(spec.checkpoint),
        f"{folder}/control",
        f"{folder}/home",
    )


def check_env_names(env: Mapping[str, str]) -> None:
    """Refuse variables that a user may not set; also asked when a job is submitted.

    LD_* and NVIDIA_* would steer programs that run for the job outside its sandbox, FETCHML_* are ours.

    Raises:
        InputError: ``env-refused``, naming the variable, never its value.
    """
    for name, value in env.items():
        if _NAME.fullmatch(name) is None:
            raise InputError(
                "env-refused",
                "this is no name of a variable",
                context=ascii(name)[:80],
                hint="--env NAME=VALUE",
            )
        if name.upper().startswith(_REFUSED):
            raise InputError(
                "env-refused",
                "variables that begin with LD_, NVIDIA_ or FETCHML_ cannot be set for a job",
                context=name,
                hint="set it inside your script, or give it another name",
            )
        try:
            check_words((f"{name}={value}",), "a variable")
        except InputError as error:
            raise InputError("env-refused", error.message, context=name) from None


def job_environment(spec: LaunchSpec, view: JobView, *, path: str = "") -> dict[str, str]:
    """Return all variables of the job.

    Args:
        spec: The attempt.
        view: Where the job finds its folders.
        path: PATH on the host; empty leaves it to the init.

    Raises:
        InputError: ``env-refused``.
    """
    check_env_names(spec.env)
    environment = {
        "HOME": view.home,
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "FETCHML_JOB_ID": str(spec.job_id),
        "FETCHML_ATTEMPT": str(spec.attempt),
        "FETCHML_WORKSPACE": view.workspace,
        "FETCHML_RESULTS": view.results,
        "FETCHML_CHECKPOINT_DIR": view.checkpoint,
        "FETCHML_STOP_FILE": f"{view.control}/stop",
    }
    if path:
        environment["PATH"] = path
    return environment | dict(spec.env)
