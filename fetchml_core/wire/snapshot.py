"""The snapshot of a folder: announced, then what the host lacks of it sent."""

from __future__ import annotations

from attrs import frozen


@frozen
class StageRequest:
    """Announce a snapshot; its manifest (*size* bytes) follows as data frames.

    Args:
        manifest: Its digest.
        size: Bytes of the manifest.
        network: The job that it is for asks for a network.
    """

    manifest: str
    size: int
    network: bool = False


@frozen
class StageReply:
    """Which blobs of the snapshot the host lacks, in the manifest's order, each once."""

    missing: tuple[str, ...] = ()


@frozen
class UploadRequest:
    """Send blobs of a staged snapshot; their bytes, one after the other, follow as data frames."""

    manifest: str
    blobs: tuple[str, ...]


@frozen
class UploadReply:
    """Blobs whose bytes were not what their digest says: the file changed while it was sent."""

    damaged: tuple[str, ...] = ()
