"""Manual pages of section 5, and what they share with the schemas and the reference: made, and up to date."""

from __future__ import annotations

from fetchml_cli import generate, manual_files
from fetchml_core.config.environment import VARIABLES
from fetchml_core.config.kinds import all_kinds
from fetchml_core.config.reference import NOT_ACTIVE, parts_of


def plain(text):
    """A page without the escapes of roff, on one line."""
    for escape, sign in (
        ("\\-", "-"),
        ("\\(ti", "~"),
        ("\\(ga", "`"),
        ("\\(ha", "^"),
        ("\\e", "\\"),
        ("\\&", ""),
    ):
        text = text.replace(escape, sign)
    return " ".join(text.split())


def test_every_kind_of_file_has_its_files():
    """A page and a schema for each kind, and one reference."""
    made = generate.made()

    assert set(manual_files.pages()) == {"fetchml-api.5", "fetchml-worker.5", "ml-profile.5"}
    assert {f"configs/schema/{kind.name}.json" for kind in all_kinds()} <= made.keys()
    assert "docs/configuration-reference.md" in made


def test_a_page_tells_every_option():
    """Each option with its meaning, and what is not active yet is marked."""
    for kind in all_kinds():
        text = plain(manual_files.pages()[f"{manual_files.NAMES[kind.name]}.5"])
        for part in parts_of(kind):
            for one in part.entries:
                told = manual_files.tell(one)

                assert f".B {one.key} {told}" in text
                assert one.help in told
                assert told.endswith("Not active yet.") == (one.read_by == NOT_ACTIVE and not one.deprecated)


def test_a_page_tells_the_variables_of_its_side():
    """CLI_CONFIG is told with the profile, the others with the files of the host."""
    pages = {name: plain(text) for name, text in manual_files.pages().items()}
    for one in VARIABLES:
        for name, text in pages.items():
            assert (f".B {one.name}" in text) == ((one.side == "your machine") == (name == "ml-profile.5"))


def test_pages_are_ascii():
    """The formatter without a preprocessor reads nothing else."""
    for name, text in generate.made().items():
        if name.startswith("man/"):
            assert text.isascii(), name
