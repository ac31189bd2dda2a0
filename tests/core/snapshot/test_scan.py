"""A tree becomes a manifest: what travels, what is refused by name, what is not read twice."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from fetchml_core.errors import InputError
from fetchml_core.jobs.job import Git
from fetchml_core.snapshot import scan as scan_module
from fetchml_core.snapshot.git import read_git
from fetchml_core.snapshot.scan import hash_file, scan
from fetchml_core.snapshot.transfer import FileChanged
from fetchml_core.snapshot.walk import Found
from tests.core.snapshot.trees import NOW, sha, write_tree
from tests.support.require import need


def refusal(root, **options):
    """The error that reading *root* gives."""
    with pytest.raises(InputError) as caught:
        scan(root, now=NOW, **options)
    return caught.value


def sparse(path, size):
    """A file of *size* bytes that takes no room."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(size)


def test_manifest_of_a_tree(tmp_path):
    """Content, size and the executable bit travel; other bits, times and empty folders do not."""
    write_tree(tmp_path, {"b/x.sh": "run", "a.py": "code", "same.py": "code"})
    (tmp_path / "b/x.sh").chmod(0o4711)
    (tmp_path / "empty").mkdir()

    read = scan(tmp_path, now=NOW)
    seen = [(e.path, e.size, e.executable, e.digest) for e in read.manifest.entries]
    assert seen == [
        ("a.py", 4, False, sha(b"code")),
        ("b/x.sh", 3, True, sha(b"run")),
        ("same.py", 4, False, sha(b"code")),
    ]
    assert {digest: path.read_bytes() for digest, path in read.files.items()} == {
        sha(b"code"): b"code",
        sha(b"run"): b"run",
    }
    assert (read.total_bytes, read.ignored, read.git) == (11, 0, None)
    assert read.biggest[0] in {("a.py", 4), ("same.py", 4)}


def test_links_travel_as_content(tmp_path):
    """Links to files and folders of the tree become what they point to, also through each other."""
    write_tree(tmp_path, {"data/x": "1", "data/y": "2"})
    (tmp_path / "file").symlink_to("data/x")
    (tmp_path / "folder").symlink_to(tmp_path / "data")
    (tmp_path / "again").symlink_to("folder/y")

    read = scan(tmp_path, now=NOW)
    assert [entry.path for entry in read.manifest.entries] == [
        "again",
        "data/x",
        "data/y",
        "file",
        "folder/x",
        "folder/y",
    ]


@pytest.mark.parametrize(
    ("link", "target", "code"),
    [
        ("out", "/etc/passwd", "link-leaves-tree"),
        ("out", "..", "link-leaves-tree"),
        ("sub/out", "../../elsewhere", "link-leaves-tree"),
        ("gone", "nothing", "link-dangles"),
        ("sub/up", "..", "link-loop"),
        ("sub/self", ".", "link-loop"),
        ("me", "me", "special-file"),
    ],
)
def test_links_that_cannot_travel(tmp_path, link, target, code):
    """A link that leaves the tree, leads nowhere or back to itself is refused by its name."""
    root = write_tree(tmp_path / "root", {"sub/a": ""})
    write_tree(tmp_path / "root-2", {"secret": ""})
    (root / link).symlink_to(target)

    error = refusal(root)
    assert error.code == code
    assert link in error.context
    assert ".mlignore" in error.hint


def test_a_folder_beside_the_tree_is_outside(tmp_path):
    """A folder whose path only starts like the tree's is not in it."""
    write_tree(tmp_path / "root-2", {"secret": ""})
    root = write_tree(tmp_path / "root", {"a": ""})
    (root / "l").symlink_to("../root-2/secret")

    assert refusal(root).code == "link-leaves-tree"


def test_links_in_two_folders_to_each_other(tmp_path):
    """Folder links that lead into each other end, with an error."""
    write_tree(tmp_path, {"a/x": "", "b/y": ""})
    (tmp_path / "a/b").symlink_to("../b")
    (tmp_path / "b/a").symlink_to("../a")

    assert refusal(tmp_path).code == "link-loop"


@pytest.mark.parametrize("kind", ["fifo", "socket"])
def test_special_files(tmp_path, kind, monkeypatch):
    """FIFOs and sockets are refused by name, and nothing waits for them."""
    monkeypatch.chdir(tmp_path)  # the name of a socket must be short
    if kind == "fifo":
        os.mkfifo("pipe")
    else:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("pipe")

    error = refusal(tmp_path)
    assert (error.code, error.context) == ("special-file", "pipe")


@pytest.mark.parametrize(
    "name", [b"bad\xff", b"new\nline", b"esc\x1b[2J", b"back\\slash", "e\u0301".encode()]
)
def test_names_that_cannot_travel(tmp_path, name):
    """A name that another system could not hold, or that attacks a terminal, is refused, harmlessly shown."""
    (tmp_path / os.fsdecode(name)).write_bytes(b"")

    error = refusal(tmp_path)
    assert error.code == "name-refused"
    assert "\x1b" not in str(error)
    assert str(error).encode()


def test_names_that_differ_by_case(tmp_path):
    """Two names that are one on another system are refused."""
    write_tree(tmp_path, {"Data/x": "", "data/y": ""})

    assert "data/y" in refusal(tmp_path).context


def test_too_deep(tmp_path):
    """A tree deeper than a snapshot may be is refused by name."""
    write_tree(tmp_path, {"/".join("d" * 33): ""})

    assert refusal(tmp_path).code == "name-refused"


def test_nothing_to_send(tmp_path):
    """An empty folder, and one whose files are all ignored, are refused."""
    assert refusal(tmp_path).code == "empty-folder"
    write_tree(tmp_path, {".gitignore": "*"})
    error = refusal(tmp_path)
    assert (error.code, "ignored" in error.message) == ("empty-folder", True)


def test_large_file_is_named(tmp_path):
    """A 3 GB file is refused by its name before a byte of it is read."""
    write_tree(tmp_path, {"train.py": ""})
    sparse(tmp_path / "data/model.bin", 3 << 30)

    error = refusal(tmp_path)
    assert error.code == "tree-too-large"
    assert "data/model.bin (3.0 GiB)" in error.context
    assert "--allow-large" in error.hint


def test_large_folders_are_named(tmp_path):
    """A tree of more than 1 GiB is refused with its biggest folders; --allow-large takes it."""
    for name in ("big/a", "big/b", "small/c"):
        sparse(tmp_path / name, 400 << 20)

    assert refusal(tmp_path).context.startswith("biggest: big/ (800.0 MiB, 2 files), small/")


def test_many_files(tmp_path, monkeypatch):
    """Too many files are refused with the folders that hold them; --allow-large takes them."""
    monkeypatch.setattr(scan_module, "MAX_FILES", 20)
    write_tree(tmp_path, {f"frames/{n}": "" for n in range(20)} | {"a": ""})

    error = refusal(tmp_path)
    assert (error.code, "frames/ (0 B, 20 files)" in error.context) == ("tree-too-large", True)
    assert len(scan(tmp_path, now=NOW, allow_large=True).manifest.entries) == 21


def test_script_must_travel(tmp_path):
    """A script that is ignored is an error now, not on the host."""
    write_tree(tmp_path, {".gitignore": "train.py", "a": "", "train.py": ""})

    assert refusal(tmp_path, needed="train.py").code == "script-ignored"
    assert scan(tmp_path, now=NOW, needed="a").manifest.entries


def test_only_one_file(tmp_path):
    """With only, nothing else of the folder is read, not even what could not travel."""
    write_tree(tmp_path, {"train.py": "x"})
    os.mkfifo(tmp_path / "pipe")

    assert [e.path for e in scan(tmp_path, now=NOW, only="train.py").manifest.entries] == ["train.py"]


AS_NOBODY = """
import os, sys
from pathlib import Path
from fetchml_core.errors import InputError
from fetchml_core.snapshot.scan import scan
os.setuid(65534)
try:
    scan(Path(sys.argv[1]), now=2e9)
except InputError as error:
    print(error.code, error.context)
"""


@pytest.mark.parametrize("name", ["secret", "closed"])
def test_unreadable(name):
    """A file or folder that cannot be read is refused by name."""
    need("root")
    with tempfile.TemporaryDirectory() as folder:
        root = write_tree(Path(folder), {"closed/a": "x"} if name == "closed" else {"secret": "x"})
        root.chmod(0o755)
        (root / name).chmod(0)
        command = [sys.executable, "-c", AS_NOBODY, folder]
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)

    assert done.stdout == f"unreadable {name}\n"


def test_file_that_vanishes(tmp_path):
    """A file that is gone when it is to be hashed is an error that names it."""
    write_tree(tmp_path, {"a": "x"})
    found = Found("a", str(tmp_path / "a"), (tmp_path / "a").stat())
    (tmp_path / "a").unlink()
    with pytest.raises(FileChanged):
        hash_file(found)


def test_file_without_end():
    """A file that gives more than its size says is refused, not read for ever."""
    with pytest.raises(FileChanged):
        hash_file(Found("a", "/proc/self/status", Path("/proc/self/status").stat()))


def test_progress(tmp_path):
    """Progress ends at the number of bytes in all."""
    write_tree(tmp_path, {"a": b"x" * 10, "b": b"y" * (2 << 20)})
    calls = []
    scan(tmp_path, now=NOW, progress=lambda done, total: calls.append((done, total)))

    assert calls[-1] == ((2 << 20) + 10, (2 << 20) + 10)
    assert calls == sorted(calls)


def test_git(tmp_path):
    """Commit, branch and whether the tree differs are recorded; a folder outside git has none."""
    need("git")
    root = write_tree(tmp_path / "r", {"a": "1", "sub/b": "2"})

    def git(*arguments):
        options = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", "-C", str(root), *options, *arguments], check=True, capture_output=True)
        return done.stdout.decode().strip()

    assert read_git(tmp_path) is None
    git("init", "-q", "-b", "topic")
    assert read_git(root) == Git("", "topic", dirty=True)
    git("add", ".")
    git("commit", "-q", "-m", "x")
    commit = git("rev-parse", "HEAD")
    assert scan(root, now=NOW).git == Git(commit, "topic", dirty=False)
    (root / "new").write_text("")
    assert read_git(root) == Git(commit, "topic", dirty=True)
    assert read_git(root / "sub") == Git(commit, "topic", dirty=False)
    git("checkout", "-q", "--detach")
    assert read_git(root) == Git(commit, "", dirty=True)


def test_not_really_git(tmp_path):
    """A .git that is none is no error."""
    write_tree(tmp_path, {".git/HEAD": "x", "a": ""})
    assert scan(tmp_path, now=NOW).git is None
