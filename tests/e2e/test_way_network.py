"""A job reaches a network where it asked for one and the worker allows it, and only then."""

from __future__ import annotations

import json
import socket
import threading

import pytest

from tests.support.require import need

LOOK = """
    import json, socket
    def ask(address, port):
        try:
            with socket.create_connection((address, port), timeout=5) as sock:
                return sock.recv(10).decode()
        except OSError as error:
            return type(error).__name__
    rows = [line.split() for line in open("/proc/net/route").read().splitlines()[1:]]
    gates = [socket.inet_ntoa(bytes.fromhex(row[2])[::-1]) for row in rows if row[1] == "00000000"]
    print(json.dumps({
        "links": sorted(line.split(":")[0].strip() for line in open("/proc/net/dev").read().splitlines()[2:]),
        "host": [ask(gate, PORT) for gate in gates],
        "loopback": ask("127.0.0.1", PORT),
    }))
"""


@pytest.fixture
def port():
    """A port of all addresses of this machine, at which somebody says hello."""
    with socket.create_server(("0.0.0.0", 0)) as server:

        def greet():
            while True:
                try:
                    talk, _ = server.accept()
                except OSError:
                    return
                with talk:
                    talk.sendall(b"hello")

        threading.Thread(target=greet, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def looked(host, job):
    """What a job saw of the network."""
    host.ml.ok("wait", str(job))
    return json.loads(host.ml.ok("logs", str(job)))


def test_only_where_it_is_asked_for_and_allowed(way, port):
    """No wish: loopback alone. A wish: refused before anything travels, by a worker with older settings too, else a bridge."""
    need("iptables")
    host = way("local-rootful", sandbox={"network": "none"})
    text = LOOK.replace("PORT", str(port))
    first = host.submit(text)
    before = host.blobs()
    script = host.script(text + "print('changed')", folder="other")
    done = host.ml.fails(2, "submit", "--network", str(script))
    assert (
        "error: network-not-allowed: this host gives no job a network (sandbox.network: none)" in done.stderr
    )
    assert str(host.base / "worker.yaml") in done.stderr
    assert host.blobs() == before
    assert looked(host, first) == {"links": ["lo"], "host": [], "loopback": "ConnectionRefusedError"}

    host.configure(sandbox={"network": "full"})
    older = host.submit(text, "--network", "--retries", "2")
    host.ml.fails(1, "wait", str(older))
    attempts = host.show(older)["job"]["attempts"]
    assert [attempt["outcome"]["error"] for attempt in attempts] == ["network-not-allowed"]
    assert attempts[0]["outcome"]["failure"] == "infrastructure"

    host.ml.ok("worker", "stop")
    plain, asked = host.submit(text), host.submit(text, "--network")
    assert looked(host, plain)["links"] == ["lo"]
    assert looked(host, asked) == {
        "links": ["eth0", "lo"],
        "host": ["hello"],
        "loopback": "ConnectionRefusedError",
    }
    shown = [host.show(job)["job"] for job in (plain, asked)]
    assert [job["network"] for job in shown] == [False, True]
    assert ["no-network" in job["attempts"][0]["enforced"] for job in shown] == [True, False]
    told = [line.split("  ", 1) for line in host.ml.ok("show", str(asked)).splitlines()]
    assert [row[1].strip() for row in told if row[0] == "asked for"] == ["a network"]
