"""The shipped files load, and say exactly what is to be done before they are used."""

from __future__ import annotations

import hashlib
import json

import pytest

from fetchml_core.config.findings import Report
from fetchml_core.config.toml_loader import parse_toml
from fetchml_core.config.yaml_loader import parse_yaml
from tests.core.config.support import CONFIGS, SAMPLES, check_file

PLACEHOLDER = ("placeholder-secret", "warning")
EXPECTED = {
    "api/dev.yaml": [],
    "api/multi-user.yaml": [(*PLACEHOLDER, 8), (*PLACEHOLDER, 14), (*PLACEHOLDER, 23)],
    "api/prod.yaml": [(*PLACEHOLDER, 8), ("audit-not-enabled", "warning", 52)],
    "api/homelab-secure.yaml": [(*PLACEHOLDER, 8), (*PLACEHOLDER, 15), (*PLACEHOLDER, 53)],
    "workers/dev-local.yaml": [],
    "workers/docker.yaml": [],
    "workers/homelab-secure.yaml": [("env-unset", "error", 5)],
    "workers/worker-prod.toml": [("legacy-toml", "warning", 0), (*PLACEHOLDER, 6)],
    "cli/config.toml": [(*PLACEHOLDER, 8)],
    "cli/config-admin.toml": [(*PLACEHOLDER, 8)],
    "cli/config-researcher.toml": [(*PLACEHOLDER, 8)],
    "cli/config-analyst.toml": [(*PLACEHOLDER, 8)],
}
# First 16 hex digits of the SHA-256 of each sample's keys and values, as the configuration reference has them.
CONTENT = {
    "api/dev.yaml": "d9e9480ac2588d5b",
    "api/homelab-secure.yaml": "40c8435e0afbdda6",
    "api/multi-user.yaml": "0ddf731f3475aa02",
    "api/prod.yaml": "e67a1b7fc6b4445a",
    "cli/config-admin.toml": "1f571dce15c11927",
    "cli/config-analyst.toml": "117863f81ea868ac",
    "cli/config-researcher.toml": "4bec6405a241e7a1",
    "cli/config.toml": "9c2cbbf04705a925",
    "workers/dev-local.yaml": "d728cc6bfa340c72",
    "workers/docker.yaml": "866fdb4381158d8e",
    "workers/homelab-secure.yaml": "14810900006709ae",
    "workers/worker-prod.toml": "f92f53eab70f7da4",
}


def plain(node):
    """A tree as JSON knows it."""
    if isinstance(node.value, dict):
        return {key: plain(entry.node) for key, entry in node.value.items()}
    return [plain(item) for item in node.value] if isinstance(node.value, list) else node.value


def name_of(path):
    """A sample's name below configs/."""
    return str(path.relative_to(CONFIGS))


@pytest.mark.parametrize("path", SAMPLES, ids=name_of)
def test_findings(path):
    """Each shipped file gives its known findings and no other."""
    _, findings = check_file(path, path.parent.name)

    assert [(found.code, found.severity, found.line) for found in findings] == EXPECTED[name_of(path)]


@pytest.mark.parametrize("path", SAMPLES, ids=name_of)
def test_content(path):
    """Keys and values are those of the reference."""
    text = path.read_text("utf-8")
    node = parse_toml(text) if path.suffix == ".toml" else parse_yaml(text, Report(""))
    digest = hashlib.sha256(json.dumps(plain(node)).encode()).hexdigest()[:16]

    assert digest == CONTENT[name_of(path)]


def test_all_samples_are_shipped():
    """No sample of the reference is missing."""
    assert {name_of(path) for path in SAMPLES} == set(EXPECTED)


def test_the_homelab_worker_needs_its_password_only():
    """Once REDIS_PASSWORD is set the worker file is right, and the password is where it belongs."""
    path = CONFIGS / "workers" / "homelab-secure.yaml"
    loaded, findings = check_file(path, "workers", {"REDIS_PASSWORD": "s3cret"})

    assert not findings
    assert loaded.config.redis_url == "redis://:s3cret@redis:6379/0"


def test_values_arrive_typed():
    """Durations are seconds, sizes bytes, and the keys of a person are records."""
    worker, _ = check_file(CONFIGS / "workers" / "dev-local.yaml", "workers")
    server, _ = check_file(CONFIGS / "api" / "multi-user.yaml", "api")
    researcher = server.config.auth.api_keys["researcher1"]

    assert worker.config.task_lease_duration.seconds == 1800.0
    assert worker.config.metrics_flush_interval.seconds == 0.5
    assert worker.config.resources.podman_memory.bytes == 4 << 30
    assert worker.config.resources.podman_cpus.number == 2.0
    assert worker.config.slots == 2
    assert researcher.roles == ("user", "researcher")
    assert researcher.permissions == {
        "jobs:read": True,
        "jobs:create": True,
        "jobs:update": True,
        "jobs:delete": False,
    }


def test_the_legacy_file_is_read():
    """The TOML worker file means what the same keys in YAML mean."""
    loaded, _ = check_file(CONFIGS / "workers" / "worker-prod.toml", "workers")

    assert (loaded.config.slots, loaded.config.resources.podman_memory.bytes) == (4, 16 << 30)
    assert (loaded.config.host, loaded.config.user, loaded.config.port) == ("localhost", "ml-user", 22)
