"""A stranger's text is read by a terminal, never obeyed."""

import re
import tracemalloc
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fetchml_cli.output.safe import LogFilter, safe_text

SGR = re.compile(r"\x1b\[[0-9;:]{0,32}m")
# What attacks are made of, so that random text meets them often.
PIECES = st.sampled_from(
    [
        *(
            "\x1b",
            "\x1b[",
            "\x1b[31m",
            "\x1b[0m",
            "\x1b[2J",
            "\x1b[1A",
            "\x1b]0;title\x07",
            "\x1b]8;;http://x\x1b\\",
            "\x9b31m",
        ),
        *(
            "\r",
            "\r\n",
            "\n",
            "\t",
            "\b",
            "\x7f",
            "\x00",
            "\u202e",
            "\u2066",
            "\u200b",
            "\u2028",
            "é",
            "漢",
            "m",
            "[",
            "3",
        ),
    ]
)
NOISE = st.lists(st.one_of(PIECES.map(str.encode), st.binary(max_size=8)), max_size=30).map(b"".join)


def filtered(chunks, **settings) -> str:
    """The text a filter makes of *chunks*."""
    log = LogFilter(**settings)
    return "".join([*map(log.feed, chunks), log.close()])


def harmless(text: str, keep: str = "") -> bool:
    """Whether a terminal shows each character in *text*; *keep* are control characters that may be there."""
    hidden = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    return all(character in keep or unicodedata.category(character) not in hidden for character in text)


@given(st.text(st.characters()))
@example("\u202egnp.exe\u202c\u2066\u2069\u200b\ufeff\u00ad\u3164\U000e0041\U000e0100")
def test_safe_text_is_all_visible(text):
    """No control, format, surrogate or unassigned character is left, and no newline."""
    assert harmless(safe_text(text))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("train.py", "train.py"),
        ("Grüße 漢字 🚀 a b", "Grüße 漢字 🚀 a b"),
        ("a\x1b[31mb", r"a\x1b[31mb"),
        ("a\nb\tc\rd", r"a\nb\tc\rd"),
        ("\x9b2J\x7f\x00", r"\x9b2J\x7f\x00"),
        ("\u202ecod.exe", r"\u202ecod.exe"),
        ("a\u200bb\u2060c\ufeffd\u00ade", r"a\u200bb\u2060c\ufeffd\xade"),
        ("\udc80", r"\udc80"),
        ("\u3164\u2800\u115f", r"\u3164\u2800\u115f"),
        ("x\U000e0041\U000e0100", r"x\U000e0041\U000e0100"),
        ("\u2028", r"\u2028"),
    ],
)
def test_safe_text_shows_what_it_hides(text, shown):
    """Letters of all scripts stay; what would act or vanish is shown by its number."""
    assert safe_text(text) == shown


def test_safe_text_keeps_lines_where_they_are_wanted():
    """Text of several lines keeps newline and tab, and nothing else that moves."""
    assert safe_text("a\n\tb\rc", lines=True) == "a\n\tb\\rc"


@given(NOISE)
def test_only_colour_newline_tab_and_visible_text_pass(data):
    """Whatever a job prints, that is all that reaches a terminal."""
    text = filtered([data])

    assert harmless(SGR.sub("", text), keep="\n\t")


@given(NOISE, st.lists(st.integers(0, 60)))
@example(b"a\r\nb", [2])
@example(b"\x1b[31mred", [3])
@example("\u00e9".encode(), [1])
@example(b"a\r\r\rb", [2, 3])
def test_how_the_output_is_cut_changes_nothing(data, cuts):
    """Any split of the bytes gives the same text."""
    places = sorted({min(cut, len(data)) for cut in cuts})
    chunks = [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]

    assert filtered(chunks) == filtered([data])


@given(NOISE)
def test_bytewise_is_the_same_too(data):
    """One byte at a time gives the same text."""
    assert filtered([bytes([byte]) for byte in data]) == filtered([data])


@given(NOISE)
def test_colour_ends_with_the_log(data):
    """After the log the terminal has the colour it had before."""
    sequences = SGR.findall(filtered([data]))

    assert not sequences or not sequences[-1][2:-1].strip("0;:")


@given(NOISE)
def test_without_colour_no_escape_is_left(data):
    """With NO_COLOR the text is the same, without colour."""
    text = filtered([data], colour=False)

    assert "\x1b" not in text
    assert text == SGR.sub("", filtered([data]))


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"plain\n", "plain\n"),
        (b"\x1b[1;31merror\x1b[0m\n", "\x1b[1;31merror\x1b[0m\n"),
        (b"\x1b[38;5;9mred", "\x1b[38;5;9mred\x1b[0m"),
        (b"\x1b[2Jgone", "\\x1b[2Jgone"),
        (b"\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        (b"dos\r\nlines\r\n", "dos\nlines\n"),
        (b"\r  0%\r 50%\r100%\n", "  0%\n 50%\n100%\n"),
        (b"safe\rEVIL", "safe\nEVIL"),
        (b"ends\r", "ends\n"),
        (b"bad \xff\xc3(\n", "bad \ufffd\ufffd(\n"),
        (b"cut \xe2\x82", "cut \ufffd"),
        (b"cut \x1b[3", "cut \\x1b[3"),
        (b"\x1b[" + b"1;" * 17 + b"m", "\\x1b[" + "1;" * 17 + "m"),
        (b"C1 \xc2\x9b2J", "C1 \\x9b2J"),
    ],
)
def test_samples(data, shown):
    """The cases one meets: colour, progress bars, Windows lines, attacks, broken text."""
    assert filtered([data]) == shown


def test_memory_is_bounded():
    """However long a sequence is promised to be, almost nothing is held back; the characters seen are not kept for ever."""
    log = LogFilter()
    tracemalloc.start()
    for _ in range(200):
        log.feed(b"\x1b[" + b"1;" * 5000)
        log.feed(b"\r" * 10_000)
    for start in range(0x10000, 0x30000, 0x1000):
        log.feed("".join(map(chr, range(start, start + 0x1000))).encode())
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert kept < 3_000_000
