"""The Podman launcher with real Podman: the promises of all launchers, and what only containers give."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import uuid
from pathlib import Path

import pytest

from fetchml_core.errors import ConfigError, HostError
from fetchml_core.launcher import control
from fetchml_core.launcher.engine import Engine, capabilities
from fetchml_core.launcher.images import Images
from fetchml_core.launcher.podman import PodmanLauncher
from tests.core.launcher.jobs import CLOCK, Attempt, Contract, make_spec
from tests.support.wait import poll_until

NO_PROGRAMS = os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC


@pytest.fixture
def launcher(podman_root):
    """The Podman launcher, on rootful Podman."""
    return PodmanLauncher(env=podman_root.env, clock=CLOCK)


@pytest.fixture
def image(image_python):
    """The image most jobs have."""
    return image_python


@pytest.fixture
def start(launcher, image, tmp_path):
    """Launch a command; what was launched is cleaned up."""
    attempts = []

    def start(*argv: str, **fields) -> Attempt:
        attempts.append(Attempt(launcher, make_spec(tmp_path, argv, **{"image": image} | fields)))
        return attempts[-1]

    yield start
    for attempt in attempts:
        attempt.clean()


class TestPythonInit(Contract):
    """The contract, in a container whose image has Python."""


class TestShellInit(Contract):
    """The contract, in a container whose image has a shell only."""

    @pytest.fixture
    def image(self, image_busybox):
        """An image with a shell and no Python."""
        return image_busybox


def containers(podman_root, name: str) -> str:
    """Return the ids of the containers of this name, running or not."""
    return podman_root.run("ps", "--all", "--quiet", f"--filter=name={name}").stdout


def refused(launcher, tmp_path, **fields) -> HostError:
    """Return the error of a launch."""
    with pytest.raises(HostError) as caught:
        launcher.launch(make_spec(tmp_path, **fields))
    return caught.value


@pytest.mark.each_podman
def test_capabilities(launcher, podman_root):
    """A rootful Podman enforces what its cgroups can, and says its version."""
    found = launcher.check()

    assert not found.rootless
    assert podman_root.run("--version").stdout == f"podman version {found.version}\n"
    assert "memory" in found.enforceable


@pytest.mark.each_podman
def test_sandbox_is_what_was_promised(start):
    """The job cannot become more, write outside its folders, or see a network; the record of the launch says so."""
    line = "id -u; touch /x || echo ro; grep -c . /proc/net/dev; grep -E 'NoNewPrivs|Seccomp:|CapEff' /proc/self/status"
    attempt = start("sh", "-c", line).go()
    attempt.record()

    assert attempt.output().split() == [
        *["65534", "touch:", "cannot", "touch", "'/x':", "Read-only", "file", "system", "ro", "3"],
        *["CapEff:", "0000000000000000", "NoNewPrivs:", "1", "Seccomp:", "2"],
    ]
    assert {"seccomp", "no-network", "memory", "pids"} <= set(attempt.launched.enforced)
    assert attempt.launched.image_digest.startswith("sha256:")


@pytest.mark.each_podman
def test_shared_memory(start):
    """What DataLoader workers pass tensors through can be written, is half of the memory, and runs no programs."""
    lock = "import multiprocessing, os; multiprocessing.Lock(); shm = os.statvfs('/dev/shm'); "
    attempt = start(
        "python3", "-c", f"{lock}print(shm.f_blocks * shm.f_frsize, shm.f_flag)", memory=512 << 20
    )
    record = attempt.go().record()
    assert record.code == 0, attempt.output()
    size, flags = map(int, attempt.output().split())

    assert size == 256 << 20
    assert flags & NO_PROGRAMS == NO_PROGRAMS


@pytest.mark.each_podman
def test_out_of_memory(start):
    """A job over its memory limit is killed, and the record says why; the init lives on to tell."""
    attempt = start("python3", "-c", "x = bytearray(1 << 30); print(len(x))", memory=64 << 20).go()
    record = attempt.record()

    assert record.signal == signal.SIGKILL
    assert record.oom is True


def test_container_is_removed(start, podman_root):
    """After clean no container is left; a second clean is no error."""
    attempt = start("true").go()
    attempt.record()
    assert containers(podman_root, attempt.launched.name)
    attempt.clean()
    attempt.clean()

    assert not containers(podman_root, attempt.launched.name)


@pytest.mark.each_podman
def test_clean_by_name(start, podman_root, launcher):
    """A container whose launch nobody wrote down is killed and removed by its name."""
    attempt = start("sleep", "60").go()
    launcher.clean(attempt.spec.name, attempt.spec.folder, attempt.spec.checkpoint)

    assert not launcher.alive(attempt.launched)
    assert not containers(podman_root, attempt.launched.name)


@pytest.mark.each_podman
def test_secrets_stay_out_of_podman(start, podman_root):
    """Neither the command nor a variable of the user stands where `podman inspect` or `ps` shows it."""
    attempt = start("sleep", "canary-argument", env={"TOKEN": "canary-value"})
    shown = podman_root.run("inspect", attempt.launched.name).stdout

    assert "canary" not in shown


@pytest.mark.each_podman
def test_second_launch_leaves_the_first_alone(start, launcher):
    """An attempt that runs is not disturbed by another launch of it."""
    attempt = start("sleep", "60").go()
    # Until then its init reads what the second launch writes.
    poll_until(lambda: control.was_started(attempt.spec.folder), "it runs")
    with pytest.raises(HostError, match="container-exists"):
        launcher.launch(attempt.spec)

    assert launcher.alive(attempt.launched)


@pytest.mark.each_podman
def test_image_missing(launcher, tmp_path):
    """An image that the host lacks gives the line to type."""
    error = refused(launcher, tmp_path, image="docker.io/library/no-such:1")

    assert (error.code, error.hint) == (
        "image-missing",
        "on the host: podman pull docker.io/library/no-such:1",
    )


@pytest.mark.each_podman
def test_image_without_python_and_shell(launcher, tmp_path, image_none, podman_root):
    """An image in which no init can run is refused by name, and nothing is left of the try."""
    error = refused(launcher, tmp_path, image=image_none)

    assert (error.code, error.context) == ("image-has-no-init", image_none)
    assert not containers(podman_root, make_spec(tmp_path).name)


@pytest.mark.each_podman
def test_an_error_is_said_without_warnings(podman_root):
    """What people read of Podman's is what is wrong, whatever else it warns of."""
    answer = Engine(podman_root.env).run(["image", "inspect", "localhost/nothing"])

    assert answer.status == 125
    assert answer.errors.startswith("Error: ")


def test_podman_missing(tmp_path):
    """A host without Podman says what to install."""
    with pytest.raises(HostError, match="podman-missing"):
        PodmanLauncher(env={"PATH": str(tmp_path)}, clock=CLOCK, program=str(tmp_path / "podman")).check()


def test_podman_hangs(tmp_path):
    """A Podman that does not answer is killed."""
    program = tmp_path / "podman"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    with pytest.raises(HostError, match="podman-hangs"):
        Engine(os.environ, str(program)).run(["info"], timeout=0.2)


@pytest.mark.parametrize("user", ["0:0", "0:5", "nobody", "-1:1", "5", "65534:65534 --privileged"])
def test_bad_user(user):
    """Jobs get a number of an unprivileged user, nothing else."""
    with pytest.raises(ConfigError, match="bad-sandbox-user"):
        PodmanLauncher(env={}, clock=CLOCK, user=user)


INFO = {
    "host": {
        "cgroupVersion": "v2",
        "cgroupControllers": ["memory", "pids"],
        "security": {"rootless": True, "seccompEnabled": True},
    },
    "version": {"Version": "4.9.3"},
}


@pytest.mark.parametrize(
    ("said", "path"),
    [
        ({"name": "runc", "path": "/usr/bin/runc"}, "/usr/bin/runc"),
        ({"path": "runc"}, ""),
        (None, ""),
        (3, ""),
    ],
)
def test_runtime(said, path):
    """Only a plain path is taken for the program that runs the containers."""
    assert capabilities(info() | {"host": info()["host"] | {"ociRuntime": said}}).runtime == path


def info(**changes):
    """Return what `podman info` says, with changes."""
    host = INFO["host"] | {key: value for key, value in changes.items() if key in INFO["host"]}
    host["security"] = host["security"] | {
        key: value for key, value in changes.items() if key in host["security"]
    }
    return {"host": host, "version": {"Version": changes.get("version", "4.9.3")}}


@pytest.mark.parametrize(
    ("changes", "enforceable"),
    [
        ({}, ("memory", "pids")),
        ({"cgroupControllers": ["cpu", "memory", "pids"]}, ("memory", "cpus", "pids")),
        ({"cgroupVersion": "v1"}, ()),
        (
            {"cgroupVersion": "v1", "rootless": False, "cgroupControllers": ["cpu", "memory", "pids"]},
            ("memory", "cpus", "pids"),
        ),
        ({"cgroupControllers": None}, ()),
    ],
)
def test_which_limits_hold(changes, enforceable):
    """What can be enforced follows from rootless, cgroup version and delegated controllers, and has a reason."""
    found = capabilities(info(**changes))

    assert found.enforceable == enforceable
    assert bool(found.reasons) == bool(found.not_enforced)


@pytest.mark.parametrize(
    ("changes", "code"), [({"version": "3.0.1"}, "podman-too-old"), ({"seccompEnabled": False}, "no-seccomp")]
)
def test_unusable_podman(changes, code):
    """A Podman too old for our flags, or without seccomp, is refused."""
    with pytest.raises(HostError, match=code):
        capabilities(info(**changes))


def test_limits_required(tmp_path):
    """Limits that cannot be enforced are an error that names the key to accept that, or are shown."""
    program = tmp_path / "podman"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(info(cgroupVersion='v1'))}\nEND\n")
    program.chmod(0o755)
    fields = {"env": dict(os.environ), "clock": CLOCK, "program": str(program)}
    with pytest.raises(HostError, match="limits-not-enforceable") as caught:
        PodmanLauncher(**fields).check()

    assert "sandbox: {limits: best-effort}" in caught.value.hint
    assert PodmanLauncher(**fields, limits="best-effort").check().not_enforced == ("memory", "cpus", "pids")


def test_podman_broken(tmp_path):
    """An answer that is none is an error, whatever it looks like."""
    program = tmp_path / "podman"
    for text in ("", "[]", '{"host": 3}', "no json"):
        program.write_text(f"#!/bin/sh\necho '{text}'\n")
        program.chmod(0o755)
        with pytest.raises(HostError, match="podman-broken"):
            PodmanLauncher(env=os.environ, clock=CLOCK, program=str(program)).check()


def as_account(account, function) -> str:
    """Run *function* in a child of this process that has become *account*; return what it returned, or its error."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            enter(account.namespace)
            os.initgroups(account.name, account.gid)
            os.setgid(account.gid)
            os.setuid(account.uid)
            answer = str(function())
        except BaseException as error:  # noqa: BLE001 - it crosses a process
            answer = f"{type(error).__name__}: {error}"
        finally:
            os.write(writer, answer.encode())
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return answer


def enter(namespace: int) -> None:
    """Go to the mount namespace of a process, 0 for ours; os.setns is there from Python 3.12 on."""
    if namespace:
        with open(f"/proc/{namespace}/ns/mnt") as file:
            assert ctypes.CDLL(None).setns(file.fileno(), 0) == 0


@pytest.mark.each_podman
@pytest.mark.parametrize("init", ["busybox", "python"])
def test_rootless(rootless, init, request):
    """Rootless: the same sandbox, the account itself inside, private results its own; missing limits are named."""
    image = request.getfixturevalue(f"rootless_{init}")
    base = rootless.home / f"launcher-test-{os.getpid()}-{init}"

    def job():
        launcher = PodmanLauncher(env=rootless.podman.env, clock=CLOCK, limits="best-effort")
        line = "umask 077; : >/dev/shm/file || exit; mkdir $FETCHML_RESULTS/deep; id -u >$FETCHML_RESULTS/deep/file; exit 3"
        attempt = Attempt(
            launcher, make_spec(base, ("sh", "-c", line), image=image, limits="best-effort")
        ).go()
        record = attempt.record(30)
        attempt.clean()
        model = attempt.spec.folder / "results/deep/file"
        gaps = set(launcher.check().not_enforced) == set(attempt.launched.not_enforced)
        return (
            record.code,
            int(model.read_text()),
            model.stat().st_uid,
            gaps,
            "seccomp" in attempt.launched.enforced,
            launcher.check().version,
        )

    base.mkdir()
    rootless.own(base)
    try:
        version = rootless.podman.run("--version").stdout.split()[-1]
        assert as_account(rootless, job) == str((3, rootless.uid, rootless.uid, True, True, version))
    finally:
        shutil.rmtree(base)


def test_an_image_is_looked_up_once_until_the_store_changes(tmp_path):
    """The answer of Podman is kept while its index of images stays as it is; a tag that moved is seen at once."""
    program, index = tmp_path / "podman", tmp_path / "images.json"
    program.write_text(f"#!/bin/sh\necho asked >> {tmp_path}/log\ncat {tmp_path}/answer\n")
    program.chmod(0o755)
    images = Images(Engine({"PATH": "/usr/bin:/bin"}, str(program)))

    def look(image_id: str) -> str:
        (tmp_path / "answer").write_text(f"{image_id * 64} sha256:{image_id}\n")
        return images.find("some:image", str(index))[0][0]

    index.write_text("1")
    assert [look("a"), look("b")] == ["a", "a"]
    index.write_text("12")
    assert look("b") == "b"
    index.unlink()
    assert [look("c"), look("d")] == ["c", "d"]
    assert (tmp_path / "log").read_text().count("asked") == 4


def test_variables_of_an_image(podman_root, image_python):
    """What the image itself sets is known, so that nobody takes it for a loan of the host."""
    found = Images(Engine(podman_root.env)).find(image_python, "")

    assert [word.partition("=")[0] for word in found.variables] == ["PATH"]


@pytest.mark.each_podman
def test_moved_tag_runs_the_new_image(launcher, podman_root, image_busybox, image_python):
    """The index that Podman really keeps changes when a name is given to another image."""
    name = f"localhost/fetchml-moved-{uuid.uuid4().hex[:12]}"
    host, images = launcher.check(), Images(Engine(podman_root.env))
    found = []
    try:
        for image in (image_busybox, image_python):
            podman_root.run("tag", image, name)
            found.append(images.find(name, host.image_index)[0])
    finally:
        podman_root.run("untag", name, name)  # without the second word all names of the image would go

    assert host.image_index.endswith("images.json")
    assert Path(host.image_index).is_file()
    assert len(set(found)) == 2
