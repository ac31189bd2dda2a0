"""Small trees and manifests for the tests of snapshots."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from fetchml_core.snapshot.manifest import Entry, Manifest, make_manifest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fetchml_core.snapshot.store import BlobStore

NOW = 2_000_000_000.0
"""Far behind every file the tests write, so that none of them is too young for the cache."""


def sha(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def write_tree(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write *files*, path to content, below *root* and return it."""
    root.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def manifest_of(files: Mapping[str, bytes], *, executable: frozenset[str] = frozenset()) -> Manifest:
    """Return the manifest of *files*, path to content."""
    return make_manifest(
        Entry(path, len(content), path in executable, sha(content)) for path, content in files.items()
    )


def fill_store(store: BlobStore, files: Mapping[str, bytes]) -> None:
    """Store the contents of *files*."""
    for content in files.values():
        store.add_bytes(content)
    store.sync()
