"""Which launcher this worker uses, proven before the first job."""

from __future__ import annotations

import os
import select
from collections.abc import Mapping

from fetchml_core.errors import FetchError, HostError
from fetchml_core.fsio import make_folder
from fetchml_core.launcher.base import Launcher
from fetchml_core.launcher.podman import DEFAULT_USER, PodmanLauncher
from fetchml_core.launcher.process import ProcessLauncher
from fetchml_core.launcher.seccomp import default_profile
from fetchml_core.launcher.spec import Capabilities, LaunchSpec
from fetchml_core.removal import remove_tree
from fetchml_core.service.host import Host

DEFAULT_IMAGE = "docker.io/library/python:3.9-slim"
_TRIAL_S = 30.0

Chosen = tuple[Launcher, Capabilities, tuple[str, ...]]


def choose_launcher(host: Host, environ: Mapping[str, str]) -> Chosen:
    """Return the launcher, what it found it can do, and what does not hold here, in words.

    A worker file decides; the embedded default takes Podman where the whole hardened launch really works with a
    local image, else the process launcher, and says what is lost.

    Raises:
        FetchError: what the file asks for does not work on this host.
    """
    sandbox = host.worker.sandbox
    podman = PodmanLauncher(
        env=environ,
        clock=host.clock,
        limits="best-effort" if host.embedded or sandbox.limits == "best-effort" else "required",
        user=sandbox.user or DEFAULT_USER,
    )
    process = ProcessLauncher(env=environ, clock=host.clock)
    if host.embedded:
        return _podman_or_process(podman, process, host)
    launcher: Launcher = process if host.worker.launcher == "process" else podman
    found = launcher.check()
    return launcher, found, found.reasons


def _podman_or_process(podman: PodmanLauncher, process: ProcessLauncher, host: Host) -> Chosen:
    try:
        found = podman.check()
        try_out(podman, host)
    except FetchError as error:
        lost = process.check()
        return process, lost, (*lost.reasons, f"Podman cannot be used: {_on_one_line(error)}")
    return podman, found, found.reasons


def _on_one_line(error: FetchError) -> str:
    hint = f"; {error.hint}" if error.hint else ""
    return error.message + (f" ({error.context})" if error.context else "") + hint


def try_out(launcher: Launcher, host: Host) -> None:
    """Run a job that does nothing, the whole hardened way, with a local image.

    Raises:
        FetchError: it did not end well.
    """
    folder = host.base.run / "trial" / "1" / "1"
    remove_tree(folder)
    for name in ("workspace", "results", "checkpoint"):
        make_folder(folder / name)
    spec = LaunchSpec(
        job_id=1,
        attempt=1,
        folder=folder,
        checkpoint=folder / "checkpoint",
        argv=("true",),
        cwd="",
        env={},
        image=host.worker.podman_image or DEFAULT_IMAGE,
        cpus=1.0,
        memory=256 << 20,
        seccomp_profile=default_profile(),
        limits="best-effort",
    )
    try:
        launcher.clean(spec.name, folder, spec.checkpoint)
        launched = launcher.launch(spec)
        launcher.go(launched, folder)
        pidfd = launcher.open_pidfd(launched)
        if pidfd is not None:
            select.select([pidfd], [], [], _TRIAL_S)
            os.close(pidfd)
        record = launcher.record(folder, 1)
        if record is None or record.code != 0:
            raise HostError(
                "trial-failed", "a container that does nothing did not end well", context=str(record)
            )
    finally:
        launcher.clean(spec.name, folder, spec.checkpoint)
        remove_tree(folder)
