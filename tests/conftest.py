"""The fixtures of all tests; what each does stands in its own module."""

pytest_plugins = [
    "tests.support.leftovers",
    "tests.support.podman",
]
