"""Hosts where jobs cannot run: the job stays queued, or ends, and every verb says why and what to type."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from fetchml_core.clock import Clock
from fetchml_core.service.host import open_host
from fetchml_core.service.worker_info import linger_note
from tests.e2e.said import PROCESS, local_base, no_jobs, refused, said, same, script
from tests.support.require import find_program
from tests.support.wait import poll_until

PODMAN = "sandbox:\n  limits: best-effort\n"
NO_PODMAN = "Podman is not installed on this host, or not on its PATH"


@pytest.fixture
def no_podman(tmp_path) -> dict[str, str]:
    """An environment whose PATH has Python and no Podman."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("python3", "sh", "env"):
        (folder / name).symlink_to(find_program(name) or name)
    return {"PATH": str(folder)}


def test_no_podman(ml, tmp_path, no_podman):
    """Without Podman the job stays queued, and submit, status, show and logs say so with the command to type."""
    base = local_base(ml, tmp_path / "base", PODMAN)
    script(ml, "print(1)")

    done = ml.fails(0, "submit", "job", env=no_podman)
    same(
        done,
        f"""
        warning: no worker could be started: podman-missing: {NO_PODMAN}
          the job stays queued; on the host: sudo apt-get install podman
        """,
    )
    assert done.stdout.startswith("job 1 queued on ")

    status = ml.fails(0, "status", env=no_podman)
    assert f"no worker: podman-missing: {NO_PODMAN}" in status.stdout
    assert "on the host: sudo apt-get install podman" in status.stderr

    shown = ml.ok("show", "1", env=no_podman)
    assert f"queued (no worker: podman-missing: {NO_PODMAN})" in shown
    assert "on the host: sudo apt-get install podman" in shown

    logs = ml.fails(0, "logs", "1", env=no_podman)
    same(
        logs,
        f"""
        job 1 has not run: it is queued (no worker: podman-missing: {NO_PODMAN}; on the host: sudo apt-get install podman)
        """,
    )
    assert "podman-missing" in (base / "run" / "worker.log").read_text("utf-8")


def test_podman_that_fails(ml, tmp_path, no_podman):
    """A Podman that does not work on the host: its own words, and the command that shows them again."""
    local_base(ml, tmp_path / "base", PODMAN)
    podman = tmp_path / "bin" / "podman"
    podman.write_text(
        "#!/bin/sh\necho 'Error: cannot clone: Operation not permitted' >&2\nexit 125\n", "utf-8"
    )
    podman.chmod(0o755)
    script(ml, "print(1)")

    done = ml.fails(0, "submit", "job", env=no_podman)
    same(
        done,
        """
        warning: no worker could be started: podman-broken: podman info fails on this host (Error: cannot clone: Operation not permitted)
          the job stays queued; on the host: podman info
        """,
    )


def test_no_podman_then_repaired(ml, tmp_path, no_podman):
    """Once the host is repaired the next command that looks starts the worker, and the job runs."""
    base = local_base(ml, tmp_path / "base", PODMAN)
    script(ml, "print('at last')")
    ml.ok("submit", "job", env=no_podman)

    (base / "worker.yaml").write_text(PROCESS, "utf-8")

    assert ml.fails(0, "logs", "-f", "1").stdout == "at last\n"


def test_broken_worker_file(ml, tmp_path):
    """A worker file with mistakes stops submit before anything is queued: file, line, and what was meant."""
    base = local_base(ml, tmp_path / "base", "max_workers: many\nwroker_id: box\n")
    script(ml, "print(1)")

    refused(
        ml,
        3,
        ["submit", "job"],
        """
        error: config-invalid: <base>/worker.yaml:1:14: max_workers: expected a whole number from 1 up, got 'many'
          context  <base>/worker.yaml:2:1: unknown key 'wroker_id'
          hint     fetchml-worker run --config <base>/worker.yaml --validate shows all 2 problems
        """,
        base=base,
    )
    (base / "worker.yaml").write_text(PROCESS, "utf-8")
    no_jobs(ml)


def test_jobs_of_a_broken_worker_file(ml, tmp_path):
    """Whoever has jobs on the host goes on seeing them, is told of the file, and ends them; mended, all works again."""
    base = local_base(ml, tmp_path / "base")
    script(ml, "import time\nprint('began', flush=True)\ntime.sleep(600)")
    ml.ok("submit", "job")
    poll_until(lambda: "began" in ml.ok("logs", "--no-follow", "1"), "the job has begun")
    (base / "worker.yaml").write_text(f"{PROCESS}max_workers: many\n", "utf-8")
    place = f"{base}/worker.yaml:2:14: max_workers: expected a whole number from 1 up, got 'many'"

    for args in (["status"], ["show", "1"], ["why", "1"], ["logs", "--no-follow", "1"], ["worker", "status"]):
        done = ml.fails(0, *args)
        assert done.stderr.startswith(
            f"note: the worker file has errors, so that jobs can only be looked at and cancelled: {place}\n"
        )
        assert done.stdout
    for args in (["submit", "job"], ["worker", "drain"], ["hold", "1"]):
        assert f"error: config-invalid: {place}" in ml.fails(3, *args).stderr
    ml.ok("cancel", "1")
    ml.fails(7, "wait", "1")
    (base / "worker.yaml").write_text(PROCESS, "utf-8")
    script(ml, "print('after')")

    assert "note: the worker file" not in ml.fails(0, "submit", "job", "--wait").stderr


def test_misnamed_worker_file(ml, tmp_path):
    """worker.yml is not silently passed over."""
    base = local_base(ml, tmp_path / "base", None)
    (base / "worker.yml").write_text(PROCESS, "utf-8")

    refused(
        ml,
        3,
        ["status"],
        """
        error: config-misnamed: the file must be named worker.yaml
          context  <base>/worker.yml
          hint     mv <base>/worker.yml <base>/worker.yaml
        """,
        base=base,
    )


def test_server_file_that_is_unreadable_yaml(ml, tmp_path):
    """An api file that is no YAML lets nobody in: authentication is never off by mistake."""
    base = local_base(ml, tmp_path / "base")
    (base / "server.yaml").write_text("auth:\n  enabled: true\n api_keys: {\n", "utf-8")

    done = ml.fails(3, "status")

    assert f"{base}/server.yaml:3" in done.stderr
    assert len(done.stderr.splitlines()) <= 4


def test_queue_that_agent_and_worker_resolve_differently(ml, tmp_path):
    """A running worker that serves another queue is not waited for: exit 3, both queues and files are named."""
    base = local_base(ml, tmp_path / "base", f"{PROCESS}base_path: {tmp_path}/one\n")
    script(ml, "print(1)")
    assert ml.fails(0, "submit", "job", "--wait").stdout
    (base / "worker.yaml").write_text(f"{PROCESS}base_path: {tmp_path}/two\n", "utf-8")
    pid = json.loads((base / "run" / "worker.json").read_bytes())["pid"]

    for args in (["submit", "job"], ["status"]):
        refused(
            ml,
            3,
            args,
            """
            error: queue-disagrees: the running worker serves <tmp>/one/queue, but by the files of <base> it is <tmp>/two/queue
              context  the worker read <base>/worker.yaml, now <base>/worker.yaml counts
              hint     put its file at <base>/worker.yaml, or, where that is right, end it (its jobs go on): kill <pid>
            """,
            base=base,
            tmp=tmp_path,
            pid=pid,
        )
    assert not list((tmp_path / "two" / "queue").glob("*job*"))


def test_queue_named_differently_in_the_two_files(ml, tmp_path):
    """Two files that name different queues are refused before any worker starts."""
    base = local_base(
        ml, tmp_path / "base", f"{PROCESS}queue:\n  type: native\n  native:\n    data_dir: /a\n"
    )
    (base / "server.yaml").write_text("queue:\n  type: native\n  native:\n    data_dir: /b\n", "utf-8")
    script(ml, "print(1)")

    refused(
        ml,
        3,
        ["submit", "job"],
        """
        error: queue-disagrees: the api file and the worker file name different queues (queue.native.data_dir)
          context  <base>/server.yaml: /b; <base>/worker.yaml: /a
          hint     write the same in both, or remove it from one
        """,
        base=base,
    )


def test_image_that_the_host_lacks(ml, tmp_path, podman_root):
    """The image is never pulled: submit -f, status and show print the line to type."""
    local_base(ml, tmp_path / "base", PODMAN)
    script(ml, "print(1)")
    image = "docker.io/library/no-such:1"

    done = ml.fails(1, "submit", "job", "-f", "--image", image)
    assert said(done.stderr.partition("job 1 failed")[2]) == (
        f": this host does not have the image ({image})\n  hint  on the host: podman pull {image}\n"
    )
    status = ml.fails(0, "status")
    assert f"job 1: on the host: podman pull {image}\n" in status.stderr
    assert f"infrastructure: this host does not have the image ({image})" in status.stdout
    assert f"on the host: podman pull {image}" in ml.ok("show", "1")


def test_image_where_jobs_have_no_container(ml, tmp_path):
    """An image cannot be used without containers: the job is not run in something else instead."""
    local_base(ml, tmp_path / "base")
    script(ml, "print('never')")

    done = ml.fails(1, "submit", "job", "-f", "--image", "docker.io/library/python:3.9-slim")

    assert "never" not in done.stdout
    assert done.stderr.endswith(
        "job 1 failed: jobs run without a container on this host, so the image that was asked for "
        "cannot be used (docker.io/library/python:3.9-slim)\n"
        "  hint  submit again without --image, or make Podman work on the host\n"
    )


def _account(root: Path, name: str, *, lingers: bool) -> Path:
    (root / "run" / "systemd" / "system").mkdir(parents=True)
    (root / "var" / "lib" / "systemd" / "linger").mkdir(parents=True)
    if lingers:
        (root / "var" / "lib" / "systemd" / "linger" / name).touch()
    return root


@pytest.mark.parametrize(
    ("systemd", "lingers", "warned"), [(True, False, True), (True, True, False), (False, False, False)]
)
def test_rootless_without_linger(tmp_path, rootless, systemd, lingers, warned):
    """Where systemd would end an account's jobs at its logout the submitter is warned, with the line to type."""
    root = tmp_path / "root"
    if systemd:
        _account(root, rootless.name, lingers=lingers)
    host = open_host(tmp_path / "base", {}, Clock())
    os.setresuid(rootless.uid, 0, 0)  # what it asks for is the real one
    try:
        notes = linger_note(host, root)
    finally:
        os.setresuid(0, 0, 0)

    wanted = (
        f"jobs end when {rootless.name} logs out of the host; on the host: sudo loginctl enable-linger {rootless.name}",
    )
    assert notes == (wanted if warned else ())
