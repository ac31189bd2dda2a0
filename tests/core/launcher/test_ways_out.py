"""Ways out of the sandbox, tried by a job in a real container while another one runs beside it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from fetchml_core.launcher.podman import PodmanLauncher
from tests.core.launcher.jobs import CLOCK, Attempt, make_spec
from tests.support.require import need
from tests.support.wait import poll_until

PROBES = Path(__file__).parents[2] / "probes"
COUNT = "i=0; while :; do i=$((i+1)); echo $i >$FETCHML_RESULTS/count; sleep 0.05; done"
MEMORY, PIDS = 128 << 20, 64
"""Half of the memory is for /dev/shm, of which the job wants twice as much; of processes it wants three times as many."""
REFUSED = {
    "host_file": [{"ENOENT"}] * 4,
    "mount": [{"EPERM"}] * 2,
    "device": [{"EPERM"}] * 2,
    "sibling": [{"EPERM"}, {"ESRCH"}, {"ENOENT"}],
    "raw_socket": [{"EPERM"}] * 2,
    "host_network": [{"ECONNREFUSED"}, {"ECONNREFUSED"}, {"EPERM"}, {"EPERM"}],
    "fork_bomb": [{"EAGAIN"}],
    "shared_memory": [{"ENOSPC"}],
    "setuid_file": [{"EPERM"}],
    "kernel_orders": [{"EACCES", "EROFS", "ENOENT"}, {"EACCES", "EROFS"}],
}
"""For each way what the kernel may answer to each of its steps."""


class Host(NamedTuple):
    """What a job could reach of the host, were it not held in."""

    canary: Path
    port: socket.socket
    abstract: socket.socket
    program: Path

    def arguments(self, neighbour: int, program: str) -> tuple[str, ...]:
        """What the probe is told."""
        name = self.abstract.getsockname()[1:].decode()
        return str(self.canary), str(self.port.getsockname()[1]), name, str(neighbour), program

    def reached(self) -> list[str]:
        """What was reached."""
        found = ["file"] if self.canary.read_text() != "untouched" else []
        for sock in (self.port, self.abstract):
            try:
                sock.accept()[0].close()
                found.append(sock.family.name)
            except BlockingIOError:
                continue
        return found


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """A file, two sockets and a program of root's."""
    need("gcc")
    folder = tmp_path_factory.mktemp("host")
    canary, program = folder / "canary", folder / "who"
    canary.write_text("untouched")
    canary.chmod(0o666)
    subprocess.run(["gcc", "-static", "-Os", "-o", program, PROBES / "who.c"], check=True)
    program.chmod(0o4755)
    with socket.socket() as port, socket.socket(socket.AF_UNIX) as abstract:
        port.bind(("127.0.0.1", 0))
        abstract.bind(f"\0fetchml-test-{os.getpid()}")
        for sock in (port, abstract):
            sock.listen()
            sock.setblocking(False)
        yield Host(canary, port, abstract, program)


@pytest.fixture(scope="module")
def neighbour(podman_root, image_busybox, tmp_path_factory):
    """Another job, which counts."""
    launcher = PodmanLauncher(env=podman_root.env, clock=CLOCK)
    spec = make_spec(tmp_path_factory.mktemp("neighbour"), ("sh", "-c", COUNT), image=image_busybox)
    attempt = Attempt(launcher, spec).go()
    yield attempt
    assert launcher.kill(attempt.launched)
    attempt.clean()


def counted(neighbour: Attempt) -> int:
    """How far the neighbour has come."""
    text = (neighbour.spec.folder / "results" / "count").read_text()
    return int(text or 0)


@pytest.fixture(scope="module")
def answers(podman_root, image_python, host, neighbour, tmp_path_factory):
    """Try every way in one job; what the kernel answered, and that the host and the neighbour took no notice."""
    launcher = PodmanLauncher(env=podman_root.env, clock=CLOCK)
    argv = ("python3", "ways_out.py", *host.arguments(neighbour.launched.pid, "/workspace/who"))
    spec = make_spec(tmp_path_factory.mktemp("job"), argv, image=image_python, memory=MEMORY, pids_limit=PIDS)
    attempt = Attempt(launcher, spec)
    for file in (PROBES / "ways_out.py", host.program):
        shutil.copy(file, spec.folder / "workspace")
    (spec.folder / "workspace" / "who").chmod(0o4755)
    record = attempt.go().record(60)
    attempt.clean()
    assert record.code == 0, attempt.output()
    return json.loads(attempt.output())


@pytest.mark.parametrize("way", REFUSED)
def test_no_way_out(answers, way):
    """#25: each way out of the container is refused."""
    assert len(answers[way]) == len(REFUSED[way])
    assert all(answer in allowed for answer, allowed in zip(answers[way], REFUSED[way], strict=True)), (
        answers[way]
    )


def test_nobody_else_notices(answers, host, neighbour):
    """#25: nothing of the host was reached, and the job beside it goes on."""
    assert answers.keys() == REFUSED.keys()
    assert host.reached() == []
    before = counted(neighbour)
    poll_until(lambda: counted(neighbour) > before, "the neighbour counts on")


def test_the_probe_finds_the_ways_where_they_are_open(podman_root, image_python, host, neighbour):
    """#25: in a container without protection the same program gets through: it measures the sandbox."""
    rights = ("sys_admin", "mknod", "sys_ptrace", "net_raw", "net_admin")
    flags = [*(f"--cap-add={right}" for right in rights), "--security-opt=seccomp=unconfined"]
    flags += ["--security-opt=unmask=ALL", "--network=host", "--pid=host", "--shm-size=256m"]
    flags += [f"--volume={PROBES}:/probes:ro", f"--volume={host.canary.parent}:{host.canary.parent}"]
    argv = host.arguments(neighbour.launched.pid, str(host.program))
    done = podman_root.run(
        "run", "--rm", "--pull=never", *flags, image_python, "python3", "/probes/ways_out.py", *argv
    )
    answers = json.loads(done.stdout)

    assert {way for way, found in answers.items() if "done" in found} == set(REFUSED)
    assert set(host.reached()) >= {"AF_INET", "AF_UNIX"}
