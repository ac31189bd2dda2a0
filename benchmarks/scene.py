"""Set the scene: a private sshd on the loopback, Podman with a local image, a client's home folder, trees to send.

Uses the test support, so that what is measured is what is tested. Everything lies in one temporary folder and ends
with the run.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support import images
from tests.support.home import Home
from tests.support.leftovers import VARIABLE, end_processes, leftovers, remove_run_folder, run_folder, run_id
from tests.support.ml import client_environment
from tests.support.podman import root_podman
from tests.support.require import PARTS
from tests.support.sshd import PRIVSEP, Sshd, make_key

from .measure import BrokenCaseError, Program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.podman import Podman

NEEDED = ("root", "git", "ssh", "sshd", "podman", "image-python")
MARK = b"first-line-of-the-job"
MIB = 1 << 20


def lacks(names: tuple[str, ...] = NEEDED) -> list[str]:
    """What the machine lacks of these parts, by default those for SSH and Podman: the part, and how to get it."""
    return [f"{name}: {PARTS[name].install}" for name in names if not PARTS[name].there()]


class Scene:
    """All that the cases run in; each part is made when it is first asked for."""

    def __init__(self) -> None:
        self.folder = run_folder()
        self._ending = contextlib.ExitStack()

    @functools.cached_property
    def podman(self) -> Podman:
        """The root account's Podman."""
        return root_podman()

    @functools.cached_property
    def image(self) -> str:
        """The image of all jobs, loaded."""
        return self.podman.load(images.PYTHON)

    @functools.cached_property
    def server(self) -> Sshd:
        """The host, which has Podman and the image."""
        assert self.image
        key = self.folder / "client_key"
        make_key(key)
        PRIVSEP.mkdir(mode=0o755, exist_ok=True)
        # scp speaks SFTP
        extra = "Subsystem sftp internal-sftp"
        server = Sshd(self.new("sshd"), key, "root", self.podman.settings, extra).start()
        self._ending.callback(server.stop)
        return server

    @functools.cached_property
    def remote(self) -> Home:
        """A client of that host."""
        home = Home(self.new("over-ssh"))
        home.ssh.mkdir(mode=0o700)
        home.connect(self.server, "bench")
        return home

    @functools.cached_property
    def local(self) -> Home:
        """A client whose jobs run here."""
        assert self.image
        return Home(self.new("here"))

    def new(self, name: str) -> Path:
        """A folder of this name that was not there."""
        path = self.folder / name
        path.mkdir()
        return path

    def close(self) -> None:
        """End what was started."""
        self._ending.close()
        end_processes(VARIABLE, run_id())

    def ml(self, home: Home, cwd: Path, *words: str) -> Program:
        """``ml WORDS`` of the client with this home folder."""
        return Program(ml_argv(*words), client_environment(home, self.podman.settings), cwd)

    def ssh(self, command: str) -> list[str]:
        """Argv of OpenSSH, cold: no connection is shared."""
        home, server = self.remote, self.server
        argv = ["ssh", "-F", "none", "-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={home.known_hosts}"]
        place = f"{server.user}@{server.host}"
        return [*argv, "-i", str(home.ssh / "id_ed25519"), "-p", str(server.port), place, command]

    def scp(self, source: Path, target: str) -> list[str]:
        """Argv of a recursive scp to the host."""
        home, server = self.remote, self.server
        argv = ["scp", "-F", "none", "-q", "-r", "-o", "BatchMode=yes", "-P", str(server.port)]
        argv += ["-o", f"UserKnownHostsFile={home.known_hosts}", "-i", str(home.ssh / "id_ed25519")]
        return [*argv, str(source), f"{server.user}@{server.host}:{target}"]

    def program(self, argv: list[str]) -> Program:
        """Some other program, in the client's environment."""
        return Program(argv, client_environment(self.remote, self.podman.settings), self.folder)

    def base(self, home: Home) -> Path:
        """The folder that the jobs of this client lie in."""
        return self.server.home / "bench" if home is self.remote else home.path / ".ml" / "local"

    def settle(self, home: Home) -> None:
        """Wait until the last job has ended and is cleaned up, so that it takes nothing from the next case."""
        self.ml(home, self.folder, "wait", "last").run()

    def worker(self, home: Home) -> dict[str, Any]:
        """What the worker that serves this client's jobs says about itself; empty where there is none."""
        path = self.base(home) / "run" / "worker.json"
        return dict(json.loads(path.read_bytes())) if path.exists() else {}

    def require_podman(self, home: Home) -> None:
        """Measure no process launcher by mistake.

        Raises:
            BrokenCaseError: jobs do not run in Podman.
        """
        launcher = self.worker(home).get("launcher")
        if launcher != "podman":
            raise BrokenCaseError(f"jobs run with the launcher {launcher}, not in Podman")

    def bare_podman(self, tree: Path) -> Program:
        """``podman run`` of the same script with the flags, image and limits of a job, and nothing of ours around it."""
        self._ending.callback(self.podman.run, "rm", "--force", "--ignore", "bench-bare", check=False)
        return Program(["podman", *_bare_arguments(self, tree)], self.podman.env, Path("/"))


def _bare_arguments(scene: Scene, tree: Path) -> list[str]:
    """The argv of a real launch, less our init, what it needs, and what makes it go to the background."""
    from fetchml_core.launcher.argv import podman_run_argv
    from fetchml_core.launcher.seccomp import default_profile
    from fetchml_core.launcher.spec import LIMITS, LaunchSpec

    folder = scene.folder / "bare" / "1" / "1"
    for name in ("workspace", "results", "checkpoint", "control"):
        (folder / name).mkdir(parents=True)
        (folder / name).chmod(0o755)
    shutil.copytree(tree, folder / "workspace", dirs_exist_ok=True)
    (folder / "init").touch()
    spec = LaunchSpec(
        job_id=1,
        attempt=1,
        folder=folder,
        checkpoint=folder / "checkpoint",
        argv=("true",),
        cwd="",
        env={},
        image=scene.image,
        cpus=float(os.cpu_count() or 1),
        memory=memory() // 2,
        seccomp_profile=default_profile(),
    )
    argv = podman_run_argv(
        spec, image=scene.image, rootless=False, user="65534:65534", init="python", enforceable=LIMITS
    )
    ours = ("--detach", "--name=", "--pidfile=", "--entrypoint=", "--log-")
    flags = [word for word in argv[: argv.index(scene.image)] if not word.startswith(ours)]
    return [*flags, "--rm", "--name=bench-bare", scene.image, "python3", "-u", "train.py"]


def ml_argv(*words: str) -> list[str]:
    """The program as installed, else from the checkout."""
    script = Path(sys.executable).with_name("ml")
    return [str(script), *words] if script.exists() else [sys.executable, "-m", "fetchml_cli", *words]


def make_tree(folder: Path, *, files: int = 19, size: int = 4096, random: bool = False) -> Path:
    """A folder with ``train.py``, which prints `MARK`, and *files* files of *size* bytes."""
    folder.mkdir(parents=True)
    (folder / "train.py").write_text(f"print({MARK.decode()!r}, flush=True)\n", "utf-8")
    for number in range(files):
        place = folder / f"part{number // 500}"
        place.mkdir(exist_ok=True)
        content = os.urandom(size) if random else f"# {number}\n".encode().ljust(size, b"-")
        (place / f"module_{number}.py").write_bytes(content)
    return folder


def commit(tree: Path) -> None:
    """Make *tree* a git work tree with everything committed, as the code of most people is."""
    who = ["-c", "user.name=bench", "-c", "user.email=bench@localhost", "-c", "init.defaultBranch=main"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "all"]):
        subprocess.run(["git", "-C", str(tree), *who, *words], check=True, capture_output=True)


def memory() -> int:
    """Memory of this machine, in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def resident(pid: int) -> int:
    """Memory of a process, in bytes: what it holds in RAM, shared pages included."""
    for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


@contextlib.contextmanager
def scene() -> Iterator[Scene]:
    """Set the scene, and clear it away again."""
    made = None
    try:
        made = Scene()
        yield made
    finally:
        if made is not None:
            made.close()
        for line in leftovers(5.0):
            print(f"cleared away: {line}", file=sys.stderr)
        remove_run_folder()


def disk_is_warm() -> None:
    """Write out what the set-up left in memory, so that no case waits for it."""
    subprocess.run(["sync"], check=True)
