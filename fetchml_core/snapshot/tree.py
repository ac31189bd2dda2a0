"""What a word on the command line means: which tree is sent, where the job starts in it, and what it runs.

Layer 2, client only. Looks at files, changes nothing. Everything is decided by `plan`; the tree is read by `scan`.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath

from attrs import frozen

from fetchml_core.errors import InputError
from fetchml_core.fsio import read_plain_file

from .git import find_work_tree
from .names import show

WHAT_WORKS = "give a folder, a .py or .sh script, or an executable file that starts with #!"


@frozen
class TreePlan:
    """Which tree travels and how it is run.

    Attributes:
        root: The folder that travels.
        entry: The script, relative to *root*, with ``/``.
        only: Whether the script travels alone.
        start: The folder the job starts in, relative to *root*; empty for *root* itself.
        script: The script, relative to *start*.
        command: What runs it; arguments of the job are added behind.
    """

    root: Path
    entry: str
    only: bool
    start: str
    script: str
    command: tuple[str, ...]


def plan(
    path: Path,
    *,
    cwd: Path,
    only: bool,
    home: Path,
    train_script: str = "train.py",
    allow_large: bool = False,
) -> TreePlan:
    """Return what submitting *path* means.

    Args:
        path: What was typed; relative to *cwd*.
        cwd: Where it was typed.
        only: Send the script alone.
        home: The user's home folder, which is sent only with *allow_large*.
        train_script: The script that a folder runs.
        allow_large: Take a tree however big.

    Raises:
        InputError: ``no-such-path``, ``empty-folder``, ``train-script-missing``, ``script-outside-tree``,
            ``not-runnable``, ``only-needs-script``, ``tree-too-large``.
    """
    place = cwd / path
    try:
        place.stat()
    except FileNotFoundError:
        parent = show(str(place.parent))
        raise InputError(
            "no-such-path", "there is no such file or folder", context=show(str(path)), hint=f"ls {parent}"
        ) from None
    except (OSError, ValueError) as error:
        raise InputError(
            "no-such-path", f"this path cannot be read: {error}", context=show(str(path))
        ) from None
    if place.is_dir():
        if only:
            raise InputError(
                "only-needs-script", "--only sends one script, and this is a folder", context=show(str(path))
            )
        root = place.resolve()
        script = _script_of_folder(root, train_script)
    else:
        # The folder is resolved, the script is not: a script that is a link must not pick the tree of its target.
        script = place.parent.resolve() / place.name
        root = script.parent if only else find_work_tree(script.parent) or script.parent
    _check_inside(script, root)
    if not only and not allow_large:
        _check_root(root, home.resolve())
    entry = script.relative_to(root).as_posix()
    start = "" if only else _start(cwd.resolve(), root, root if place.is_dir() else script.parent)
    from_start = PurePosixPath(os.path.relpath(script, root / start)).as_posix()
    return TreePlan(root, entry, only, start, from_start, _command(script, from_start))


def _script_of_folder(root: Path, train_script: str) -> Path:
    script = root / train_script
    if script.is_file():
        return Path(os.path.normpath(script))
    if not any(root.iterdir()):
        raise InputError(
            "empty-folder",
            "the folder is empty",
            context=show(str(root)),
            hint=f"put a {show(train_script)} into it, or name a script elsewhere: ml submit SCRIPT",
        )
    raise InputError(
        "train-script-missing",
        f"the folder has no {show(train_script)}, which is what a folder runs",
        context=show(str(root)),
        hint=f"name the script: ml submit {show(str(root))}/SCRIPT",
    )


def _check_inside(script: Path, root: Path) -> None:
    target = script.resolve()
    if not script.is_relative_to(root) or not target.is_relative_to(root):
        raise InputError(
            "script-outside-tree",
            f"the script lies outside the tree {show(str(root))}",
            context=f"{show(str(script))} is {show(str(target))}",
            hint=f"ml submit {show(str(target))}",
        )


def _check_root(root: Path, home: Path) -> None:
    if home.is_relative_to(root):
        raise InputError(
            "tree-too-large",
            "this would send your home folder"
            if root == home
            else "this would send a folder that holds your home",
            context=show(str(root)),
            hint="move the job to a folder of its own; or --only for the script alone; or --allow-large",
        )


def _start(cwd: Path, root: Path, otherwise: Path) -> str:
    """Return the place in the tree where the job starts: that of the caller, if it is in the tree."""
    place = cwd if cwd.is_relative_to(root) else otherwise
    relative = place.relative_to(root).as_posix()
    return "" if relative == "." else relative


def _command(script: Path, from_start: str) -> tuple[str, ...]:
    if not stat.S_ISREG(script.stat().st_mode):
        raise InputError(
            "not-runnable", "this is no file that can be run", context=show(str(script)), hint=WHAT_WORKS
        )
    # A name that starts with a dash must not become an option of the interpreter.
    safe = f"./{from_start}" if from_start.startswith("-") else from_start
    if script.suffix == ".py":
        return ("python3", "-u", safe)
    if script.suffix == ".sh":
        return ("/bin/sh", safe)
    marked = read_plain_file(script.resolve(), limit=2) == b"#!"
    if marked and os.access(script, os.X_OK):
        return (from_start if from_start.startswith("../") else f"./{from_start}",)
    raise InputError(
        "not-runnable",
        "this script is not executable" if marked else "this is no script that can be run",
        context=show(str(script)),
        hint=f"chmod +x {show(str(script))}" if marked else WHAT_WORKS,
    )
