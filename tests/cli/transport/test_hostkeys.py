"""Reading known_hosts files: what OpenSSH accepts is accepted, and nothing more."""

import base64
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetchml_cli.transport import hostkeys
from fetchml_cli.transport.hostkeys import Judgement, judge, matches, preferred


def blob_of(kind="ssh-ed25519", filling=b"a"):
    """A key blob as on the wire."""
    return len(kind).to_bytes(4, "big") + kind.encode() + filling * 32


def text_of(names, blob, marker=""):
    """A line of a known_hosts file."""
    return f"{marker} {names} {hostkeys.kind_of(blob)} {base64.b64encode(blob).decode()} comment\n".lstrip()


A, B = blob_of(filling=b"a"), blob_of(filling=b"b")


@pytest.fixture
def known(tmp_path):
    """Write lines to a file and read them."""

    def write(*lines):
        path = tmp_path / "known_hosts"
        path.write_text("".join(lines), "utf-8")
        return hostkeys.read([tmp_path / "missing", path])

    return write


@pytest.mark.parametrize(
    ("names", "name", "yes"),
    [
        ("box1", "box1", True),
        ("box1", "box11", False),
        ("BOX1", "box1", True),
        ("box2,box1", "box1", True),
        ("box?", "box1", True),
        ("*.lab", "box1.lab", True),
        ("*.lab,!box1.lab", "box1.lab", False),
        ("!box1.lab,*.lab", "box1.lab", False),
        ("[box1]:2222", "[box1]:2222", True),
        ("[box1]:2222", "b:2222", False),
        ("[box1]:*", "[box1]:2222", True),
        ("|1|broken", "box1", False),
        ("|1|AAAA|AAAA", "box1", False),
        ("|2|AAAA|AAAA", "box1", False),
    ],
)
def test_names(names, name, yes):
    """Patterns, lists, negation; brackets are part of a name."""
    assert matches(names, name) is yes


def test_hashed_by_openssh(tmp_path, known):
    """A file hashed by ssh-keygen -H is understood."""
    known(text_of("[box1]:2222", A))
    # ssh-keygen refuses keys that are none, so a real one is made
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True)
    kind, key = (tmp_path / "key.pub").read_text("ascii").split()[:2]
    (tmp_path / "known_hosts").write_text(f"[box1]:2222 {kind} {key}\n", "ascii")
    subprocess.run(["ssh-keygen", "-H", "-f", str(tmp_path / "known_hosts")], check=True, capture_output=True)
    keys = hostkeys.read([tmp_path / "known_hosts"])

    assert keys[0].names.startswith("|1|")
    assert judge(keys, "box1", 2222, base64.b64decode(key)).judgement is Judgement.KNOWN
    assert judge(keys, "box1", 22, base64.b64decode(key)).judgement is Judgement.UNKNOWN


def test_unreadable_lines_are_skipped(known):
    """One bad line does not hide the good ones."""
    keys = known("box1\n", "box1 ssh-ed25519 !!!\n", "\0\0\n", "box1 ssh-rsa " + base64.b64encode(A).decode() + "\n",
                 "@unknown " + text_of("box1", B), "# box1\n", "box1 1024 35 1234567890\n", text_of("box1", A))  # fmt: skip

    assert judge(keys, "box1", 22, A).judgement is Judgement.KNOWN
    assert judge(keys, "box1", 22, B).judgement is Judgement.CHANGED


@pytest.mark.parametrize(
    ("lines", "port", "judgement"),
    [
        ([], 22, Judgement.UNKNOWN),
        ([("box2", A, "")], 22, Judgement.UNKNOWN),
        ([("box1", A, "")], 22, Judgement.KNOWN),
        ([("box1", B, "")], 22, Judgement.CHANGED),
        ([("box1", B, ""), ("box1", A, "")], 22, Judgement.KNOWN),
        ([("box1", A, ""), ("box1", A, "@revoked")], 22, Judgement.REVOKED),
        ([("*", A, "@revoked"), ("box1", A, "")], 22, Judgement.REVOKED),
        ([("box1", B, "@revoked"), ("box1", A, "")], 22, Judgement.KNOWN),
        ([("*", B, "@cert-authority")], 22, Judgement.CERTIFICATE),
        ([("*", A, "@cert-authority")], 22, Judgement.CERTIFICATE),
        ([("*", B, "@cert-authority"), ("box1", A, "")], 22, Judgement.KNOWN),
        # another port of a host known by its plain name
        ([("box1", A, "")], 2222, Judgement.KNOWN),
        ([("box1", B, "")], 2222, Judgement.UNKNOWN),
        ([("box1", A, ""), ("[box1]:2222", B, "")], 2222, Judgement.CHANGED),
        ([("[box1]:2222", A, ""), ("box1", A, "@revoked")], 2222, Judgement.REVOKED),
        ([("[box1]:2222", A, "")], 22, Judgement.UNKNOWN),
    ],
)
def test_judgement(known, lines, port, judgement):
    """The table of what is known, and what it means for the key A."""
    assert judge(known(*(text_of(*line) for line in lines)), "box1", port, A).judgement is judgement


def test_preferred(known):
    """Known types come first, under the names they are negotiated by; the others follow in their order."""
    offered = ("ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256")
    rsa = known(text_of("box1", blob_of("ssh-rsa")))

    assert preferred(rsa, "box1", 22, offered) == (*offered[2:], *offered[:2])
    assert preferred(rsa, "box1", 2222, offered) == (*offered[2:], *offered[:2])
    assert preferred(rsa, "box2", 22, offered) == offered


def test_fingerprint(tmp_path):
    """Fingerprints look as OpenSSH prints them."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True)
    shown = subprocess.run(
        ["ssh-keygen", "-lf", str(tmp_path / "key.pub")], check=True, capture_output=True, text=True
    )
    blob = base64.b64decode((tmp_path / "key.pub").read_text("ascii").split()[1])

    assert hostkeys.fingerprint(blob) == shown.stdout.split()[1]


@given(st.text(max_size=200))
def test_total(text):
    """Any line gives a key or None, and any first field can be matched."""
    hostkeys.parse_line(text, None, 1)
    assert matches(text, "\0no such name\0") in {True, False}
