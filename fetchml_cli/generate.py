"""Write the files that are made from the program itself, or say which of them are not up to date.

    python -m fetchml_cli.generate all [ROOT]      writes them
    python -m fetchml_cli.generate check [ROOT]    changes nothing; exits 1 and names what differs

    man/man1/*.1                       commands and programs            fetchml_cli.manual
    man/man5/*.5                       configuration files              fetchml_cli.manual_files
    configs/schema/*.json              JSON Schemas, for editors        fetchml_core.config.json_schema
    docs/configuration-reference.md    every option and variable        fetchml_core.config.reference

Layer 8. For those who change the program; a test runs the check.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fetchml_cli import manual, manual_files
from fetchml_cli.roff import AGAIN
from fetchml_core.config.json_schema import schema_text
from fetchml_core.config.kinds import all_kinds
from fetchml_core.config.reference import reference_page

ROOT = Path(__file__).resolve().parent.parent
#: Folders, with the names in them, that hold nothing else: what is made no longer is removed from them.
OWN = (("man/man1", "*.1"), ("man/man5", "*.5"), ("configs/schema", "*.json"))


def main(arguments: list[str] | None = None) -> int:
    """Run the program; return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m fetchml_cli.generate", description="Make generated files."
    )
    parser.add_argument("what", choices=("all", "check"))
    parser.add_argument("root", type=Path, nargs="?", default=ROOT)
    options = parser.parse_args(arguments)
    if options.what == "all":
        write(options.root)
        return 0
    wrong = outdated(options.root)
    for name in wrong:
        sys.stderr.write(f"not up to date: {options.root / name}\n")
    if wrong:
        sys.stderr.write(f"type: {AGAIN}\n")
    return 1 if wrong else 0


def made() -> dict[str, str]:
    """Return every file that is made: name below the root -> text."""
    files = {f"man/man1/{name}": text for name, text in manual.pages().items()}
    files |= {f"man/man5/{name}": text for name, text in manual_files.pages().items()}
    files |= {f"configs/schema/{kind.name}.json": schema_text(kind) for kind in all_kinds()}
    return files | {"docs/configuration-reference.md": reference_page()}


def write(root: Path) -> None:
    """Write all files below *root* and remove those that are made no longer."""
    files = made()
    for name in _there(root) - files.keys():
        (root / name).unlink()
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def outdated(root: Path) -> list[str]:
    """Return the names of files below *root* that `write` would change, make or remove."""
    files = made()
    wrong = _there(root) - files.keys()
    wrong |= {name for name, text in files.items() if not _same(root / name, text)}
    return sorted(wrong)


def _there(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for folder, names in OWN for path in (root / folder).glob(names)}


def _same(path: Path, text: str) -> bool:
    return path.is_file() and path.read_bytes() == text.encode()


if __name__ == "__main__":
    sys.exit(main())
