"""What a real job finds when it looks around in its container, and what happens where limits cannot hold."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from fetchml_core.launcher.podman import SANDBOX
from fetchml_core.launcher.seccomp import default_profile

CONTAINED = ["local-rootful", "local-rootless"]

FACTS = """
    import errno, json, socket
    status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
    def refusal(action, *words):
        try:
            action(*words)
        except OSError as error:
            return errno.errorcode[error.errno]
        return "allowed"
    def peek(path):
        try:
            return open(path).read()
        except OSError:
            return ""
    def connect(family, address):
        with socket.socket(family) as sock:
            sock.settimeout(2)
            sock.connect(address)
    print(json.dumps({
        "seccomp": status["Seccomp"], "no_new_privs": status["NoNewPrivs"],
        "capabilities": [status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")],
        "uid": os.getuid(), "gid": os.getgid(), "groups": os.getgroups(),
        "links": [name for name in os.listdir("/sys/class/net")] if os.path.isdir("/sys/class/net") else ["lo"],
        "connect": refusal(connect, socket.AF_INET, ("192.0.2.1", 80)),
        "writes": {path: refusal(open, path + "/x", "w") for path in ("/", "/etc", "/usr", "/run", "/var/tmp")},
        "tmp": refusal(open, "/tmp/x", "w"), "workspace": refusal(open, "x", "w"),
        "kill_init": refusal(os.kill, 1, 0), "chroot": refusal(os.chroot, "/"), "setuid": refusal(os.setuid, 0),
        "namespaces": {name: os.readlink("/proc/self/ns/" + name) for name in ("ipc", "net", "pid", "mnt", "uts")},
        "processes": sorted(int(name) for name in os.listdir("/proc") if name.isdigit()),
        "pids_max": open("/sys/fs/cgroup/pids/pids.max").read().strip()
            if os.path.exists("/sys/fs/cgroup/pids/pids.max") else None,
        "devices": sorted(os.listdir("/dev")),
        "variables": sorted(word.partition("=")[0] for word in open("/proc/1/environ").read().split("\\0") if word),
        "masked": {path: peek(path) for path in ("/proc/keys", "/proc/interrupts", "/proc/timer_list")},
        "firmware": os.listdir("/sys/firmware"),
        "settings": [os.path.join(folder, name) for folder, _, names in os.walk("/") for name in names
            if name in ("worker.yaml", "server.yaml") and not folder.startswith(("/proc", "/sys"))],
    }))
"""


@pytest.mark.parametrize("pair", CONTAINED)
def test_what_a_job_finds(way, pair):
    """#24: no network, no root, no capability, no new privileges, seccomp, a read-only root, nothing of the host in sight."""
    host = way(pair)
    job = host.submit(FACTS)
    host.ml.ok("wait", str(job))
    facts = json.loads(host.ml.ok("logs", str(job)))

    assert (facts["seccomp"], facts["no_new_privs"]) == ("2", "1")
    assert {int(mask, 16) for mask in facts["capabilities"]} == {0}
    assert facts["uid"] == (host.account.uid if host.account else 65534)
    assert 0 not in {facts["uid"], facts["gid"], *facts["groups"]}
    assert facts["links"] == ["lo"]
    assert facts["connect"] == "ENETUNREACH"
    assert set(facts["writes"].values()) <= {"EROFS", "EACCES"}
    assert facts["writes"]["/usr"] == "EROFS"
    assert (facts["tmp"], facts["workspace"]) == ("allowed", "allowed")
    assert facts["chroot"] == facts["setuid"] == "EPERM"
    ours = {name: Path("/proc/self/ns", name).readlink() for name in facts["namespaces"]}
    assert [name for name, link in facts["namespaces"].items() if link == str(ours[name])] == []
    assert len(facts["processes"]) <= 3  # the init and the job
    assert not {"mem", "kmsg", "sda", "fuse"} & set(facts["devices"])
    if host.launcher == "rootful" and facts["pids_max"] is not None:
        assert int(facts["pids_max"]) == 4096

    podmans = {"PATH", "TERM", "HOME", "HOSTNAME", "container", "NVIDIA_VISIBLE_DEVICES"}
    assert set(facts["variables"]) <= podmans
    assert set(facts["masked"].values()) == {""}
    assert facts["firmware"] == facts["settings"] == []

    attempt = host.show(job)["job"]["attempts"][0]
    assert set(attempt["enforced"]) >= {*SANDBOX, "no-network"}
    assert attempt["seccomp_sha256"] == hashlib.sha256(default_profile().read_bytes()).hexdigest()


def test_a_profile_of_ones_own(way):
    """#22: a customised copy by a path in the base counts like the shipped one: checked each time, its digest recorded."""
    host = way("local-rootful", sandbox={"seccomp_profile": "profiles/own.json"})
    stricter = json.loads(default_profile().read_text("utf-8"))
    for rule in stricter["syscalls"]:
        rule["names"] = [name for name in rule["names"] if name != "memfd_create"]
    profile = host.base / "profiles" / "own.json"
    profile.parent.mkdir(parents=True)
    profile.write_text(json.dumps(stricter), "utf-8")
    script = """
        try:
            os.memfd_create("x")
        except OSError as error:
            print(error.errno)
    """
    job = host.submit(script)
    host.ml.ok("wait", str(job))
    assert host.ml.ok("logs", str(job)) == "1\n"
    shown = host.show(job)["job"]["attempts"][0]
    assert shown["seccomp_sha256"] == hashlib.sha256(profile.read_bytes()).hexdigest()

    profile.write_text("{}")
    job = host.submit(script)
    host.ml.fails(1, "wait", str(job))
    (shown,) = host.show(job)["job"]["attempts"]
    assert (shown["outcome"]["error"], shown["seccomp_sha256"]) == ("seccomp-profile-weak", None)
    assert str(profile) in shown["outcome"]["reason"]


def test_out_of_memory(way):
    """A job that takes more than its memory is killed, and that is told apart from a failing script."""
    host = way("local-rootful")
    job = host.submit("block = bytearray(1 << 30)\nprint('unreachable')\n", "--memory", "64m")
    done = host.ml.fails(1, "wait", str(job))
    outcome = host.show(job)["job"]["attempts"][0]["outcome"]
    assert (outcome["out_of_memory"], outcome["failure"]) == (True, "resource")
    assert "out of memory" in done.stderr
    assert "--memory" in done.stderr
    assert host.ml.ok("logs", str(job)) == ""


def test_required_limits_refuse(way):
    """Where limits are required and cannot hold, no worker starts, the job stays queued, and it is said what to type."""
    host = way("local-rootless", sandbox={"limits": "required"})
    script = str(host.script("print('ran')\n"))
    done = host.ml.fails(0, "submit", script)
    assert done.stdout.startswith("job 1 queued on ")
    for words in (done.stderr, host.ml.fails(0, "status").stderr):
        assert "rootless Podman on cgroup v1 cannot enforce limits" in words
        assert "limits: best-effort" in words
    assert host.state(1) == "queued"
    assert "no worker" in host.ml.ok("status", "1")
    assert not (host.data / "jobs").exists()

    host.configure()
    host.ml.ok("status")
    host.ml.ok("wait", "1", "--timeout", "60s")
    assert host.ml.ok("logs", "1") == "ran\n"


def test_best_effort_is_shown(way):
    """Limits that cannot hold are named on the job, for people and for scripts."""
    host = way("local-rootless")
    job = host.submit("pass\n")
    host.ml.ok("wait", str(job))
    assert host.show(job)["job"]["attempts"][0]["not_enforced"] == ["memory", "cpus", "pids"]
    assert "not enforced" in host.ml.ok("show", str(job))
