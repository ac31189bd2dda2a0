"""Make a machine ready for the tests beforehand: ``python -m tests.support.prepare [NAME…]``, as root.

Creates the rootless account, builds the named images and ``trixie``, the tree with Podman 5 and Valkey (all of them by
default), at the same time, and loads the images into both stores. What is there already costs nothing. The fixtures would do the same, one after another.
"""

from __future__ import annotations

import functools
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from tests.support import images, trixie
from tests.support.accounts import create_account, rootless_podman
from tests.support.leftovers import remove_run_folder
from tests.support.podman import root_podman


def main(names: list[str]) -> int:
    """Prepare, and say how long each part took."""
    create_account()
    stores = (root_podman(), rootless_podman())
    begin = time.monotonic()

    def load(image: images.Image) -> str:
        tar = image.build()
        for podman in stores:
            podman.load(image)
        return f"image {image.key:8} {tar.stat().st_size >> 20:5} MiB"

    def build_trixie() -> str:
        return f"tree  {trixie.build().name}"

    parts = {name: functools.partial(load, image) for name, image in images.ALL.items()}
    parts["trixie"] = build_trixie

    def prepare(name: str) -> str:
        return f"{parts[name]():26} after {time.monotonic() - begin:3.0f} s"

    try:
        # Each waits for the network most of its time.
        with ThreadPoolExecutor(len(parts)) as pool:
            for line in pool.map(prepare, names or parts):
                print(line, flush=True)  # noqa: T201 - a program
    except images.BuildError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 1
    finally:
        remove_run_folder()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
