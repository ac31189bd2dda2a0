"""Installing a build on a host: whole or not at all, whatever interrupts it."""

import hashlib
import io
import json
import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from fetchml_cli.remote import bootstrap
from fetchml_cli.remote.bootstrap import Starting
from fetchml_cli.remote.pack import Pack
from fetchml_core.errors import HostError, UnreachableError
from tests.support.wait import poll_until

from .conftest import builds, make_pack, read_line, start

INSTALLER = Path(bootstrap.__file__).with_name("installer.py")


def big_pack(folder):
    """A pack whose archive takes many packets."""
    make_pack(folder)
    (folder / "tree1" / "noise.py").write_text(f"# {os.urandom(300_000).hex()}\n", "ascii")
    return Pack.of_folder(folder / "tree1")


def test_cut_in_the_middle(there, home, proxy, tmp_path):
    """all_or_nothing: a link that breaks during the upload leaves nothing; the next call uploads and works."""
    pack = big_pack(tmp_path)
    link = proxy(there.server.host, there.server.port)
    home.trust(there.server, link)
    stream = there.open(port=link.port)
    link.cut_after(up=100_000)
    with pytest.raises(UnreachableError):
        start(stream, pack)
    link.cut()

    assert builds(there) == []
    assert start(there.open(), pack).uploaded
    assert builds(there) == [pack.build()]


def test_two_at_once(host, tmp_path):
    """Two clients that upload the same build at the same time both get their agent, and one build is there."""
    pack = big_pack(tmp_path)
    gate = threading.Barrier(2)
    lines = []

    def work():
        stream = host.open()
        archive = pack.archive()

        def together():
            gate.wait(20)
            return archive

        start(stream, pack, base="base", archive=together, timeout=30)
        lines.append(read_line(stream))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(lines) == 2
    assert builds(host) == [pack.build()]


def rewritten(pack, change):
    """The pack's archive with its members changed: *change* gets name and content and yields new ones."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(pack.archive())) as old, zipfile.ZipFile(buffer, "w") as new:
        for info in old.infolist():
            for name, content in change(info.filename, old.read(info)):
                new.writestr(name, content)
    return buffer.getvalue()


def link_member(name):
    """A member that would become a symbolic link."""
    info = zipfile.ZipInfo(name)
    info.external_attr = 0o120777 << 16
    return info


TAMPERED = {
    "content": lambda name, content: [(name, content + b"#")],
    "more": lambda name, content: [(name, content), (name + ".extra", b"")],
    "less": lambda name, content: [(name, content)] if "main" not in name else [],
    "up": lambda name, content: [("../" + name, content)],
    "absolute": lambda name, content: [("/tmp/" + name, content)],
    "link": lambda name, content: [(link_member(name), b"/etc/passwd")],
    "twice": lambda name, content: (
        [(name, content), (name, content)] if "main" in name else [(name, content)]
    ),
    "backslash": lambda name, content: [(name.replace("/", "\\"), content)],
}


@pytest.mark.parametrize("how", TAMPERED)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_tampered_archive(here, pack, how):
    """An archive that is not exactly that build is refused, and nothing of it stays or lies outside."""
    before = set(here.home.parent.rglob("*"))
    data = rewritten(pack, TAMPERED[how])
    with pytest.raises(HostError) as caught:
        start(here.open(), pack, archive=lambda: data)

    assert caught.value.code in {"agent-archive-refused", "agent-not-installed"}
    new = {path.name for path in set(here.home.parent.rglob("*")) - before}
    assert new <= {"base", "agent", ".lock"}


def test_no_archive_at_all(here, pack):
    """Bytes that are no archive are refused."""
    with pytest.raises(HostError) as caught:
        start(here.open(), pack, archive=lambda: b"PK" * 50)
    assert caught.value.code == "agent-archive-refused"
    assert builds(here) == []


def test_flipped_on_the_way(here, pack, monkeypatch):
    """A checksum that does not fit is refused before anything is unpacked."""
    real = hashlib.sha256

    class Wrong:
        def __init__(self, data):
            self.data = data

        def hexdigest(self):
            return real(self.data + b"x").hexdigest()

    monkeypatch.setattr(bootstrap.hashlib, "sha256", Wrong)
    with pytest.raises(HostError) as caught:
        Starting(here.open(), base="base", build="0" * 16, timeout=15).finish(pack.archive)
    assert "checksum" in caught.value.message


def test_keeps_two(here, tmp_path):
    """The build just installed and the one used last before it stay; older ones go."""
    packs = [make_pack(tmp_path, version) for version in range(4)]
    for pack in packs[:3]:
        stream = here.open()
        start(stream, pack)
        stream.close()
        marker = here.home / "base" / "agent" / pack.build() / ".complete"
        os.utime(marker, (1e9 + packs.index(pack), 1e9 + packs.index(pack)))
    stream = here.open()
    start(stream, packs[0])  # used again: now the most recent but one
    stream.close()
    start(here.open(), packs[3])

    assert builds(here) == sorted([packs[0].build(), packs[3].build()])


def test_in_use_stays(here, tmp_path):
    """in_use_stays: a build with a living agent, or that a process names in its arguments, is not removed."""
    packs = [make_pack(tmp_path, version) for version in range(5)]
    running = here.open()
    start(running, packs[0])
    stream = here.open()
    start(stream, packs[1])
    stream.close()
    folder = here.home / "base" / "agent" / packs[1].build()
    worker = subprocess.Popen([sys.executable, "-c", "input()", str(folder)], stdin=subprocess.PIPE)
    try:
        for pack in packs[2:]:
            stream = here.open()
            start(stream, pack)
            stream.close()
        running.write(b"still here\n")
        read_line(running)
        assert read_line(running) == "still here\n"
        assert {packs[0].build(), packs[1].build(), packs[4].build()} <= set(builds(here))
        assert packs[2].build() not in builds(here)
    finally:
        worker.communicate(b"\n")


def test_compiled(here, pack):
    """Every module of the build is compiled, so that an agent starts without compiling anything."""
    start(here.open(), pack)
    folder = here.home / "base" / "agent" / pack.build()

    assert len(list(folder.rglob("*.pyc"))) == len(list(folder.rglob("*.py"))) == 3


def test_damaged_build_heals(here, pack):
    """A build that does not import is moved aside with an error, and the next call installs it anew."""
    start(here.open(), pack)
    main = here.home / "base" / "agent" / pack.build() / "fetchml_core" / "agent" / "main.py"
    for path in (main, *main.parent.rglob("main*.pyc")):
        path.write_bytes(b"\0torn")
    with pytest.raises(HostError) as caught:
        start(here.open(), pack)
    assert caught.value.code == "agent-damaged"

    assert start(here.open(), pack).uploaded
    assert start(here.open(), pack).uploaded is False


def test_half_a_build_is_not_used(here, pack):
    """A folder without its completeness marker counts as missing and is replaced."""
    start(here.open(), pack)
    folder = here.home / "base" / "agent" / pack.build()
    (folder / ".complete").unlink()
    (folder / "fetchml_core" / "agent" / "main.py").unlink()

    assert start(here.open(), pack).uploaded
    assert start(here.open(), pack).uploaded is False


def test_agent_that_does_not_start(here, tmp_path):
    """A build that cannot run on this host says why, again each time, and is not uploaded for ever."""
    pack = make_pack(tmp_path, agent="import no_such_module_here\n")
    with pytest.raises(HostError) as caught:
        start(here.open(), pack)

    assert caught.value.code == "agent-damaged"
    assert "no_such_module_here" in caught.value.context


def test_base_that_is_a_file(here, pack):
    """A base that cannot be made is named."""
    (here.home / "base").write_text("", "ascii")
    with pytest.raises(HostError) as caught:
        start(here.open(), pack)

    assert caught.value.code == "agent-not-installed"
    assert str(here.home / "base") in caught.value.context


def run_installer(pack, folder, *prefix):
    """Run the installer alone, as the loader would, perhaps below another program."""
    data = pack.archive()
    code = (
        f"import sys; exec(open({str(INSTALLER)!r}).read()); from pathlib import Path;"
        f"print(install(sys.stdin.buffer, Path({str(folder)!r}), lambda path: 1 if (path / '.complete').exists() else None, '.complete'))"
    )
    head = json.dumps({"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}).encode()
    return subprocess.run(
        [*prefix, sys.executable, "-c", code], input=head + b"\n" + data, capture_output=True, check=False
    )


def test_killed_at_any_moment(pack, tmp_path):
    """all_or_nothing: killed at each rename and each of many syncs, the build is whole or absent, and then installs."""
    from tests.support.require import need

    need("strace")
    for call, count in (("rename", 3), ("fsync", 12), ("mkdir", 4)):
        for number in range(1, count + 1):
            folder = tmp_path / f"{call}{number}" / pack.build()
            inject = f"inject={call}:signal=KILL:when={number}"
            run_installer(pack, folder, "strace", "-f", "-qq", "-o", "/dev/null", "-e", inject)
            if (folder / ".complete").exists():
                assert len(list(folder.rglob("*.pyc"))) == 3
            done = run_installer(pack, folder)
            assert done.returncode == 0, done.stderr
            assert sorted(path.name for path in folder.parent.iterdir()) == [".lock", pack.build()]


def test_disk_full(here, pack):
    """A full disk is an error of its own, leaves nothing behind, and the next call works when there is space."""
    from tests.support.require import need

    need("root")
    base = here.home / "base"
    base.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(base)], check=True)
    try:
        filler = base / "filler"
        filler.write_bytes(bytes(48 << 10))
        with pytest.raises(HostError) as caught:
            start(here.open(), pack)
        assert caught.value.code == "disk-full"
        assert builds(here) == []
        filler.unlink()
        stream = here.open()
        assert start(stream, pack).uploaded
        stream.close()
    finally:
        poll_until(
            lambda: subprocess.run(["umount", str(base)], capture_output=True, check=False).returncode == 0
        )
