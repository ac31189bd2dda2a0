"""The settings that make Podman run on the machine the tests run on, and nothing more.

A machine with systemd and full capabilities needs none of these. Containers often lack one of them, and that is
a matter of the test machine, so it is set here through ``CONTAINERS_CONF``, never in the product.

The tests use a store of their own, so that a developer's images and containers are neither seen nor touched, and
every container carries the id of the test run, so that one that was left behind is found.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from tests.support.require import find_program

RUN_LABEL = "org.fetchml.test-run"
_CAP_SYS_RESOURCE = 24


class Machine(NamedTuple):
    """What decides the settings."""

    may_raise_limits: bool
    cgroup_v2: bool
    systemd: bool
    has_runc: bool


def this_machine() -> Machine:
    """Look."""
    status = Path("/proc/self/status").read_text("ascii")
    effective = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:"))
    return Machine(
        may_raise_limits=bool(effective >> _CAP_SYS_RESOURCE & 1) or os.geteuid() != 0,
        cgroup_v2=Path("/sys/fs/cgroup/cgroup.controllers").exists(),
        systemd=Path("/run/systemd/system").is_dir(),
        has_runc=find_program("runc") is not None,
    )


def containers_conf(machine: Machine, *, run_id: str = "", tmp_dir: str = "", runc: str = "") -> str:
    """The text of a containers.conf.

    Args:
        machine: What the machine can do.
        run_id: Written on every container as an annotation; empty for none.
        tmp_dir: Where Podman keeps what does not survive a reboot; empty for its default.
        runc: Path of the runc that runs the containers; empty for the one it finds.
    """
    containers, engine = [], []
    if run_id:
        containers.append(f'annotations = ["{RUN_LABEL}={run_id}"]')
    if not machine.may_raise_limits:
        containers.append('default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]')
    if machine.has_runc and not machine.cgroup_v2 and not runc:
        engine.append('runtime = "runc"')  # crun refuses cgroups that are half v1 and half v2
    if not machine.systemd:
        engine += ['cgroup_manager = "cgroupfs"', 'events_logger = "file"']
    if tmp_dir:
        engine.append(f'tmp_dir = "{tmp_dir}"')
    if runc:
        engine += ['runtime = "runc"', "[engine.runtimes]", f'runc = ["{runc}"]']
    return "\n".join(["[containers]", *containers, "[engine]", *engine, ""])


def storage_conf(graph_root: str, run_root: str, *, images: str = "") -> str:
    """The text of a storage.conf with a store of its own, for root as for other accounts.

    Args:
        graph_root: Where images and containers lie.
        run_root: Where lies what does not survive a reboot.
        images: Another store whose images can be used too; empty for none.
    """
    # Where the file is named by a variable, an account that is not root takes its store from the last line only.
    lines = ["[storage]", 'driver = "overlay"', f'graphroot = "{graph_root}"', f'runroot = "{run_root}"']
    lines.append(f'rootless_storage_path = "{graph_root}"')
    if images:
        lines += ["[storage.options]", f'additionalimagestores = ["{images}"]']
    return "\n".join([*lines, ""])
