"""The list of files: one form, and no way in for a hostile one."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetchml_core.errors import InputError
from fetchml_core.snapshot.manifest import (
    HEADER,
    MAX_BYTES,
    MAX_ENTRIES,
    Entry,
    make_manifest,
    parse_manifest,
)
from tests.core.snapshot.trees import sha
from tests.support.effort import seconds_not_minutes

EMPTY = sha(b"")

parts = st.text("abcdé ü.-_~'\"$漢", min_size=1, max_size=6).filter(lambda part: part not in {".", ".."})
paths = st.lists(parts, min_size=1, max_size=4).map("/".join)


def line(path: str, *, digest: str = EMPTY, kind: str = "-", size: str = "0") -> str:
    """One line of a manifest."""
    return f"{digest} {kind} {size} {path}\n"


@contextlib.contextmanager
def only_refusals():
    """Let pass the one error that a manifest may give, and no other."""
    try:
        yield
    except InputError as error:
        if error.code != "manifest-refused":
            raise


def refused(data: bytes | str) -> InputError:
    """Parse *data*, which must be refused."""
    with pytest.raises(InputError) as caught:
        parse_manifest(data if isinstance(data, bytes) else data.encode())
    assert caught.value.code == "manifest-refused"
    return caught.value


@given(st.lists(st.tuples(paths, st.integers(0, 2**40), st.booleans()), max_size=8))
def test_round_trip(files):
    """What a manifest encodes to parses to the same manifest, or its names clash and it is refused."""
    entries = [Entry(path, size, x, sha(path.encode())) for path, size, x in files]
    with only_refusals():
        made = make_manifest(entries)

        assert parse_manifest(made.data) == made
        assert sorted(entries, key=lambda entry: entry.path) == list(made.entries)
        assert made.digest == sha(made.data)


@given(st.permutations([f"{folder}/{name}" for folder in "abc" for name in "xyz"]))
def test_order_does_not_matter(names):
    """Equal trees have equal ids, however they were walked."""
    assert make_manifest(Entry(n, 1, False, EMPTY) for n in names).digest == (
        make_manifest(Entry(n, 1, False, EMPTY) for n in sorted(names)).digest
    )


@given(
    st.binary(max_size=300)
    | st.text(max_size=300).map(lambda text: (HEADER + text + "\n").encode("utf-8", "replace"))
)
def test_total(data):
    """Any bytes give a manifest that encodes to them, or the one error."""
    with only_refusals():
        assert parse_manifest(data).data == data


@given(st.data())
def test_a_changed_byte_is_seen(data):
    """A manifest with one byte changed is refused or has another id."""
    whole = make_manifest([Entry("a/b", 3, True, sha(b"abc")), Entry("c", 0, False, EMPTY)])
    at = data.draw(st.integers(0, len(whole.data) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != whole.data[at]))
    with only_refusals():
        assert parse_manifest(whole.data[:at] + bytes([byte]) + whole.data[at + 1 :]).digest != whole.digest


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../x",
        "a/../x",
        "a/..",
        "..",
        ".",
        "./a",
        "a/./b",
        "a//b",
        "a/",
        "a\0b",
        "a\x1b[31mb",
        "a\rb",
        "a\x7f",
        "a\x85b",
        "a\u202egnp.exe",
        "a\u2028b",
        "\ufeffa",
        "a\\b",
        "e\u0301",
        "x" * 256,
        "é" * 128,
        "/".join(["x" * 200] * 21),
        "/".join("a" * 33),
    ],
)
def test_hostile_paths(path):
    """A path that leaves the tree, hides something or fits no file system is refused, whoever makes the manifest."""
    refused(HEADER + line(path))
    with pytest.raises(InputError):
        make_manifest([Entry(path, 0, False, EMPTY)])


def test_line_feed_in_a_name():
    """A line feed in a name does not become a second entry."""
    with pytest.raises(InputError):
        make_manifest([Entry(f"a\n{line('b').strip()}", 0, False, EMPTY)])


def test_bytes_that_are_not_utf8():
    """A name that is not UTF-8 is refused on both ends."""
    refused(HEADER.encode() + line("a").encode().replace(b" a", b" \xff"))
    with pytest.raises(InputError):
        make_manifest([Entry("\udcff", 0, False, EMPTY)])


@pytest.mark.parametrize(
    "path", ["x" * 255, "/".join("a" * 32), "a b", "ünï", "~x", "-rf", "$HOME", "..x", "x..", "'"]
)
def test_odd_but_harmless_paths(path):
    """Odd names that mean nothing to a file system may travel."""
    assert parse_manifest((HEADER + line(path)).encode()).entries[0].path == path


@pytest.mark.parametrize(
    "names",
    [
        ("README", "readme"),
        ("Straße", "straße"),
        ("A/x", "a/y"),
        ("a/B/x", "a/b/y"),
        ("a", "a/b"),
        ("A", "a/b"),
        ("a/b", "a"),
        ("a", "a"),
    ],
)
def test_clashes(names):
    """Names that are one on another system, or a file and a folder at once, are refused."""
    with pytest.raises(InputError) as caught:
        make_manifest(Entry(name, 0, False, EMPTY) for name in names)
    assert caught.value.code == "manifest-refused"


def test_folders_that_come_back_do_not_clash():
    """A folder met again after one that sorts between its files is still the same folder."""
    names = ["a-b/x", "a/b", "a.c/x", "a/c/d", "b/a/c", "b/a"]
    assert len(make_manifest(Entry(name, 0, False, EMPTY) for name in names[:-1]).entries) == 5


@pytest.mark.parametrize(
    "text",
    [
        line("a", size="-1"),
        line("a", size="00"),
        line("a", size="1e3"),
        line("a", size="²"),
        line("a", size=str(2**41)),
        line("a", size="9" * 4300),
        line("a", digest="0" * 63),
        line("a", digest="A" * 64),
        line("a", digest="g" * 64),
        line("a", kind="s"),
        line("a", kind=""),
        line("b") + line("a"),
        line("a", size="1") + line("b", size="2"),
        line("a") + "\n",
        "\n" + line("a"),
        line("a")[:-1],
        line("a").replace(" ", "  ", 1),
    ],
)
def test_hostile_lines(text):
    """Sizes, digests, kinds and orders other than the one form are refused."""
    refused(HEADER + text)


@pytest.mark.parametrize("data", [b"", b"\n", b"fetchml-manifest 2\n", b"fetchml-manifest 1", b"{}"])
def test_not_a_manifest(data):
    """What is something else, newer or cut is refused."""
    refused(data)


def test_error_names_the_entry_without_its_escapes():
    """The error shows which name is at fault, in characters that do nothing to a terminal."""
    error = refused(HEADER + line("ok") + line("x\x1b]0;gotcha\x07"))
    assert "x\\x1b]0;gotcha\\x07" in error.context
    assert str(error).isprintable() or "\x1b" not in str(error)


HOSTILE = {
    "a million lines": lambda: "".join(line(f"{n:07}") for n in range(10**6)),
    "line feeds": lambda: "\n" * (MAX_BYTES - 100),
    "one line": lambda: "x" * (MAX_BYTES - 100),
    "long names": lambda: "".join(line(f"{n:06}" + "x" * 80) for n in range(MAX_ENTRIES)),
    "deep": lambda: "".join(line(f"{n:06}/" + "a/" * 30 + "b") for n in range(MAX_ENTRIES)),
    "marks": lambda: "".join(line(f"{n:06}" + "\u1dce\u0316" + "\u0300" * 40) for n in range(MAX_ENTRIES)),
    "jamo": lambda: "".join(line(f"{n:06}" + "\u1160" * 28) for n in range(MAX_ENTRIES)),
    "too long": lambda: "x" * (64 << 20),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_bounded(kind):
    """The worst input costs about as much as the largest good one: seconds of a core, never minutes."""
    text = HEADER + HOSTILE[kind]()
    data = (text if text.endswith("\n") else text + "\n").encode()
    with seconds_not_minutes(), only_refusals():
        parse_manifest(data)


def test_blobs_are_listed_once():
    """A content that stands in the tree twice travels once."""
    made = make_manifest([Entry("a", 1, False, sha(b"x")), Entry("b", 1, True, sha(b"x"))])
    assert made.blobs() == {sha(b"x"): 1}
    assert made.total_bytes == 2
