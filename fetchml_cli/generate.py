"""Write the files that are made from the program itself, or say which of them are not up to date.

    python -m fetchml_cli.generate man [FOLDER]      writes man/*.1
    python -m fetchml_cli.generate check [FOLDER]    changes nothing; exits 1 and names what differs

Layer 8. For those who change the program; a test runs the check.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fetchml_cli.manual import pages

FOLDER = Path(__file__).resolve().parent.parent / "man"
AGAIN = "python -m fetchml_cli.generate man"


def main(arguments: list[str] | None = None) -> int:
    """Run the program; return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m fetchml_cli.generate", description="Make generated files."
    )
    parser.add_argument("what", choices=("man", "check"))
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER)
    options = parser.parse_args(arguments)
    if options.what == "man":
        write(options.folder)
        return 0
    wrong = outdated(options.folder)
    for name in wrong:
        sys.stderr.write(f"not up to date: {options.folder / name}\n")
    if wrong:
        sys.stderr.write(f"type: {AGAIN}\n")
    return 1 if wrong else 0


def write(folder: Path) -> None:
    """Write all pages into *folder* and remove those of commands that are gone."""
    made = pages()
    folder.mkdir(exist_ok=True)
    for path in folder.glob("*.1"):
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        (folder / name).write_text(text, encoding="ascii")


def outdated(folder: Path) -> list[str]:
    """Return the names of files in *folder* that `write` would change, make or remove."""
    made = {name: text.encode("ascii") for name, text in pages().items()}
    there = {path.name: path.read_bytes() for path in folder.glob("*.1")}
    return sorted(name for name in made.keys() | there.keys() if made.get(name) != there.get(name))


if __name__ == "__main__":
    sys.exit(main())
