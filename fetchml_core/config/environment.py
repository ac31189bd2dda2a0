"""The environment variables that FetchML reads: what each means, which values it takes, what it overrides.

Layer 1, pure; the environment is an argument. Explaining, documenting and reading use the same records. Environment
beats file, file beats default, flags beat all. An empty variable counts as unset.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from attrs import frozen

from .findings import Finding, show
from .option import Field, Kind, Option
from .scalars import Problem, check_scalar, expected_of
from .shared import LOG_LEVELS

Side = Literal["the host", "your machine"]
GPU_VENDORS = ("nvidia", "amd", "apple", "none")


@frozen
class Variable:
    """One environment variable.

    Args:
        name: Its name.
        help: What it does, in a sentence.
        overrides: What it counts instead of, in words.
        key: The key of a file that it overrides; empty: none.
        side: Where it is read; nothing of the environment crosses SSH.
        type: What its value is.
        choices: The legal texts.
        ge: Least value of a number.
        default: What counts while neither it nor a file says anything; empty: nothing does.
        example: A value to show.
        read_by: The code that reads it, ``module:name``; empty: not active yet.
    """

    name: str
    help: str
    overrides: str
    key: str = ""
    side: Side = "the host"
    type: Kind = "text"
    choices: tuple[str, ...] = ()
    ge: int | None = None
    default: str = ""
    example: str = ""
    read_by: str = ""

    @property
    def field(self) -> Field:
        """The variable as an option, to check it and to tell its legal values."""
        about = Option(self.help, choices=self.choices, ge=self.ge, example=self.example)
        return Field(self.name, self.type, optional=True, item=None, default=None, option=about)

    @property
    def expected(self) -> str:
        """Its legal values, in words."""
        return expected_of(self.field)

    def check(self, text: str) -> Any:
        """Return *text*, not empty, as the variable's type.

        Raises:
            Problem: it does not fit.
        """
        if self.type == "int":
            if not (text.isascii() and text.isdigit() and len(text) <= 9):
                raise Problem("bad-environment", f"expected {self.expected}, got {show(text)}", self.expected)
            return check_scalar(self.field, int(text))
        return check_scalar(self.field, text)


VARIABLES = (
    Variable(
        "FETCHML_CONFIG",
        help="Names the api file. Set it on the host: it does not cross SSH.",
        overrides="<base>/server.yaml",
        example="/etc/fetchml/server.yaml",
        read_by="fetchml_core.config.find:find_server_file",
    ),
    Variable(
        "FETCHML_LOG_LEVEL",
        help="Least level that agent and worker log.",
        overrides="logging.level",
        key="logging.level",
        choices=LOG_LEVELS,
        default="info",
        example="debug",
        read_by="fetchml_core.config.structure:Structure.record",
    ),
    Variable(
        "CLI_CONFIG",
        help="Names the profile that ml reads where no --profile is given.",
        overrides="~/.ml/config.toml",
        side="your machine",
        example="~/lab/config.toml",
        read_by="fetchml_core.config.find:find_profile",
    ),
    Variable(
        "FETCH_ML_GPU_TYPE",
        help="Vendor of the GPUs, whatever the worker file says and whatever is found.",
        overrides="gpu_vendor",
        key="gpu_vendor",
        choices=GPU_VENDORS,
        example="none",
        read_by="fetchml_core.hardware.detect:detect",
    ),
    Variable(
        "FETCH_ML_GPU_COUNT",
        help="Number of GPUs. It changes the count, never the proof: a job gets a GPU that is there.",
        overrides="the detected number of GPUs",
        type="int",
        ge=0,
        example="2",
        read_by="fetchml_core.hardware.detect:detect",
    ),
    Variable(
        "FETCH_ML_TOTAL_CPU",
        help="Number of CPUs that jobs may use.",
        overrides="the detected number of CPUs",
        type="int",
        ge=1,
        example="8",
        read_by="fetchml_core.hardware.detect:detect",
    ),
    Variable(
        "FETCH_ML_GPU_SLOTS_PER_GPU",
        help="Jobs that may share a GPU.",
        overrides="the default of one job per GPU",
        type="int",
        ge=1,
        default="1",
        example="2",
        read_by="fetchml_core.hardware.detect:detect",
    ),
)
_BY_NAME = {variable.name: variable for variable in VARIABLES}


@frozen
class Overrides:
    """What the environment says about the machine, instead of what a worker would find; None: it says nothing.

    Args:
        gpu_type: Vendor of the GPUs.
        gpu_count: Number of GPUs.
        total_cpu: Number of CPUs that jobs may use.
        gpu_slots_per_gpu: Jobs that may share a GPU.
    """

    gpu_type: str | None = None
    gpu_count: int | None = None
    total_cpu: int | None = None
    gpu_slots_per_gpu: int = 1


_PREFIX = "FETCH_ML_"


def variable_named(name: str) -> Variable | None:
    """Return the record of the variable *name*, None where FetchML reads no such variable."""
    return _BY_NAME.get(name)


def check_overrides(environ: Mapping[str, str]) -> tuple[Overrides, tuple[Finding, ...]]:
    """Return what the FETCH_ML_* variables of *environ* say, and an error for each that has no legal value."""
    values: dict[str, Any] = {}
    findings: list[Finding] = []
    for variable in VARIABLES:
        text = environ.get(variable.name, "")
        if not variable.name.startswith(_PREFIX) or not text:
            continue
        try:
            values[variable.name.removeprefix(_PREFIX).lower()] = variable.check(text)
        except Problem as problem:
            findings.append(bad_environment(variable.name, problem))
    return Overrides(**values), tuple(findings)


def active_overrides(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return a line for each variable of *environ* that overrides something, for the log of a start.

    Args:
        environ: The environment, already found to have legal values.
    """
    lines = []
    for variable in VARIABLES:
        text = environ.get(variable.name, "")
        if text and variable.side == "the host":
            idle = "" if variable.read_by else "; not active yet: nothing reads it so far"
            lines.append(f"{variable.name}={show(text)[1:-1]} overrides {variable.overrides}{idle}")
    return tuple(lines)


def bad_environment(name: str, problem: Problem) -> Finding:
    """Return the finding about the variable *name*, whose value does not fit."""
    return Finding(
        "bad-environment",
        "error",
        f"environment variable {name}: {problem.message}",
        key=name,
        expected=problem.expected,
        hint=problem.hint or f"unset {name}",
    )
