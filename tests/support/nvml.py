"""An NVIDIA driver for tests: a small library that answers as NVML does, loaded for real by pynvml."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.require import need

if TYPE_CHECKING:
    from collections.abc import Callable

SOURCE = Path(__file__).with_name("fake_nvml.c")


class FakeDriver:
    """The library in a folder, and the file that says what it plays."""

    def __init__(self, folder: Path, *flags: str) -> None:
        need("gcc")
        folder.mkdir()
        self.folder, self._scenario = folder, folder / "scenario"
        library = folder / "libnvidia-ml.so.1"
        subprocess.run(
            ["gcc", "-shared", "-fPIC", "-Wall", "-Werror", *flags, "-o", str(library), str(SOURCE)],
            check=True,
        )

    @property
    def environ(self) -> dict[str, str]:
        """What a process needs in its environment to find the driver."""
        return {"LD_LIBRARY_PATH": str(self.folder), "FAKE_NVML": str(self._scenario)}

    def plays(self, scenario: str, pid: int = 0) -> None:
        """Change what the driver tells from now on; scenarios stand in the source."""
        self._scenario.write_text(f"{scenario} {pid}\n")


@pytest.fixture
def fake_driver(tmp_path: Path) -> Callable[..., FakeDriver]:
    """Make a driver that plays a scenario; flags are the compiler's."""

    def make(scenario: str, *flags: str, pid: int = 0) -> FakeDriver:
        driver = FakeDriver(tmp_path / "driver", *flags)
        driver.plays(scenario, pid)
        return driver

    return make
