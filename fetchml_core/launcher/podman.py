"""Jobs in hardened Podman containers, rootful and rootless.

Layer 2. Invariants: the go is possible only after the sandbox was read from the host's /proc of the container's PID 1;
a limit that cannot be enforced refuses the launch or is named in `Launched.not_enforced`; whatever fails, no
container is left. Podman is asked to start and to remove, never whether a job lives or how it ended: it forgets both
when conmon dies.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from attrs import evolve

from fetchml_core.errors import ConfigError, HostError, explain_os_error
from fetchml_core.fsio import read_plain_file, replace_file

from . import control, driver_files, evidence, handover, strays
from .argv import InitKind, podman_run_argv
from .by_init import ByInit
from .engine import Answer, Engine, printable
from .environment import container_view, job_environment
from .gpus import CUDA, FENCED, Grant, grant, not_resolved
from .gpus import prove as prove_gpus
from .images import Image, Images
from .proof import Expected, prove
from .seccomp import CheckedProfile, check_profile
from .spec import Capabilities, Launched, LaunchSpec, Leftover, name_prefix

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fetchml_core.clock import Clock

SANDBOX = (
    *("seccomp", "no-new-privileges", "no-capabilities", "read-only-root", "masked-paths"),
    *("own-variables", "own-ipc"),
)
DEFAULT_USER = "65534:65534"
_LOOK_S = 0.001
_READY_TIMEOUT = 30.0
_GPU_TIMEOUT = 70.0  # above what the init gives CUDA for an answer
_REMOVALS = 5  # Podman refuses for a moment when a container has just ended, 8 times of 60
_INIT_FILES: dict[InitKind, str] = {"python": "init.py", "sh": "init.sh"}


class PodmanLauncher(ByInit):
    """The launcher that isolates; see `base.Launcher` for the contract.

    Args:
        env: Podman's whole environment.
        clock: The machine's clocks.
        limits: Whether a limit that cannot be enforced is an error already when the worker starts.
        user: ``uid:gid`` that jobs have where Podman runs as root.
        program: Podman's name or path.
    """

    def __init__(
        self,
        *,
        env: Mapping[str, str],
        clock: Clock,
        limits: Literal["required", "best-effort"] = "required",
        user: str = DEFAULT_USER,
        program: str = "podman",
    ) -> None:
        self._engine = Engine(env, program)
        self._clock = clock
        self._limits = limits
        self._user = user
        self._uid, self._gid = _parse_user(user)
        self._capabilities: Capabilities | None = None
        self._inits: dict[str, InitKind] = {}  # image id -> the init it can run
        self._images = Images(self._engine)

    def check(self) -> Capabilities:
        """See `base.Launcher.check`."""
        found = self._capabilities = self._engine.check()
        _require_limits(found, self._limits)
        return found

    def launch(self, spec: LaunchSpec) -> Launched:
        """See `base.Launcher.launch`; also ``image-missing``, ``image-has-no-init``, ``sandbox-not-proven``.

        For GPUs: ``gpu-not-available`` where the container cannot be given them, ``gpu-not-usable`` where its init
        could not use them.
        """
        host = self._capabilities or self._engine.check()
        self._capabilities = host
        _require_limits(host, spec.limits)
        profile = check_profile(spec.seccomp_profile)
        spec = evolve(spec, seccomp_profile=spec.folder / "seccomp.json")
        image = self._images.find(spec.image, host.image_index)
        given = grant(spec.gpus)
        if given.cuda and not (host.traits.cdi and driver_files.has_specification()):
            given = driver_files.without_cdi(spec.gpus, given)
        view = container_view(spec)
        environment = job_environment(spec, view)
        control.prepare(spec, view, environment, given)
        if "sh" in self._candidates(image.id):
            control.prepare_shell(spec, view, environment, given)
        try:
            # Podman gets what was checked, whatever happens to the file meanwhile.
            replace_file(spec.seccomp_profile, profile.data)
            if not host.rootless:
                folders = (spec.folder / "workspace", spec.folder / "results", spec.checkpoint, spec.control)
                handover.give(folders, self._uid, self._gid)
            pid = self._start(spec, image.id, host, given)
            return self._prove(spec, host, profile, pid, image, given)
        except BaseException as error:
            if getattr(error, "code", "") != "container-exists":  # that one is not ours to remove
                self._discard(spec)
            if isinstance(error, OSError):
                raise explain_os_error(error, "launch the job") from error
            raise

    def leftovers(self, jobs: Path) -> list[Leftover]:
        """See `base.Launcher.leftovers`: by the containers' names, in Podman's records and in those of its storage."""
        pattern = re.compile(re.escape(name_prefix(jobs)) + r"([1-9]\d{0,14})-([1-9]\d{0,8})", re.ASCII)
        # First the processes: a container that is made meanwhile is then in the answer.
        names = {stray.name for stray in strays.find(lambda name: pattern.fullmatch(name) is not None)}
        answer = self._engine.run(["ps", "--all", "--external", "--format={{.Names}}"])
        if answer.status != 0:
            raise HostError("podman-failed", "Podman cannot list containers", context=answer.errors)
        names.update(answer.output.split())
        found = [(match, name) for name in names if (match := pattern.fullmatch(name))]
        return sorted(Leftover(int(match[1]), int(match[2]), name) for match, name in found)

    def clean(self, launched: Launched | str, folder: Path, checkpoint: Path | None) -> None:
        """See `base.Launcher.clean`."""
        name = launched if isinstance(launched, str) else launched.name
        if isinstance(launched, Launched) and evidence.send_signal(launched, 9):
            evidence.wait_end(launched, 5.0)
        if isinstance(launched, str):
            self._remove_cut_short(name)
        else:
            self._remove(name)
        if isinstance(launched, Launched) and evidence.is_alive(launched):
            raise HostError("cannot-clean", "the job's container cannot be killed", context=name)
        self._take_back(folder, checkpoint)

    def _remove_cut_short(self, name: str) -> None:
        """Remove a container whose launch was cut short, with what runs of it without Podman's knowledge."""
        host = self._capabilities or self._engine.check()
        strays.end_runs(name, self._clock)  # one that a dead worker left would make the container anew
        self._remove(name)
        strays.end_rest(name, self._engine, self._clock, host.runtime)
        self._remove(name)  # what was still being made when it was first looked for

    def _remove(self, name: str) -> None:
        for _ in range(_REMOVALS):
            answer = self._engine.run(["rm", "--force", "--ignore", "--volumes", "--", name])
            if answer.status == 0:
                break
            self._clock.sleep(0.2)
        else:
            raise HostError(
                "cannot-clean",
                "a container could not be removed",
                context=answer.errors,
                hint=f"podman rm -f {name}",
            )

    def _take_back(self, folder: Path, checkpoint: Path | None) -> None:
        folders = [folder / name for name in ("workspace", "results", "control")]
        handover.take_back(
            [*folders, *([checkpoint] if checkpoint else [])],
            os.getuid(),
            os.getgid(),
            change_owner=os.geteuid() == 0,
        )

    def _start(self, spec: LaunchSpec, image: str, host: Capabilities, given: Grant) -> int:
        """Start the container with the init its image can run; return its PID 1 once that waits for the go."""
        for kind in self._candidates(image):
            init = spec.folder / "init"
            init.unlink(missing_ok=True)
            shutil.copyfile(Path(__file__).with_name(_INIT_FILES[kind]), init)
            init.chmod(0o644)  # the job's user must read it; the folder above is private
            argv = podman_run_argv(
                spec,
                image=image,
                rootless=host.rootless,
                user=self._user,
                init=kind,
                enforceable=host.enforceable,
                given=given,
            )
            answer = self._engine.run(argv)
            if answer.status == 0:
                pid = self._wait_ready(spec)
                self._inits[image] = kind
                return pid
            if not _lacks_program(answer):
                raise _start_error(spec, answer)
            self._remove(spec.name)
        raise HostError(
            "image-has-no-init",
            "the image has neither python3 nor a shell, so nothing in it can start and watch the job",
            context=spec.image,
            hint="use an image that is built on a distribution or on python",
        )

    def _candidates(self, image: str) -> list[InitKind]:
        known = self._inits.get(image)
        return [known] if known else ["python", "sh"]

    def _wait_ready(self, spec: LaunchSpec) -> int:
        """Wait until PID 1 is our init and waits itself; what runs before that is the container runtime."""
        pid = int(read_plain_file(spec.folder / "pid", limit=32).strip() or b"0")
        seconds = _READY_TIMEOUT + (_GPU_TIMEOUT if spec.gpus else 0)
        end = self._clock.boot().seconds + seconds
        while not control.is_ready(spec.folder, gpus=bool(spec.gpus)):
            stat = evidence.read_stat(pid)
            if stat is None or stat.state in "ZX":
                raise HostError(
                    "init-failed",
                    "the job's init ended at once",
                    context=_last_words(spec),
                    hint="podman info",
                )
            if self._clock.boot().seconds > end:
                raise HostError("init-failed", f"the job's init was not ready in {seconds:.0f} s")
            self._clock.sleep(_LOOK_S)
        return pid

    def _prove(
        self,
        spec: LaunchSpec,
        host: Capabilities,
        profile: CheckedProfile,
        pid: int,
        image: Image,
        given: Grant,
    ) -> Launched:
        stat = evidence.read_stat(pid)
        pids_limit = spec.pids_limit if "pids" in host.enforceable else None
        memory = spec.memory if "memory" in host.enforceable else None
        check_profile(spec.seccomp_profile, sha256=profile.sha256)  # Podman has read it by now
        expected = Expected(
            network=spec.network,
            pids_limit=pids_limit,
            memory=memory,
            host_variables=self._engine.env,
            image_variables=image.variables,
        )
        missing = prove(pid, expected)
        if stat is None or missing:
            raise HostError(
                "sandbox-not-proven",
                "the container lacks protection, so the job was not started",
                context=", ".join(missing) or "its init is gone",
                hint="on the host: podman info",
            )
        network = ("no-network",) if spec.network == "none" else ()
        fenced = (FENCED,) if spec.gpus else ()
        asked = bool(spec.gpus) and prove_gpus(spec.control, spec.gpus, given)
        unasked = (CUDA,) if given.cuda and not asked else ()
        by_files = (driver_files.CDI,) if given.libraries else ()
        return Launched(
            launcher="podman",
            pid=pid,
            start_ticks=stat.start_ticks,
            name=spec.name,
            image_digest=image.digest,
            enforced=(*SANDBOX, *network, *fenced, *((CUDA,) if asked else ()), *host.enforceable),
            not_enforced=(*host.not_enforced, *unasked, *by_files),
            cgroup=evidence.memory_cgroup(pid) if "memory" in host.enforceable else "",
            profile_sha256=profile.sha256,
            cpus=spec.cpus if "cpus" in host.enforceable else 0.0,
            memory=spec.memory if "memory" in host.enforceable else 0,
            boot_id=self._clock.boot().boot_id,
            gpus=spec.gpus,
        )

    def _discard(self, spec: LaunchSpec) -> None:
        """Undo a launch that failed; the failure itself is what the caller hears of."""
        with contextlib.suppress(HostError):
            self.clean(spec.name, spec.folder, spec.checkpoint)


def _parse_user(user: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,9}):(\d{1,9})", user, re.ASCII)
    if match is None or int(match[1]) == 0:
        raise ConfigError(
            "bad-sandbox-user",
            "sandbox.user must be uid:gid in numbers, and not root",
            context=ascii(user)[:80],
        )
    return int(match[1]), int(match[2])


def _require_limits(host: Capabilities, limits: Literal["required", "best-effort"]) -> None:
    if limits == "required" and host.not_enforced:
        raise HostError(
            "limits-not-enforceable",
            f"this host cannot enforce limits on {', '.join(host.not_enforced)}",
            context="; ".join(host.reasons),
            hint="accept that in the worker file with  sandbox: {limits: best-effort}",
        )


def _lacks_program(answer: Answer) -> bool:
    """Whether the image has no such program; the same statuses stand for other failures of the runtime too."""
    return answer.status in {126, 127} and ("executable file" in answer.errors or 'exec: "' in answer.errors)


def _start_error(spec: LaunchSpec, answer: Answer) -> HostError:
    if "already in use" in answer.errors:
        return HostError(
            "container-exists",
            "this attempt has a container already",
            context=spec.name,
            hint=f"podman rm -f {spec.name}",
        )
    if spec.gpus and _lacks_card(spec, answer.errors):
        return not_resolved(spec.gpus, answer.errors)
    return HostError("podman-failed", "Podman could not start the container", context=answer.errors)


def _lacks_card(spec: LaunchSpec, errors: str) -> bool:
    """Whether CDI has no such card, or names files that are gone: after an update the driver's have other names."""
    own = any(str(path) in errors for path in (spec.folder, spec.checkpoint, spec.seccomp_profile))
    gone = "no such file or directory" in errors.lower() and not own
    return "setting up CDI devices" in errors or "unresolvable CDI" in errors or gone


def _last_words(spec: LaunchSpec) -> str:
    try:
        return printable(read_plain_file(spec.folder / "init.log", limit=64 * 1024))
    except (OSError, HostError):
        return ""
