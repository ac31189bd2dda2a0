"""The fixtures of all tests; what each does stands in its own module."""

import os
import signal

import pytest

# A shell that starts the tests in the background has Ctrl-C ignored, and every program they start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = [
    "tests.support.leftovers",
    "tests.support.trixie",
    "tests.support.podman",
    "tests.support.accounts",
    "tests.support.sshd",
    "tests.support.proxy",
    "tests.support.home",
    "tests.support.ml",
    "tests.support.terminal",
    "tests.support.disk",
    "tests.support.nvml",
    "tests.support.power",
    "tests.support.redis",
    "tests.e2e.way",
]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """``-n auto``: half as many again as there are CPUs, since the tests wait 40 % of their time for programs and disks."""
    return len(os.sched_getaffinity(0)) * 3 // 2
