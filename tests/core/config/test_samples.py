"""The shipped files load, and say exactly what is to be done before they are used."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from fetchml_cli.tls import tls_pair
from fetchml_core.config.findings import Report
from fetchml_core.config.rules.base import Machine
from fetchml_core.config.toml_loader import parse_toml
from fetchml_core.config.validate import validate
from fetchml_core.config.yaml_loader import parse_yaml
from tests.core.config.support import CONFIGS, SAMPLES, check_file

# Each finding as `line severity code key`; 0 is the whole file. Lines count from the first one that is no comment:
# a line for editors may stand on top.
EXPECTED = {
    "api/dev.yaml": """\
1 info not-active-yet base_path
8 info not-active-yet server.address
17 info not-active-yet security.allowed_origins
30 info not-active-yet monitoring.prometheus.enabled
34 info not-active-yet monitoring.health_checks.enabled
38 warning redis-not-used redis.addr
44 info not-active-yet database.connection""",
    "api/homelab-secure.yaml": """\
1 info not-active-yet base_path
8 warning placeholder-secret auth.api_keys.homelab_admin.hash
15 warning placeholder-secret auth.api_keys.homelab_user.hash
25 warning production-without-tls server.address
34 info not-active-yet security.allowed_origins
36 info not-active-yet security.rate_limit.enabled
45 info not-active-yet monitoring.prometheus.enabled
49 info not-active-yet monitoring.health_checks.enabled
53 warning placeholder-secret redis.url
53 warning redis-not-used redis.url
59 info not-active-yet database.connection""",
    "api/multi-user.yaml": """\
1 info not-active-yet base_path
8 warning placeholder-secret auth.api_keys.admin_user.hash
14 warning placeholder-secret auth.api_keys.researcher1.hash
23 warning placeholder-secret auth.api_keys.analyst1.hash
41 info not-active-yet security.rate_limit.enabled
48 info not-active-yet monitoring.prometheus.enabled
52 info not-active-yet monitoring.health_checks.enabled
56 warning redis-not-used redis.url
62 info not-active-yet database.connection
70 info not-active-yet resources.max_workers""",
    "api/prod.yaml": """\
1 info not-active-yet base_path
8 warning placeholder-secret auth.api_keys.admin.hash
18 info not-active-yet server.tls.enabled
26 info not-active-yet security.rate_limit.enabled
33 info not-active-yet monitoring.prometheus.enabled
37 info not-active-yet monitoring.health_checks.enabled
41 warning redis-not-used redis.addr
47 info not-active-yet database.connection
52 warning audit-not-enabled logging.audit_file
55 info not-active-yet resources.max_workers""",
    "cli/config-admin.toml": "8 warning placeholder-secret auth.api_key",
    "cli/config-analyst.toml": "8 warning placeholder-secret auth.api_key",
    "cli/config-researcher.toml": "8 warning placeholder-secret auth.api_key",
    "cli/config.toml": "8 warning placeholder-secret auth.api_key",
    "workers/dev-local.yaml": """\
5 warning redis-not-used redis_url
19 info not-active-yet data_dir""",
    "workers/docker.yaml": """\
2 warning volatile-folder base_path
5 warning redis-not-used redis_addr
22 info not-active-yet metrics.enabled""",
    "workers/homelab-secure.yaml": """\
2 warning volatile-folder base_path
5 error env-unset redis_url
17 info not-active-yet data_dir
20 info not-active-yet snapshot_store.enabled
40 info not-active-yet metrics.enabled""",
    "workers/worker-prod.toml": """\
0 warning legacy-toml
5 warning redis-not-used redis_addr
6 warning placeholder-secret redis_password
9 warning legacy-key host
29 info not-active-yet metrics.enabled""",
}
# The worker of the homelab once its password is set.
SET = """\
2 warning volatile-folder base_path
5 warning redis-not-used redis_url
17 info not-active-yet data_dir
20 info not-active-yet snapshot_store.enabled
40 info not-active-yet metrics.enabled"""
# What a machine adds.
MISSING = {
    "api/prod.yaml": [
        "19 error tls-file-unusable server.tls.cert_file",
        "20 error tls-file-unusable server.tls.key_file",
    ],
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


def golden(path, findings):
    """Findings as the lists below have them."""
    lines = path.read_text("utf-8").split("\n")
    header = next(number for number, line in enumerate(lines) if line and not line.startswith("#"))
    return [
        f"{found.line and found.line - header} {found.severity} {found.code} {found.key}".rstrip()
        for found in findings
    ]


@pytest.mark.parametrize("path", SAMPLES, ids=name_of)
def test_findings(path):
    """Each shipped file gives its known findings and no other."""
    findings = validate(path, {}).findings

    assert golden(path, findings) == EXPECTED[name_of(path)].split("\n")


@pytest.mark.parametrize("path", SAMPLES, ids=name_of)
def test_findings_on_a_machine(path):
    """On a machine of ordinary size only what is not on it comes on top."""
    machine = Machine(Path("/srv/fetchml"), 8, 1.8e9, lambda path: "ext4", 64 << 30, tls_pair)
    findings = validate(path, {}, machine=machine).findings

    more = [line for line in golden(path, findings) if line not in EXPECTED[name_of(path)].split("\n")]
    assert more == MISSING.get(name_of(path), [])
    assert len(findings) == len(EXPECTED[name_of(path)].split("\n")) + len(more)


@pytest.mark.parametrize("path", SAMPLES, ids=name_of)
def test_only_what_is_missing_is_an_error(path):
    """A shipped file can be loaded as it is: only the homelab worker asks for a password first."""
    errors = [found for found in validate(path, {}).findings if found.severity == "error"]

    assert [found.code for found in errors] == (
        ["env-unset"] if name_of(path) == "workers/homelab-secure.yaml" else []
    )


@pytest.mark.parametrize("path", SAMPLES, ids=name_of)
def test_a_sample_is_the_same_in_production(tmp_path, path):
    """A file that only its owner can read gives the same findings: no sample holds a secret."""
    copy = tmp_path / path.parent.name / path.name
    copy.parent.mkdir()
    copy.write_bytes(path.read_bytes())
    copy.chmod(0o600)

    assert golden(copy, validate(copy, {}).findings) == golden(path, validate(path, {}).findings)


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

    assert golden(path, findings) == SET.split("\n")
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
