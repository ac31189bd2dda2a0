"""What comes before a launch: whether the attempt can still run here, its folders, its launch in full."""

from __future__ import annotations

import contextlib

from fetchml_core.errors import HostError
from fetchml_core.fsio import make_folder, sync_folder
from fetchml_core.jobs.job import Job
from fetchml_core.launcher.base import Launcher
from fetchml_core.launcher.process import ProcessLauncher
from fetchml_core.launcher.seccomp import default_profile
from fetchml_core.launcher.spec import LaunchSpec
from fetchml_core.places import AttemptPlaces
from fetchml_core.removal import remove_tree
from fetchml_core.service.host import Host
from fetchml_core.service.limits import JobLimits
from fetchml_core.service.network import REASON, REFUSED, network_allowed, worker_file
from fetchml_core.service.snapshot import load_manifest
from fetchml_core.snapshot.store import BlobStore
from fetchml_core.snapshot.workspace import materialise


def check_still_possible(host: Host, launcher: Launcher, job: Job, gpus: tuple[str, ...]) -> None:
    """Look whether the host still has what the job was promised when it was submitted or claimed.

    Args:
        host: As it is now.
        launcher: What starts jobs here.
        job: The job, claimed.
        gpus: UUIDs of the GPUs that it is given.

    Raises:
        HostError: it has not.
    """
    if job.spec.image and isinstance(launcher, ProcessLauncher):
        raise HostError(
            "image-needs-podman",
            "jobs run without a container on this host, so the image that was asked for cannot be used",
            context=job.spec.image,
            hint="submit again without --image, or make Podman work on the host",
        )
    if job.spec.network and not network_allowed(host):
        raise HostError(
            REFUSED,
            REASON,
            context=f"{worker_file(host)}, as the worker read it",
            hint="submit without --network; or, where the file allows it by now: ml worker stop, and submit again",
        )
    if len(gpus) != job.spec.resources.gpus:
        raise HostError(
            "gpu-not-available",
            "the GPUs of this job are not there any more",
            context=f"{len(gpus)} of {job.spec.resources.gpus}",
            hint="submit it again: if the host has too few GPUs now, that is refused with the numbers",
        )


def prepare(host: Host, job: Job, places: AttemptPlaces) -> None:
    """Make the attempt's folders, the workspace from the snapshot; `keep_folders` makes durable what is to last of them."""
    remove_tree(places.folder)
    make_folder(host.data.jobs)
    for folder in (
        places.folder.parent,
        host.data.checkpoint(job.id),
        places.folder,
        places.results,
        places.control,
    ):
        folder.mkdir(mode=0o700, exist_ok=True)
    store = BlobStore(host.data.blobs)
    manifest = load_manifest(store, job.spec.snapshot)
    materialise(manifest, store, places.workspace, start=job.spec.cwd)


def keep_folders(places: AttemptPlaces) -> None:
    """Make the names of the attempt's folders durable: what it leaves there must not go with them.

    A power cut before that may have taken them: then nothing is left to be kept.
    """
    for folder in (places.folder.parent.parent, places.folder.parent, places.folder):
        with contextlib.suppress(FileNotFoundError):
            sync_folder(folder)


def launch_spec(
    host: Host,
    job: Job,
    places: AttemptPlaces,
    *,
    attempt: int,
    image: str,
    gpus: tuple[str, ...],
    limits: JobLimits,
) -> LaunchSpec:
    """Return what the launcher needs to know to start the attempt; *limits* is what a job gets that asks for nothing."""
    worker, spec, sandbox = host.worker, job.spec, host.worker.sandbox
    profile = host.base.folder / sandbox.seccomp_profile if sandbox.seccomp_profile else default_profile()
    return LaunchSpec(
        job_id=job.id,
        attempt=attempt,
        folder=places.folder,
        checkpoint=host.data.checkpoint(job.id),
        argv=spec.argv,
        cwd=spec.cwd,
        env=spec.env,
        image=image,
        workspace=worker.container_workspace,
        results=worker.container_results,
        cpus=spec.resources.cpus or limits.cpus,
        memory=spec.resources.memory or limits.memory,
        gpus=gpus,
        seccomp_profile=profile,
        network="full" if spec.network and network_allowed(host) else "none",
        limits="best-effort" if host.embedded or sandbox.limits == "best-effort" else "required",
    )
