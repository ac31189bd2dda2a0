"""The contract of a launcher, which `PodmanLauncher` and `ProcessLauncher` keep alike.

Layer 2. The way of an attempt: `launch` starts an init that waits; the worker writes down what `Launched` says; `go`
lets the job begin; the worker waits on `open_pidfd`; `record` tells how it ended; `clean` removes what is left. A worker
that comes back after a restart needs the `Launched` it wrote down, and nothing else.

All calls block, for the seconds said in their docstrings at most, and may be made from any thread; for one attempt,
one at a time. Errors are those of `fetchml_core.errors`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from .record import ExitRecord
    from .spec import Capabilities, Launched, LaunchSpec, Leftover


class Launcher(Protocol):
    """Starts attempts, ends them, and cleans up after them."""

    def check(self) -> Capabilities:
        """Say what this host can do; asked once, when the worker starts.

        Raises:
            HostError: this launcher cannot be used here at all, or ``limits-not-enforceable`` where limits are required.
        """

    def launch(self, spec: LaunchSpec) -> Launched:
        """Start the init of an attempt and prove its sandbox; nothing of the job runs yet.

        Takes up to two minutes, with GPUs up to three. Not idempotent: for an attempt whose launch was cut short, call `clean` with its name first. When it
        raises, nothing of the attempt is left but its folders.

        Raises:
            HostError: the attempt cannot be launched here; the code says why.
            InputError: ``env-refused``.
        """

    def go(self, launched: Launched, folder: Path) -> None:
        """Let the job begin; idempotent. Returns at once.

        Args:
            launched: What `launch` returned.
            folder: The attempt's folder.

        Raises:
            HostError: ``init-gone`` when the init ended before: nothing of the job ran.
        """

    def alive(self, launched: Launched) -> bool:
        """Say whether the attempt's init lives. Returns at once."""

    def open_pidfd(self, launched: Launched) -> int | None:
        """Return a descriptor that becomes readable when the init ends, None when it has; the caller closes it."""

    def signal(self, launched: Launched, number: int) -> bool:
        """Pass a signal on to the job: SIGTERM or SIGINT. Returns at once; False when the init has ended.

        Idempotent, but each call reaches the job.
        """

    def kill(self, launched: Launched) -> bool:
        """Kill everything of the attempt, its init last, so that the record can still be written; idempotent.

        Returns: whether all is gone; after some 15 seconds it may not be, when the kernel holds a process.
        """

    def record(self, folder: Path, attempt: int) -> ExitRecord | None:
        """Read the exit record of an attempt, None while there is none. Returns at once.

        Raises:
            HostError: ``damaged-record``, ``damaged-file``.
        """

    def leftovers(self, jobs: Path) -> list[Leftover]:
        """Find every attempt of which a process or a container is there, running or not, whoever launched it.

        Takes up to a minute. Nothing of another base is ever among them.

        Args:
            jobs: The folder in which the attempts' folders lie, as ``<id>/<attempt>``.

        Raises:
            HostError: this could not be found out.
        """

    def clean(self, launched: Launched | str, folder: Path, checkpoint: Path | None) -> None:
        """Kill what is left of an attempt, remove its container, and take its folders back; idempotent.

        Afterwards the account can read and remove everything the job wrote.

        Args:
            launched: What `launch` returned, or the name of a container (`LaunchSpec.name`) whose launch was cut short.
            folder: The attempt's folder.
            checkpoint: The job's checkpoint folder; None where another attempt of the job may use it.

        Raises:
            HostError: ``cannot-clean`` when something of the attempt still lives; call it again later.
        """

    def close(self) -> None:
        """Let go of what starts attempts; those that run go on. It may be used again."""
