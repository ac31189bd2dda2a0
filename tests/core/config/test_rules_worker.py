"""Rules of the worker file."""

from __future__ import annotations

from pathlib import Path

import pytest

from fetchml_core.config.rules.worker import TAKEN
from fetchml_core.errors import FetchError
from fetchml_core.launcher.podman import _parse_user
from fetchml_core.launcher.spec import LaunchSpec
from tests.core.config.rules_support import machine, only, problems
from tests.core.config.rules_support import told as told_of


def told(text, **settings):
    """Findings about a worker file."""
    return told_of(text, "workers", **settings)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("max_workers: 2\nresources: {max_workers: 2}", []),
        ("max_workers: 2", []),
        ("max_workers: 2\nresources: {podman_cpus: '1'}", []),
        ("max_workers: 2\nresources: {max_workers: 1}", ["1 error max-workers-disagree"]),
        ("local_mode: false", []),
        ("local_mode: false\nhost: 127.0.0.1", []),
        ("local_mode: false\nhost: gpu7", ["2 error remote-worker"]),
        ("local_mode: false\nhost: gpu7\nport: 22", ["2 error remote-worker", "3 warning legacy-key"]),
        ("local_mode: true\nhost: gpu7", ["2 warning legacy-key"]),
        ("port: 22\nhost: gpu7\nssh_key: k\nuser: al", ["1 warning legacy-key"]),
    ],
)
def test_where_jobs_run(text, expected):
    """Two names of one number agree, a worker runs jobs on its own host, and the keys of another time are told once."""
    assert told(text) == expected


def test_legacy_keys_are_all_named():
    """One warning names them all, in the order of the file."""
    found = only("port: 22\nhost: localhost\n", "workers")

    assert found.message == "port, host have no effect: a worker runs jobs on its own host"
    assert [place.line for place in found.also] == [2]
    assert only("port: 22\n", "workers").message == "port has no effect: a worker runs jobs on its own host"


@pytest.mark.parametrize(
    ("lease", "beat", "expected"),
    [
        ("30m", "1m", []),
        ("2m1s", "1m", []),
        ("2m", "1m", ["1 error lease-too-short"]),
        ("1m", "30m", ["1 error lease-too-short"]),
    ],
)
def test_leases(lease, beat, expected):
    """A lease is longer than two heartbeats."""
    assert told(f"task_lease_duration: {lease}\nheartbeat_interval: {beat}\n") == expected


def test_a_lease_against_a_default():
    """A heartbeat alone can be too slow: it is pointed at; the message has both keys, both values and a way out."""
    found = only("heartbeat_interval: 20m\n", "workers")

    assert found.line == 1
    assert found.message == (
        "task_lease_duration is 30m, which is not more than twice heartbeat_interval (line 1), 20m"
    )
    assert found.hint == "write task_lease_duration: 3600s or more"


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("/workspace", None),
        ("/home/al/work", None),
        ("/w", None),
        ("workspace", 'write "/workspace"'),
        ("/workspace/", 'write "/workspace"'),
        ("/a/../b", 'write "/workspace"'),
        ("/a/./b", 'write "/workspace"'),
        ("/a b", 'write "/workspace"'),
        ("/a//b", 'write "/workspace"'),
        ("tmp", 'write "/workspace"'),
        ("/", 'write "/workspace"'),
        ("/usr", 'write "/workspace"'),
        ("/proc/x", 'write "/workspace"'),
        ("/run/fetchml", 'write "/workspace"'),
        ("/run/fetchml/x", 'write "/workspace"'),
        ("/checkpoint", 'write "/workspace"'),
    ],
)
def test_folders_in_the_container(path, hint):
    """A plain absolute path that hides nothing of the image."""
    found = problems(f"container_workspace: '{path}'\n", "workers")

    expected = [] if hint is None else [("bad-container-path", 1, hint)]
    assert [(one.code, one.line, one.hint) for one in found] == expected


def spec(tmp_path, path):
    """A launch with *path* as its workspace."""
    places = {"folder": tmp_path, "checkpoint": tmp_path, "seccomp_profile": tmp_path}
    return LaunchSpec(
        1, 1, argv=("a",), cwd="", env={}, image="a", cpus=1, memory=1, workspace=path, **places
    )


@pytest.mark.parametrize(
    "path", ["/w", "/a/b", "w", "/w/", "/a/../b", "/a b", "/run/fetchml", "/dev", "/tmp", *TAKEN]
)
def test_what_the_launcher_refuses_the_rules_refuse(tmp_path, path):
    """No file passes that a launch would refuse later."""
    try:
        spec(tmp_path, path)
    except FetchError:
        assert told(f"container_workspace: '{path}'\n") == ["1 error bad-container-path"]


@pytest.mark.parametrize(
    ("workspace", "results", "line"),
    [
        ("/workspace", "/results", 0),
        ("/work", "/workspace", 0),
        ("/w", "/w", 2),
        ("/w", "/w/results", 2),
        ("/r/w", "/r", 2),
    ],
)
def test_folders_in_each_other(workspace, results, line):
    """Workspace and results are apart."""
    text = f"container_workspace: {workspace}\ncontainer_results: {results}\n"

    assert told(text) == ([f"{line} error container-paths-clash"] if line else [])


def test_a_folder_that_is_the_default_of_another():
    """The default counts too, and the key that was written is pointed at."""
    assert told("\ncontainer_workspace: /results\n") == ["2 error container-paths-clash"]


@pytest.mark.parametrize(
    ("user", "hint"),
    [
        ("1000:1000", None),
        ("1000:0", None),
        ("", None),
        ("1000", 'write "1000:1000"'),
        ("0:0", 'write "65534:65534", or your own: id -u; id -g'),
        ("0", 'write "65534:65534", or your own: id -u; id -g'),
        ("root", 'write "65534:65534", or your own: id -u; id -g'),
        ("al:users", 'write "65534:65534", or your own: id -u; id -g'),
    ],
)
def test_user_of_the_sandbox(user, hint):
    """Two numbers, and never root; the launcher takes exactly what the rule takes."""
    found = problems(f"sandbox:\n  user: '{user}'\n", "workers")

    assert [(one.code, one.line, one.hint) for one in found] == (
        [("bad-sandbox-user", 2, hint)] if hint else []
    )
    if user:
        try:
            _parse_user(user)
        except FetchError:
            assert found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("launcher: process\nsandbox: {network: none, user: '1:1'}", ["2 warning sandbox-not-used"]),
        ("launcher: process\nsandbox: {user: '1:1'}", ["2 warning sandbox-not-used"]),
        ("launcher: process\nsandbox: {user: ''}", []),
        ("launcher: process", []),
        ("launcher: podman\nsandbox: {network: full}", []),
        ("gpu_vendor: none\ngpu_devices: [/dev/a]", ["2 warning gpus-not-used"]),
        ("gpu_vendor: none\ngpu_visible_devices: [0, 1]", ["2 warning gpus-not-used"]),
        ("gpu_vendor: none\ngpu_devices: []\ngpu_visible_devices: []", []),
        ("gpu_vendor: nvidia\ngpu_devices: [/dev/a]", []),
        ("gpu_devices: [/dev/a]", []),
    ],
)
def test_settings_that_are_not_used(text, expected):
    """What has no effect is said."""
    assert told(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("metrics: {listen_addr: ':9100'}", []),
        ("metrics: {listen_addr: '9100'}", ["1 error bad-address"]),
        ("snapshot_store: {endpoint: 'minio:9000'}", []),
        ("snapshot_store: {endpoint: s3.example.com}", []),
        ("snapshot_store: {endpoint: 'http://minio:9000'}", ["1 error bad-address"]),
        ("snapshot_store: {enabled: true, bucket: fetchml-snapshots}", []),
        ("snapshot_store: {enabled: true, bucket: Fetch_ML}", ["1 error bad-bucket"]),
        ("snapshot_store: {enabled: true, bucket: ab}", ["1 error bad-bucket"]),
        ("snapshot_store: {enabled: false, bucket: Fetch_ML}", []),
        (
            "metrics: {enabled: true}\nsnapshot_store: {enabled: true, endpoint: 'localhost:9100'}",
            ["2 error port-clash"],
        ),
        ("metrics: {enabled: true}\nsnapshot_store: {enabled: false, endpoint: 'localhost:9100'}", []),
        ("metrics: {enabled: true}\nsnapshot_store: {enabled: true, endpoint: 'minio:9100'}", []),
        ("metrics: {enabled: false}\nsnapshot_store: {enabled: true, endpoint: 'localhost:9100'}", []),
        (
            "metrics: {enabled: true}\nqueue: {type: redis}\nredis_addr: localhost:9100",
            ["3 error port-clash"],
        ),
        ("metrics: {enabled: true}\nqueue: {type: redis}\nredis_url: redis://localhost", []),
    ],
)
def test_addresses_and_the_store(text, expected):
    """Addresses have their form, a bucket has one too, and two on this machine have two ports."""
    assert told(text) == expected


# --- folders and the machine ---


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("base_path: /tmp/jobs", ["1 warning volatile-folder"]),
        ("base_path: /tmp", ["1 warning volatile-folder"]),
        ("base_path: /srv/../tmp/jobs", ["1 warning volatile-folder"]),
        ("base_path: /dev/shm/jobs", ["1 warning volatile-folder"]),
        ("base_path: /tmpfoo", []),
        ("base_path: tmp", []),
        ("base_path: /data", []),
        ("queue: {native: {data_dir: /tmp/q}}", ["1 warning volatile-folder"]),
        (
            "base_path: /tmp\nqueue: {native: {data_dir: /tmp/q}}",
            ["1 warning volatile-folder", "2 warning volatile-folder"],
        ),
        ("queue: {type: sqlite, sqlite_path: /tmp/q}", ["1 warning volatile-folder"]),
        ("queue: {type: filesystem, filesystem_path: /tmp/q}", ["1 warning volatile-folder"]),
        ("queue: {type: redis}\nredis_addr: redis\nbase_path: /data", []),
    ],
)
def test_folders_that_do_not_last(text, expected):
    """What lies under /tmp is gone after a restart, and its name is enough to know; a machine says no more."""
    assert told(text) == expected
    assert (
        told(text, on=machine(filesystem=lambda path: "tmpfs" if path.is_relative_to("/tmp") else "ext4"))
        == expected
    )


def test_a_queue_of_the_api_file():
    """The api file names a queue too; its base_path is another thing."""
    text = "base_path: /tmp/x\nqueue:\n  native:\n    data_dir: /tmp/q\n"
    found = only(text)

    assert found.key == "queue.native.data_dir"
    assert found.message == "queue.native.data_dir: '/tmp/q' is under /tmp: the queue is gone after a restart"
    assert found.hint == "name a folder on a disk, such as /var/lib/fetchml/queue"


@pytest.mark.parametrize(
    ("base", "kind", "message"),
    [
        ("/srv", "ext4", ""),
        ("/srv", "", ""),
        (
            "/srv",
            "tmpfs",
            "base_path: 'data' lies in memory (tmpfs): the queue, code and results are gone after a restart",
        ),
        (
            "/srv",
            "ramfs",
            "base_path: 'data' lies in memory (ramfs): the queue, code and results are gone after a restart",
        ),
        (
            "/tmp/base",
            "ext4",
            "base_path: 'data' is '/tmp/base/data', under /tmp: the queue, code and results are gone after a restart",
        ),
    ],
)
def test_folders_on_a_machine(base, kind, message):
    """A relative path is taken from the base, and the machine knows what lies in memory."""
    asked = []

    def filesystem(path):
        asked.append(path)
        return kind

    found = problems("base_path: data\n", "workers", on=machine(base=Path(base), filesystem=filesystem))

    assert [one.message for one in found] == ([message] if message else [])
    assert asked == [Path(base, "data")]


@pytest.mark.parametrize("kind", ["workers", "api"])
@pytest.mark.parametrize(
    ("resources", "parts", "expected"),
    [
        ("{podman_cpus: '8', podman_memory: 16g}", {}, []),
        ("{podman_cpus: '8.5'}", {}, [("cpus-beyond-machine", 'write "8" or less')]),
        ("{podman_cpus: '2'}", {"cpus": 1.5}, [("cpus-beyond-machine", 'write "1.5" or less')]),
        ("{podman_memory: 17g}", {}, [("memory-beyond-machine", 'write "16384m" or less')]),
        ("{podman_memory: 17g}", {"memory": 0}, []),
        ("{max_workers: 2}", {"cpus": 1, "memory": 1 << 30}, ["cpus", "memory"]),
    ],
)
def test_more_than_the_machine_has(kind, resources, parts, expected):
    """A ceiling above the machine limits nothing: a warning, at defaults as well."""
    found = problems(f"resources: {resources}\n", kind, on=machine(**parts))

    if expected == ["cpus", "memory"]:
        expected = [
            ("cpus-beyond-machine", 'write "1" or less'),
            ("memory-beyond-machine", 'write "1024m" or less'),
        ]
    assert [(one.code, one.hint) for one in found] == expected
    assert all(one.severity == "warning" for one in found)
