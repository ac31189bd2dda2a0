"""What cannot be sent: each is refused before anything is queued, and the message says what to do about it."""

from __future__ import annotations

import subprocess

from tests.e2e.said import no_jobs, refused, script
from tests.support.require import need

GIB = 1 << 30


def test_no_such_path(ml):
    """A path with a typing mistake is named, with the folder to look into."""
    refused(
        ml,
        2,
        ["submit", "trian.py"],
        """
        error: no-such-path: there is no such file or folder
          context  trian.py
          hint     ls <cwd>
        """,
        cwd=ml.cwd,
    )
    no_jobs(ml)


def test_empty_folder(ml):
    """An empty folder has nothing to run."""
    (ml.cwd / "empty").mkdir()

    refused(
        ml,
        2,
        ["submit", "empty"],
        """
        error: empty-folder: the folder is empty
          context  <cwd>/empty
          hint     put a train.py into it, or name a script elsewhere: ml submit SCRIPT
        """,
        cwd=ml.cwd,
    )
    no_jobs(ml)


def test_everything_is_ignored(ml):
    """A folder whose files are all ignored is as good as empty, and the files that say so are named."""
    script(ml, "print(1)")
    (ml.cwd / "job" / ".gitignore").write_text("*\n", "utf-8")

    refused(
        ml,
        2,
        ["submit", "job"],
        """
        error: empty-folder: all 2 entries of the folder are ignored
          context  <cwd>/job
          hint     see the .gitignore and .mlignore there
        """,
        cwd=ml.cwd,
    )


def test_folder_without_the_script_it_runs(ml):
    """A folder runs its train.py; one that has none is told how to name another script."""
    script(ml, "print(1)", "main.py")

    refused(
        ml,
        2,
        ["submit", "job"],
        """
        error: train-script-missing: the folder has no train.py, which is what a folder runs
          context  <cwd>/job
          hint     name the script: ml submit <cwd>/job/SCRIPT
        """,
        cwd=ml.cwd,
    )


def test_script_outside_the_tree(ml):
    """A script that is a link to somewhere else is not in the tree that would travel."""
    outside = ml.cwd / "elsewhere.py"
    outside.write_text("print(1)\n", "utf-8")
    (ml.cwd / "job").mkdir()
    (ml.cwd / "job" / "train.py").symlink_to(outside)

    refused(
        ml,
        2,
        ["submit", "job/train.py"],
        """
        error: script-outside-tree: the script lies outside the tree <cwd>/job
          context  <cwd>/job/train.py is <cwd>/elsewhere.py
          hint     ml submit <cwd>/elsewhere.py
        """,
        cwd=ml.cwd,
    )
    no_jobs(ml)


def test_link_that_leaves_the_tree(ml):
    """A link to a file outside the tree is named: its content is not meant to travel."""
    script(ml, "print(1)")
    (ml.cwd / "job" / "secret").symlink_to("/etc/shadow")

    done = ml.fails(2, "submit", "job")

    assert "secret" in done.stderr
    assert "/etc/shadow" in done.stderr
    assert len(done.stderr.splitlines()) <= 4
    no_jobs(ml)


def test_folder_of_another_kind(ml):
    """A file that nothing can run says what can be."""
    script(ml, "1,2,3\n", "data.csv")

    refused(
        ml,
        2,
        ["submit", "job/data.csv"],
        """
        error: not-runnable: this is no script that can be run
          context  <cwd>/job/data.csv
          hint     give a folder, a .py or .sh script, or an executable file that starts with #!
        """,
        cwd=ml.cwd,
    )


def test_big_file(ml):
    """A file of 3 GB is named with its size, and nothing of it is read or sent."""
    script(ml, "print(1)")
    with (ml.cwd / "job" / "weights.bin").open("wb") as file:
        file.truncate(3 * GIB)

    refused(
        ml,
        2,
        ["submit", "job"],
        """
        error: tree-too-large: the tree has 3.0 GiB, more than 1 GiB
          context  biggest: weights.bin (3.0 GiB)
          hint     name what stays here in <cwd>/job/.mlignore, or submit with --allow-large
        """,
        run={"timeout": 10},
        cwd=ml.cwd,
    )
    no_jobs(ml)


def test_big_file_that_is_wanted(ml):
    """With --allow-large the same tree is taken."""
    script(ml, "print(1)")
    with (ml.cwd / "job" / "weights.bin").open("wb") as file:
        file.truncate(GIB + 1)

    told = ml.ok("submit", "job", "--allow-large", "--dry-run")

    assert "weights.bin" in told
    assert "1.0 GiB" in told


def test_many_files_name_their_folder(ml):
    """More than 20,000 files are refused, and the folder that holds most of them is named."""
    script(ml, "print(1)")
    cache = ml.cwd / "job" / "cache"
    cache.mkdir()
    for number in range(20_001):
        (cache / str(number)).touch()

    refused(
        ml,
        2,
        ["submit", "job"],
        """
        error: tree-too-large: the tree has 20002 files, more than 20000
          context  biggest: cache/ (0 B, 20001 files), ./ (8 B, 1 files)
          hint     name what stays here in <cwd>/job/.mlignore, or submit with --allow-large
        """,
        cwd=ml.cwd,
    )


def test_home_folder(ml):
    """The home folder is not sent by mistake."""
    (ml.home.path / "train.py").write_text("print(1)\n", "utf-8")

    refused(
        ml,
        2,
        ["submit", str(ml.home.path)],
        """
        error: tree-too-large: this would send your home folder
          context  <home>
          hint     move the job to a folder of its own; or --only for the script alone; or --allow-large
        """,
        home=ml.home.path,
    )


def test_script_that_git_ignores(ml):
    """A script that is ignored would not travel: it is named, with the line that lets it."""
    need("git")
    subprocess.run(["git", "init", "-q", str(ml.cwd)], check=True, env=ml.env)
    script(ml, "print(1)", "local.py")
    script(ml, "print(1)", "other.py")
    (ml.cwd / ".gitignore").write_text("local.py\n", "utf-8")

    refused(
        ml,
        2,
        ["submit", "job/local.py"],
        """
        error: script-ignored: the script itself is ignored, so it would not travel
          context  job/local.py
          hint     echo '!job/local.py' >> <cwd>/.mlignore
        """,
        cwd=ml.cwd,
    )


def test_name_with_escape_characters(ml):
    """A file whose name holds escape characters cannot travel; the name reaches no terminal as it is."""
    script(ml, "print(1)", "a\x1b]0;owned\x07.py")

    refused(
        ml,
        2,
        ["submit", "job/a\x1b]0;owned\x07.py"],
        r"""
        error: name-refused: a file cannot travel: its name holds a control character
          context  a\x1b]0;owned\x07.py
          hint     rename it, or name it in .mlignore to leave it out
        """,
    )
    no_jobs(ml)
