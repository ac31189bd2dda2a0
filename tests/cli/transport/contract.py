"""What every transport promises; a transport's own test file hands it a way to start a program."""

import hashlib
import threading

import pytest

from fetchml_core.errors import UnreachableError
from tests.support.wait import poll_until

ECHO = """
import sys
while data := sys.stdin.buffer.read1(65536):
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
"""
BIG = 10 << 20


def read_all(stream, size):
    """Read exactly *size* bytes, or what there is before the end."""
    parts, missing = [], size
    while missing and (data := stream.read(missing)):
        parts.append(data)
        missing -= len(data)
    return b"".join(parts)


class ByteStreamContract:
    """Subclasses give a fixture ``start``: a function from a Python program to a running stream."""

    def test_both_ways_at_once(self, start):
        """10 MB go out while 10 MB come back, through a program that echoes, without a deadlock."""
        stream = start(ECHO)
        sent = bytes(range(256)) * (BIG // 256)
        writer = threading.Thread(target=stream.write, args=(sent,))
        writer.start()
        got = read_all(stream, BIG)
        writer.join(20)

        assert hashlib.sha256(got).digest() == hashlib.sha256(sent).digest()

    def test_half_reads(self, start):
        """A read returns at most what was asked for, and the rest is there for the next one."""
        stream = start("import sys; sys.stdout.buffer.write(b'abcdef'); sys.stdout.flush(); sys.stdin.read()")

        assert [read_all(stream, 2), read_all(stream, 3), stream.read(100)] == [b"ab", b"cde", b"f"]

    def test_exit_is_the_end(self, start):
        """When the program ends its output is read to the end, then b"" for ever."""
        stream = start("print('last', end='')")

        assert read_all(stream, 100) == b"last"
        assert stream.read(1) == b""
        assert stream.read(1) == b""

    def test_write_after_exit(self, start):
        """Writing to a program that is gone raises connection-lost."""
        stream = start("raise SystemExit(3)")
        assert stream.read(1) == b""

        with pytest.raises(UnreachableError) as caught:
            stream.write(bytes(64 << 20))
        assert caught.value.code == "connection-lost"

    def test_close_wakes_a_reader(self, start):
        """A read that waits in another thread returns b"" when the stream is closed."""
        stream = start(ECHO)
        got = []
        reader = threading.Thread(target=lambda: got.append(stream.read(10)))
        reader.start()
        stream.write(b"")
        stream.close()
        reader.join(10)

        assert got == [b""]

    def test_close_wakes_a_writer(self, start):
        """A write that waits because nobody reads ends with connection-lost when the stream is closed."""
        stream = start("import time; time.sleep(60)")
        caught = []

        def write():
            try:
                stream.write(bytes(64 << 20))
            except UnreachableError as error:
                caught.append(error.code)

        writer = threading.Thread(target=write)
        writer.start()
        writer.join(0.5)
        assert writer.is_alive()
        stream.close()
        writer.join(10)

        assert caught == ["connection-lost"]

    def test_close_again(self, start):
        """Closing is idempotent; a closed stream reads b"" and refuses to write."""
        stream = start(ECHO)
        stream.close()
        stream.close()

        assert stream.read(1) == b""
        with pytest.raises(UnreachableError):
            stream.write(b"x")

    def test_close_ends_the_input(self, start, tmp_path):
        """The program sees the end of its input when the stream is closed, and may finish what it does."""
        note = tmp_path / "note"
        stream = start(
            f"import sys; print('up', flush=True); sys.stdin.read(); open({str(note)!r}, 'w').write('done')"
        )
        assert read_all(stream, 3) == b"up\n"
        stream.close()
        poll_until(lambda: note.exists() and note.read_text("ascii") == "done")

    def test_stderr_is_apart(self, start):
        """Standard error stays out of the stream, however much there is, and its last lines can be had, made safe."""
        stream = start(
            "import sys\n"
            "for n in range(60000): print('noise', n, file=sys.stderr)\n"
            "print('\\033]0;evil\\007', file=sys.stderr)\n"
            "print('sorry', file=sys.stderr, flush=True)\n"
            "print('data', end='')\n"
        )

        assert read_all(stream, 100) == b"data"
        poll_until(lambda: stream.last_words().endswith("sorry"))
        assert "\033" not in stream.last_words()
        assert len(stream.last_words()) < 1000

    def test_facts(self, start):
        """The stream says how it got there: transport, host, and timings in milliseconds."""
        facts = start(ECHO).facts

        assert {"transport", "host"} <= facts.keys()
        assert all(float(value) >= 0 for name, value in facts.items() if name.endswith("_ms"))
