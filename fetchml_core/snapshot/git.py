"""Which commit the tree stands on, for the record of a job; never a reason to fail.

Layer 2, client only. One ``git status``, as an argument list, with a time limit. The repository's own settings may
name programs to run (fsmonitor): that one is switched off, and no lock is taken.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from fetchml_core.jobs.job import Git

if TYPE_CHECKING:
    from pathlib import Path


def find_work_tree(folder: Path) -> Path | None:
    """Return the top of the git work tree that holds *folder*, or None."""
    return next((place for place in (folder, *folder.parents) if (place / ".git").exists()), None)


def read_git(root: Path, *, timeout: float = 5.0) -> Git | None:
    """Return where *root* stands in git.

    Args:
        root: A folder in a work tree; only what lies in it makes it dirty.
        timeout: Seconds after which the answer is None.

    Returns: Commit (empty before the first), branch (empty when detached) and whether files differ from the commit;
        None where there is no work tree, no git, or no answer in time.
    """
    if find_work_tree(root) is None:
        return None
    # fmt: off
    command = [
        "git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-C", str(root),
        "status", "--porcelain=v2", "--branch", "--untracked-files=normal", "--", ".",
    ]
    # fmt: on
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_status(done.stdout.decode(errors="replace")) if done.returncode == 0 else None


def parse_status(text: str) -> Git:
    """Return what ``git status --porcelain=v2 --branch`` says in *text*."""
    commit = branch = ""
    dirty = False
    for line in text.splitlines():
        if line.startswith("# branch.oid "):
            commit = line[13:]
        elif line.startswith("# branch.head "):
            branch = line[14:]
        elif not line.startswith("#"):
            dirty = True
    return Git("" if commit == "(initial)" else commit, "" if branch == "(detached)" else branch, dirty)
