"""The tests, a package so that ``tests.support`` is always ours, whatever else is installed."""
