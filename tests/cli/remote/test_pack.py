"""The archive for a host: complete, pure Python, the same bytes for the same sources, and named by them."""

import io
import os
import subprocess
import zipfile

import pytest

from fetchml_cli.remote.pack import Pack
from fetchml_core.errors import BugError

from .conftest import make_pack


def test_members():
    """The core, its data files and its libraries; nothing compiled, no caches."""
    names = [member.name for member in Pack.of().members]

    assert {"fetchml_core/__init__.py", "attr/__init__.py", "attrs/__init__.py", "cattrs/__init__.py"} <= set(
        names
    )
    assert {"yaml/__init__.py", "durationpy/__init__.py", "typing_extensions.py", "tomli/__init__.py"} <= set(
        names
    )
    assert names == sorted(names)
    assert not [name for name in names if "__pycache__" in name or name.endswith((".so", ".pyc", ".pyi"))]


def test_size():
    """An upload stays small."""
    assert len(Pack.of().archive()) < 5 << 18


def test_same_sources_same_bytes(tmp_path):
    """Two folders with the same files, of different dates, give the same archive and the same name."""
    one, two = make_pack(tmp_path / "a"), make_pack(tmp_path / "b")
    for member in two.members:
        os.utime(member.path, (1, 1))

    assert one.archive() == two.archive()
    assert one.build() == two.build()


def test_other_sources_other_name(tmp_path):
    """Any change of content gives another name, which is fit for a folder."""
    one, two = make_pack(tmp_path, 1), make_pack(tmp_path, 2)

    assert one.build() != two.build()
    assert len(one.build()) == 16
    assert int(one.build(), 16) >= 0


def test_cache(tmp_path):
    """The name is remembered, and found anew when a file changes."""
    pack, cache = make_pack(tmp_path), tmp_path / "cache"
    first = pack.build(cache)
    assert (pack.build(cache), pack.build()) == (first, first)
    member = pack.members[-1].path
    member.write_text(member.read_text("utf-8") + "# more\n", "utf-8")

    assert pack.build(cache) == pack.build() != first


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"stamp": 1}', b"\xff"])
def test_damaged_cache(tmp_path, content):
    """A damaged cache is written again, never trusted."""
    pack, cache = make_pack(tmp_path), tmp_path / "cache"
    pack.build(cache)
    (cache / "build.json").write_bytes(content)

    assert pack.build(cache) == pack.build()
    assert b"stamp" in (cache / "build.json").read_bytes()


def test_cache_that_cannot_be_written(tmp_path):
    """A cache folder that cannot be made is no error."""
    (tmp_path / "file").write_text("", "utf-8")
    pack = make_pack(tmp_path)

    assert pack.build(tmp_path / "file" / "cache") == pack.build()


def test_links_travel_as_content(tmp_path):
    """A data file that is a link in the checkout is a file in the archive."""
    pack = make_pack(tmp_path)
    data = next(member.path for member in pack.members if member.name.endswith("data.json"))
    data.rename(tmp_path / "elsewhere.json")
    data.symlink_to(tmp_path / "elsewhere.json")
    with zipfile.ZipFile(io.BytesIO(Pack.of_folder(data.parents[2]).archive())) as archive:
        assert archive.read("fetchml_core/agent/data.json") == b"{}"


def test_missing_package():
    """An incomplete installation is our mistake, and named."""
    with pytest.raises(BugError) as caught:
        Pack.of(["no_such_package"])
    assert "no_such_package" in caught.value.message


def test_runs_on_the_oldest_python(tmp_path):
    """Unpacked, all libraries import on Python 3.10 with nothing else installed, and Redis can be asked."""
    from tests.support.require import find_python, need

    need("python3.10")
    with zipfile.ZipFile(io.BytesIO(Pack.of().archive())) as archive:
        archive.extractall(tmp_path)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import attr, attrs, cattrs, yaml, tomli, durationpy, fetchml_core.wire.session, fetchml_core.queue.redis_link as link; link.Link('rediss://localhost:1', patience=0.1).run('return 1')"
    done = subprocess.run(
        [find_python("3.10"), "-E", "-s", "-S", "-c", code], capture_output=True, text=True, check=False
    )

    assert "queue-unreachable: " in done.stderr, done.stderr
