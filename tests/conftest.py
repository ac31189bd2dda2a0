"""The fixtures of all tests; what each does stands in its own module."""

import signal

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
