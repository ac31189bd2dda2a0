"""Links that break: in the middle of an upload, before an answer, in the middle of a download."""

from __future__ import annotations

import os

import pytest

from tests.e2e.said import PROCESS, script

MIB = 1 << 20


@pytest.fixture
def host(sshd, home, proxy):
    """A host behind a link that a test can cut; its jobs run as processes."""
    server = sshd()
    way = proxy(server.host, server.port)
    base = server.home / "base"
    base.mkdir(mode=0o700)
    (base / "worker.yaml").write_text(PROCESS, "utf-8")
    home.connect(server, str(base), through=way)
    home.connect(server, str(base), name="direct")
    home.connect(server, str(base), through=way)
    return server, way, base


def big_tree(ml) -> int:
    """A tree of 8 MiB in 64 random files, which no compression makes small; returns their bytes."""
    folder = script(ml, "print('done')\n").parent
    for number in range(64):
        (folder / f"data-{number}").write_bytes(os.urandom(MIB // 8))
    return 8 * MIB


def stored(base) -> int:
    """Bytes of the blobs that the host has kept."""
    return sum(path.stat().st_size for path in (base / "data" / "blobs").rglob("*") if len(path.name) == 64)


def test_upload_is_cut(ml, host):
    """A link that breaks in the middle of an upload: 6, nothing queued; submit again sends only the rest."""
    _, way, base = host
    ml.ok("status")  # the agent is there: what travels from here on is the tree
    size = big_tree(ml)
    way.cut_after(up=6 * MIB)

    done = ml.fails(6, "submit", "job")
    lines = done.stderr.splitlines()
    assert lines[0].startswith("error: connection-lost: the connection to ")
    assert lines[-1] == "  hint     run the same command again"
    assert len(lines) <= 3
    assert ml.json("status", "-a", "--profile", "direct")["jobs"] == []

    before, kept = way.up, stored(base)
    assert kept > MIB
    ml.fails(0, "submit", "job", "--wait")
    assert way.up - before < size - kept + 200_000, "what had arrived whole did not travel again"
    assert [job["id"] for job in ml.json("status", "-a")["jobs"]] == [1]
    assert not list((base / "data" / "blobs" / "staging").iterdir())


def test_answer_is_cut(ml, host):
    """A link that breaks around the answer: whoever was told of no job submits again and gets that one, never two."""
    _, way, _ = host
    script(ml, "print('done')\n")
    ml.ok("submit", "job")  # agent and tree are there: all that follows is small
    start = way.down
    ml.ok("submit", "job")
    whole = way.down - start
    made = 2
    for missing in (1500, 900, 500, 100):
        way.cut_after(down=whole - missing)
        first = ml.run("submit", "job", "--quiet")
        way.cut_after()
        assert first.returncode in {0, 6}, first.stderr
        second = ml.ok("submit", "job", "--quiet")
        assert second != first.stdout
        made += 2 if first.returncode == 0 else 1

    assert len(ml.json("status", "-a", "--profile", "direct")["jobs"]) == made


def test_pull_is_cut(ml, host):
    """A download that broke goes on at the byte where it stopped, and the file is right."""
    _, way, _ = host
    script(
        ml,
        """
        import os, random
        random.seed(1)
        with open(os.environ["FETCHML_RESULTS"] + "/model.bin", "wb") as file:
            for _ in range(40):
                file.write(random.randbytes(100_000))
        """,
    )
    ml.fails(0, "submit", "job", "--wait")
    way.cut_after(down=int(2.5 * MIB))

    done = ml.fails(6, "pull", "1", "out")
    assert done.stderr.splitlines()[-1] == "  hint     run the same command again"
    (part,) = (ml.cwd / "out" / ".ml-parts").iterdir()
    had = part.stat().st_size
    assert had > 100_000
    assert not (ml.cwd / "out" / "model.bin").exists(), "a file with its own name is whole"

    before = way.down
    ml.fails(0, "pull", "1", "out")
    assert way.down - before < 4_000_000 - had + 200_000, "it went on where it stopped"
    import random

    random.seed(1)
    assert (ml.cwd / "out" / "model.bin").read_bytes() == b"".join(
        random.randbytes(100_000) for _ in range(40)
    )
    assert not part.parent.exists()


def test_follow_is_cut(ml, host):
    """A link that breaks while a job is followed: it is dialled again, and no byte is lost or shown twice."""
    _, way, _ = host
    script(
        ml,
        """
        import time
        for number in range(30):
            print("line", number)
            time.sleep(0.1)
        """,
    )
    process = ml.start("submit", "job", "-f")
    for line in process.stdout:
        if line == "line 5\n":
            break
    way.cut()
    rest, talk = process.communicate(timeout=60)

    assert process.returncode == 0, talk
    assert rest == "".join(f"line {number}\n" for number in range(6, 30))
    assert "the job goes on, connecting again in 1 s" in talk
