"""Send a snapshot: the manifest, then only the blobs that the host lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from fetchml_cli.output.progress import progress
from fetchml_core.errors import InputError
from fetchml_core.snapshot.scan import Scan
from fetchml_core.snapshot.transfer import FileChanged, read_blob
from fetchml_core.wire.session import CHUNK
from fetchml_core.wire.snapshot import StageReply, StageRequest, UploadReply, UploadRequest

if TYPE_CHECKING:
    from pathlib import Path

    from fetchml_cli.cli import Cli
    from fetchml_cli.remote.client import Client


class TreeChanged(InputError):  # noqa: N818 - the caller reads the tree again
    """Files were not what they were when they were hashed."""

    def __init__(self, paths: list[str]) -> None:
        super().__init__(
            "tree-changed",
            "the tree changes while it is being sent; nothing was queued",
            context=", ".join(paths[:3]),
            hint="submit again once nothing writes to it, or name it in .mlignore",
        )


def send_snapshot(cli: Cli, client: Client, found: Scan, *, network: bool) -> None:
    """Make the host hold all of *found*: exactly the bytes that were hashed.

    Args:
        cli: The surroundings.
        client: The conversation with the host.
        found: The tree.
        network: The job asks for a network, which a host may refuse before anything travels.

    Raises:
        TreeChanged: a file changed since; this end or the other has noticed.
    """
    manifest = found.manifest
    request = StageRequest(manifest.digest, len(manifest.data), network)
    pieces = (manifest.data[start : start + CHUNK] for start in range(0, len(manifest.data), CHUNK))
    staged: StageReply = client.call("stage", request, upload=pieces)
    if not staged.missing:
        return
    sizes = manifest.blobs()
    with progress(cli, "upload", sum(sizes[digest] for digest in staged.missing)) as advance:
        changed: list[Path] = []
        upload = _bytes_of(found, staged.missing, sizes, advance, changed)
        reply: UploadReply = client.call(
            "upload", UploadRequest(manifest.digest, staged.missing), upload=upload
        )
    if reply.damaged or changed:
        paths = sorted(
            {str(found.files[digest]) for digest in reply.damaged} | {str(path) for path in changed}
        )
        raise TreeChanged(paths)


def _bytes_of(
    found: Scan,
    digests: tuple[str, ...],
    sizes: dict[str, int],
    advance: Callable[[int], None],
    changed: list[Path],
) -> Iterator[bytes]:
    """Yield the bytes of all blobs, packed; a file that changed is filled up to its length, and refused over there."""
    held = bytearray()
    for digest in digests:
        left = sizes[digest]
        for chunk in _blob(found.files[digest], digest, left, changed):
            left -= len(chunk)
            held += chunk
            while len(held) >= CHUNK:
                yield bytes(held[:CHUNK])
                del held[:CHUNK]
                advance(CHUNK)
        while left:
            filler = bytes(min(left, CHUNK))
            left -= len(filler)
            yield bytes(held)
            held = bytearray(filler)
    if held:
        yield bytes(held)
        advance(len(held))


def _blob(path: Path, digest: str, size: int, changed: list[Path]) -> Iterator[bytes]:
    try:
        yield from read_blob(path, digest, size)
    except FileChanged:
        changed.append(path)
