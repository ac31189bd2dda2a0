"""LaunchSpec -> the argv of ``podman run``: pure, compared with golden files.

Layer 2. Of what the user typed only the image's identity reaches this argv: command and variables travel in the
control folder, where no other account reads them and no word can become an option. What a containers.conf of
the host could switch on against us (host variables, another PID 1, the host's process table) is switched off by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from .gpus import Grant
from .spec import CHECKPOINT, CONTROL, INIT, LaunchSpec, queue_tag

if TYPE_CHECKING:
    from collections.abc import Collection

InitKind = Literal["python", "sh"]

INIT_COMMANDS: dict[InitKind, tuple[str, ...]] = {
    # -I and -S: nothing of the image's settings or packages runs before the go.
    "python": ("python3", "-I", "-S", "-B", INIT, CONTROL),
    "sh": ("sh", INIT, CONTROL),
}
_NO_GPUS = Grant()
_INIT_LOG_SIZE = "64kb"
_MIN_SHM = 64 << 20
_MASKED = (
    "/proc/interrupts:/sys/devices/system/cpu/cpu0/thermal_throttle"  # Podman masks them itself from 5.5 on
)


def podman_run_argv(
    spec: LaunchSpec,
    *,
    image: str,
    rootless: bool,
    user: str,
    init: InitKind,
    enforceable: Collection[str],
    given: Grant = _NO_GPUS,
) -> list[str]:
    """Return the arguments after ``podman`` that start one attempt, waiting for its go.

    Args:
        spec: The attempt.
        image: Id of the image that the attempt's image name stands for now.
        rootless: Whether Podman runs as an ordinary account: the job is then that account, in a namespace of its own.
        user: ``uid:gid`` of the job where Podman runs as root.
        init: Which init the image can run.
        enforceable: Those of `spec.LIMITS` that this host can enforce; the others are left out, for Podman
            would warn at each start and ignore them.
        given: The attempt's GPUs.
    """
    program, *arguments = INIT_COMMANDS[init]
    return [
        "run",
        "--detach",
        f"--name={spec.name}",
        f"--hostname=job-{spec.job_id}",
        f"--label=fetchml.queue={queue_tag(spec.folder)}",
        f"--label=fetchml.job={spec.job_id}",
        f"--label=fetchml.attempt={spec.attempt}",
        f"--pidfile={spec.folder}/pid",
        "--pull=never",
        *_sandbox(spec),
        "--userns=keep-id" if rootless else f"--user={user}",
        *_limits(spec, enforceable),
        *_gpus(given, rootless=rootless),
        *_volumes(spec),
        "--log-driver=k8s-file",
        f"--log-opt=path={spec.folder}/init.log",
        f"--log-opt=max-size={_INIT_LOG_SIZE}",
        "--sdnotify=ignore",
        "--no-healthcheck",
        "--init=false",
        "--stop-timeout=10",
        f"--workdir={spec.workspace}",
        f"--entrypoint={program}",
        image,
        *arguments,
    ]


def _sandbox(spec: LaunchSpec) -> list[str]:
    return [
        f"--network={'none' if spec.network == 'none' else 'private'}",
        "--cap-drop=all",
        "--security-opt=no-new-privileges",
        f"--security-opt=seccomp={spec.seccomp_profile}",
        f"--security-opt=mask={_MASKED}",
        "--read-only",
        "--read-only-tmpfs=false",
        f"--tmpfs=/tmp:rw,nosuid,nodev,mode=1777,size={spec.memory // 2}",
        # Not --shm-size: from Podman 4.7 on the flags above make that folder read-only, and each lock and DataLoader fails.
        f"--tmpfs=/dev/shm:rw,nosuid,nodev,noexec,mode=1777,size={max(_MIN_SHM, spec.memory // 2)}",
        "--ipc=private",
        "--pid=private",
        "--uts=private",
        "--http-proxy=false",
        "--env-host=false",
    ]


def _limits(spec: LaunchSpec, enforceable: Collection[str]) -> list[str]:
    flags = {
        # The same number twice: no swap beside the memory.
        "memory": [f"--memory={spec.memory}b", f"--memory-swap={spec.memory}b"],
        "cpus": [f"--cpus={spec.cpus:.3f}".rstrip("0").rstrip(".")],
        "pids": [f"--pids-limit={spec.pids_limit}"],
    }
    return [flag for limit, words in flags.items() if limit in enforceable for flag in words]


def _gpus(given: Grant, *, rootless: bool) -> list[str]:
    """The devices; and against NVIDIA's older hook, which obeys a variable of the image, the word that gives nothing."""
    if not given.groups:
        groups = []
    elif rootless:
        groups = ["--group-add=keep-groups"]  # the account's own; no other can be named
    else:
        groups = [f"--group-add={group}" for group in given.groups]
    devices = [f"--device={word}" for word in given.devices]
    # Without Z: these files are the host's, and keep the label that they have.
    libraries = [f"--volume={host}:{inside}:ro,nosuid,nodev" for host, inside in given.libraries]
    return ["--env=NVIDIA_VISIBLE_DEVICES=void", *devices, *libraries, *groups]


def _volumes(spec: LaunchSpec) -> list[str]:
    """The only folders that outlive the container; Z labels them for this container alone where SELinux is on."""
    places = {
        spec.folder / "workspace": spec.workspace,
        spec.folder / "results": spec.results,
        spec.checkpoint: CHECKPOINT,
        spec.control: CONTROL,
    }
    volumes = [f"--volume={host}:{inside}:rw,nosuid,nodev,Z" for host, inside in places.items()]
    return [*volumes, f"--volume={spec.folder}/init:{INIT}:ro,nosuid,nodev,Z"]
