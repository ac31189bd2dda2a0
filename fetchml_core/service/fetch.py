"""Send the bytes of one result file."""

from __future__ import annotations

import os

from fetchml_core.errors import NotFoundError
from fetchml_core.fsio import open_below
from fetchml_core.wire.output import FetchRequest
from fetchml_core.wire.session import CHUNK
from fetchml_core.wire.verbs import Nothing

from .context import Context


def run(context: Context, request: FetchRequest) -> Nothing:
    """See the module."""
    job = context.host.queue.get(request.job)
    folder = context.host.data.attempt(job.id, request.attempt).results
    try:
        file = os.fdopen(open_below(folder, request.path), "rb")
    except OSError:
        raise NotFoundError(
            "no-such-result", f"job {job.id} has no such result file", context=request.path[:200]
        ) from None
    with file:
        file.seek(min(max(0, request.offset), os.fstat(file.fileno()).st_size))
        while chunk := file.read(CHUNK):
            context.talk.data(chunk)
    return Nothing()
