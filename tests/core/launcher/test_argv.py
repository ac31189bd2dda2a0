"""The argv of `podman run`, compared with golden files, and what may never be in it.

After a wanted change: ``FETCHML_WRITE_GOLDEN=1 pytest tests/core/launcher/test_argv.py``, then read the difference.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetchml_core.errors import ConfigError, HostError, InputError
from fetchml_core.launcher.argv import podman_run_argv
from fetchml_core.launcher.environment import check_env_names, container_view, host_view, job_environment
from fetchml_core.launcher.gpus import Grant, grant
from fetchml_core.launcher.spec import LIMITS, LaunchSpec

GOLDEN = Path(__file__).parents[2] / "data/argv"
USER = {
    "argv": ("python3", "-u", "train.py", "--privileged", "canary"),
    "env": {"TOKEN": "canary", "X": "--env-host"},
}
GPUS = ("GPU-11111111-2222-3333-4444-555555555555", "MIG-11111111-2222-3333-4444-666666666666")
AMD = Grant(("/dev/kfd", "/dev/dri/renderD128"), groups=(44, 105), files=("/dev/kfd", "/dev/dri/renderD128"))


def spec(**fields) -> LaunchSpec:
    """A job whose user typed words that must not reach Podman."""
    values = {
        "job_id": 42,
        "attempt": 2,
        "folder": Path("/srv/ml/data/jobs/42/2"),
        "checkpoint": Path("/srv/ml/data/jobs/42/checkpoint"),
        "cwd": "src",
        "image": "docker.io/library/python:3.9-slim",
        "cpus": 2.0,
        "memory": 4 << 30,
        "seccomp_profile": Path("/srv/ml/agent/abc/default-hardened.json"),
    }
    return LaunchSpec(**values | USER | fields)


def argv(launch: LaunchSpec | None = None, **fields) -> list[str]:
    """The argv on a rootful host that enforces all limits, unless told otherwise."""
    values = {
        "image": "5c6b41ae",
        "rootless": False,
        "user": "65534:65534",
        "init": "python",
        "enforceable": LIMITS,
    }
    return podman_run_argv(launch or spec(), **values | fields)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("rootful", argv()),
        ("rootless", argv(rootless=True)),
        ("rootless-no-limits", argv(rootless=True, enforceable=())),
        ("rootless-no-cpu", argv(rootless=True, enforceable=("memory", "pids"))),
        ("shell-init", argv(init="sh")),
        ("network-full", argv(spec(network="full"))),
        ("small", argv(spec(cpus=0.125, memory=16 << 20, pids_limit=64))),
        ("gpus", argv(spec(gpus=GPUS), given=grant(GPUS))),
        ("gpus-amd", argv(given=AMD)),
        ("gpus-amd-rootless", argv(given=AMD, rootless=True)),
        ("own-places", argv(spec(workspace="/code", results="/out"), user="1500:1600")),
    ],
)
def test_golden(name, found):
    """The argv is exactly what was read and approved."""
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("FETCHML_WRITE_GOLDEN"):
        path.write_text("\n".join(found) + "\n")

    assert found == path.read_text().splitlines()


@given(
    command=st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1),
    network=st.sampled_from(["none", "full"]),
    rootless=st.booleans(),
    init=st.sampled_from(["python", "sh"]),
)
def test_user_text_stays_out(command, network, rootless, init):
    """Whatever the user typed, the argv is the same: command and variables are not in it."""
    typed = spec(argv=("x", *command), env={"A": command[0]}, network=network)

    assert argv(typed, rootless=rootless, init=init) == argv(
        spec(network=network), rootless=rootless, init=init
    )


@pytest.mark.parametrize("rootless", [True, False])
def test_never(rootless):
    """No flag that would drop the sandbox, the exit status or the terminal's safety, and no user text."""
    found = argv(rootless=rootless)

    assert not {"--rm", "-t", "--tty", "-i", "--privileged", "--env-host", "--userns=host"} & set(found)
    assert "canary" not in " ".join(found)
    words = [word for word in found if word.startswith(("--env=", "-e", "--device", "--group"))]
    assert words == [
        "--env=NVIDIA_VISIBLE_DEVICES=void"
    ]  # against the image's own word to NVIDIA's older hook


@pytest.mark.parametrize("path", ["/srv/a:b", "/srv/a,b", "relative", "/srv/a\nb"])
def test_folder_that_podman_would_misread(path):
    """A base folder with a colon or a comma is refused, not cut in two."""
    with pytest.raises(HostError, match="path-unusable"):
        spec(folder=Path(path) / "42/2")


@pytest.mark.parametrize(
    ("fields", "error", "code"),
    [
        ({"argv": ()}, InputError, "no-command"),
        ({"argv": ("",)}, InputError, "no-command"),
        ({"argv": ("a", "b\0c")}, InputError, "bad-argument"),
        ({"argv": ("a", "\ud800")}, InputError, "bad-argument"),
        ({"argv": ("a", "x" * 200_000)}, InputError, "bad-argument"),
        ({"cwd": "../up"}, InputError, "bad-start-folder"),
        ({"cwd": "/etc"}, InputError, "bad-start-folder"),
        ({"image": "--privileged"}, InputError, "bad-image-name"),
        ({"image": "a b"}, InputError, "bad-image-name"),
        ({"image": ""}, InputError, "bad-image-name"),
        ({"memory": 0}, InputError, "bad-limit"),
        ({"cpus": -1.0}, InputError, "bad-limit"),
        ({"cpus": float("nan")}, InputError, "bad-limit"),
        ({"gpus": ("a b",)}, HostError, "gpu-not-available"),
        ({"workspace": "/a:b"}, ConfigError, "bad-container-path"),
        ({"workspace": "/"}, ConfigError, "bad-container-path"),
        ({"results": "/a/../b"}, ConfigError, "bad-container-path"),
        ({"results": "/run/fetchml"}, ConfigError, "bad-container-path"),
    ],
)
def test_refused_specs(fields, error, code):
    """What cannot be launched is refused when the spec is made."""
    with pytest.raises(error) as caught:
        spec(**fields)

    assert caught.value.code == code


@pytest.mark.parametrize(
    "env",
    [
        {"LD_PRELOAD": "x"},
        {"ld_library_path": "x"},
        {"NVIDIA_VISIBLE_DEVICES": "all"},
        {"FETCHML_JOB_ID": "1"},
        {"": "x"},
        {"1A": "x"},
        {"A-B": "x"},
        {"A=B": "x"},
        {"A\n": "x"},
        {"É": "x"},
        {"A": "x\0"},
        {"A": "x" * 200_000},
    ],
)
def test_refused_variables(env):
    """Variables that steer more than the job, and names that are none, are refused; values are not shown."""
    with pytest.raises(InputError) as caught:
        check_env_names(env)

    assert caught.value.code == "env-refused"
    assert "xx" not in str(caught.value)


def test_environment_in_container_and_on_host():
    """Both launchers give the same names; the user's own variables win over our defaults."""
    launch = spec(env={"LANG": "de_DE.UTF-8", "A": ""})
    inside = job_environment(launch, container_view(launch))
    outside = job_environment(launch, host_view(launch), path="/bin")

    assert inside == {
        "HOME": "/tmp",
        "LANG": "de_DE.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "FETCHML_JOB_ID": "42",
        "FETCHML_ATTEMPT": "2",
        "FETCHML_WORKSPACE": "/workspace",
        "FETCHML_RESULTS": "/results",
        "FETCHML_CHECKPOINT_DIR": "/checkpoint",
        "FETCHML_STOP_FILE": "/run/fetchml/stop",
        "A": "",
    }
    assert set(outside) == set(inside) | {"PATH"}


def test_secrets_stay_out_of_repr():
    """A spec that lands in a traceback or a log does not show the user's variables."""
    assert "canary" not in repr(spec(argv=("x",)))


def test_two_queues_do_not_share_a_name():
    """The same job and attempt in two queues of one host give two containers."""
    other = spec(folder=Path("/home/bob/ml/jobs/42/2"))

    assert spec().name != other.name
    assert spec().name.endswith("-42-2")
