"""Stored images: served as images or not at all."""

from __future__ import annotations

import re
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from llmops_sdk.errors import StoreError
from llmops_sdk.store.files._folders import open_file

__all__ = ["blob_response"]

_NAME = re.compile(r"[0-9a-f]{64}\.(png|jpe?g|gif|webp)")
_TYPES = {"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp"}
_MAX_BYTES = 64 * 1024 * 1024


def blob_response(request: Request, folder: Path) -> Response:
    """Return an image of the store. Other files, as PDFs and sounds, are not shown by the page."""
    import os

    found = _NAME.fullmatch(str(request.path_params["name"]))
    if found is None:
        return PlainTextResponse("not found\n", 404)
    try:
        descriptor = open_file(folder / "blobs" / found[0], os.O_RDONLY)
    except (OSError, StoreError):
        return PlainTextResponse("not found\n", 404)
    with os.fdopen(descriptor, "rb") as file:
        if os.fstat(file.fileno()).st_size > _MAX_BYTES:
            return PlainTextResponse("too large\n", 413)
        content = file.read()
    headers = {"Content-Security-Policy": "default-src 'none'; sandbox", "Content-Disposition": "inline"}
    return Response(content, media_type=_TYPES[found[1]], headers=headers)
