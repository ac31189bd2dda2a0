"""What is typed wrong: refused with exit 2 (or 5 for a job that is none), before a byte travels."""

from __future__ import annotations

import pytest

from tests.e2e.said import local_base, no_jobs, refused, script

TYPED = {
    "time without a unit": (
        ["--time", "30"],
        """
        error: duration-without-unit: 30 of what?
          context  --time 30
          hint     write 30m for minutes or 30h for hours
        """,
    ),
    "no time at all": (
        ["--time", "0s"],
        """
        error: bad-time: a job needs more time than none
          context  --time 0s
          hint     leave --time out for no limit, or write it like 30m
        """,
    ),
    "time that is none": (
        ["--time", "soon"],
        """
        error: bad-duration: this is not a duration
          context  --time soon
          hint     write it like 30m, 1h30m or 500ms
        """,
    ),
    "memory without a unit": (
        ["--memory", "5"],
        """
        error: size-without-unit: a size needs a unit
          context  --memory 5
          hint     write 5m or 5g
        """,
    ),
    "priority": (
        ["--priority", "11"],
        """
        error: bad-value: Invalid value for '--priority': 11 is not in the range 1<=x<=10
          hint     ml submit --help
        """,
    ),
    "name": (
        ["--name", "my job/2"],
        """
        error: bad-name: a job name has letters, digits, '_', '.', '-', at most 63, and begins with a letter or digit
          context  --name 'my job/2'
          hint     --name my-job-2
        """,
    ),
    "variable without a value": (
        ["--env", "SEED"],
        """
        error: bad-env: a variable is set as NAME=VALUE
          context  --env SEED
          hint     --env SEED=VALUE
        """,
    ),
    "variable without a name": (
        ["--env", "=5"],
        """
        error: bad-env: a variable is set as NAME=VALUE
          context  --env =...
          hint     --env NAME=VALUE
        """,
    ),
    "variable that steers the loader": (
        ["--env", "LD_PRELOAD=/tmp/x.so"],
        """
        error: env-refused: variables that begin with LD_, NVIDIA_ or FETCHML_ cannot be set for a job
          context  LD_PRELOAD
          hint     set it inside your script, or give it another name
        """,
    ),
    "variable of ours": (
        ["--env", "FETCHML_JOB_ID=7"],
        """
        error: env-refused: variables that begin with LD_, NVIDIA_ or FETCHML_ cannot be set for a job
          context  FETCHML_JOB_ID
          hint     set it inside your script, or give it another name
        """,
    ),
    "name of a variable": (
        ["--env", "1ST=3"],
        """
        error: env-refused: this is no name of a variable
          context  '1ST'
          hint     --env NAME=VALUE
        """,
    ),
    "GPUs": (
        ["--gpus", "1"],
        """
        error: too-many-gpus: this host has no GPUs
          context  --gpus 1
          hint     submit without --gpus, or use a host that has them: --profile NAME
        """,
    ),
    "GPU memory without a GPU": (
        ["--gpu-memory", "16g"],
        """
        error: gpu-memory-without-gpus: --gpu-memory says how big each of a job's GPUs must be, and this job asks for none
          context  --gpu-memory 16g
          hint     --gpus 1
        """,
    ),
    "more CPUs than a job may have": (
        ["--cpus", "1000"],
        """
        error: too-many-cpus: a job on this host gets at most 1 CPU (podman_cpus)
          context  --cpus 1000
          hint     --cpus 1
        """,
    ),
    "no CPUs": (
        ["--cpus", "0"],
        """
        error: bad-cpus: a job needs more than 0 CPUs
          context  --cpus 0
          hint     leave --cpus out for the host's default
        """,
    ),
    "more memory than a job may have": (
        ["--memory", "4Ti"],
        """
        error: too-much-memory: a job on this host gets at most 512.0 MiB of memory (podman_memory)
          context  --memory 4.0 TiB
          hint     --memory 512m
        """,
    ),
    "image": (
        ["--image", "--privileged"],
        """
        error: bad-image: this is no image name
          context  --image --privileged
          hint     an image is named in lower case, as in docker.io/library/python:3.9-slim
        """,
    ),
    "option": (
        ["--gpu", "1"],
        """
        error: unknown-option: No such option: --gpu (Possible options: --cpus, --gpus)
          hint     ml submit --help
        """,
    ),
}

LIMITS = "launcher: podman\nresources:\n  podman_cpus: '1'\n  podman_memory: 512m\n"


@pytest.mark.parametrize("case", TYPED)
def test_option(ml, tmp_path, case):
    """An option that cannot be used is refused with its value and a value that works; nothing is queued."""
    local_base(ml, tmp_path / "base", LIMITS)
    script(ml, "print(1)")
    words, text = TYPED[case]

    refused(ml, 2, ["submit", "job", *words], text)
    no_jobs(ml)


NO_SUCH_JOB = """
    error: job-unknown: no such job
      context  {word}
      hint     ml status -a lists jobs; a job is named 42, 40-44, last, @~1 or name:PATTERN
    """


@pytest.mark.parametrize("verb", ["status", "show", "logs", "pull", "cancel", "wait"])
def test_job_that_is_none(ml, verb):
    """Every verb says the same of a job that does not exist: 5, and how to look."""
    refused(ml, 5, [verb, "99"], NO_SUCH_JOB.format(word="99"))


@pytest.mark.parametrize("word", ["nonsense", "name:never", "@~3", "44-40", "4 2", "../1"])
def test_word_that_is_no_selector(ml, word):
    """A word that is no selector names no job: 5 as well, with the forms there are."""
    refused(ml, 5, ["status", word], NO_SUCH_JOB.format(word=word))


def test_no_words(ml):
    """A verb without its argument says which, and where the help is."""
    refused(
        ml,
        2,
        ["submit"],
        """
        error: missing-argument: Missing argument 'PATH'
          hint     ml submit --help
        """,
    )


def test_verb_that_is_none(ml):
    """A mistyped verb is named."""
    refused(
        ml,
        2,
        ["sumbit", "train.py"],
        """
        error: unknown-command: there is no such command
          context  sumbit
          hint     ml submit
        """,
    )


def test_watch_without_a_terminal(ml):
    """A view that redraws itself needs a terminal; into a pipe it is refused, with what to call instead."""
    refused(
        ml,
        2,
        ["status", "--watch"],
        """
        error: no-terminal: --watch redraws a terminal, and this is none
          hint     call ml status again, or ml wait JOB
        """,
    )


def test_error_as_json(ml):
    """With --json the same error is one object on stderr, and stdout stays empty."""
    import json

    done = ml.fails(5, "show", "99", "--json")

    assert done.stdout == ""
    error = json.loads(done.stderr)["error"]
    assert (error["code"], error["status"], error["context"]) == ("job-unknown", 5, "99")
