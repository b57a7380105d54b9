"""Write binary values: their size, digest and first bytes; an image as media."""

from __future__ import annotations

import hashlib
from base64 import b64encode

from llmops_sdk.tracing.capture import _blobs
from llmops_sdk.tracing.capture._media import Media, media_of
from llmops_sdk.tracing.capture._writer_types import Walk

__all__ = ["write_bytearray", "write_bytes", "write_content", "write_memoryview"]

_HEAD_BYTES = 64  # of binary content in the JSON
_MEDIA_HEAD_BYTES = 16_384  # enough to find the size of an image
_MAX_HASHED_AT_ONCE = 256 * 1024  # takes about a quarter of a millisecond
_MAX_COPIED = 8 * 1024 * 1024  # mutable content needs a copy, which takes time too


def write_bytes(walk: Walk, value: bytes) -> object:
    return write_content(walk, value if type(value) is bytes else bytes.__getitem__(value, slice(None)))


def write_bytearray(walk: Walk, value: bytearray) -> object:
    size = bytearray.__len__(value)
    part = bytearray.__getitem__(value, slice(0, size if size <= _MAX_COPIED else _MEDIA_HEAD_BYTES))
    return write_content(walk, bytes(part), size)


def write_memoryview(walk: Walk, value: memoryview) -> object:
    size = value.nbytes
    if size <= _MAX_COPIED:
        return write_content(walk, value.tobytes(), size)
    return write_content(walk, value[: _MEDIA_HEAD_BYTES // value.itemsize].tobytes() if value.ndim == 1 else b"", size)


def write_content(walk: Walk, content: bytes, size: int | None = None) -> dict[str, object]:
    """Write binary content: its size, digest and first bytes; an image as media.

    Args:
        walk: The walk.
        content: The whole content, or its beginning.
        size: The bytes of the whole, if `content` is only its beginning.
    """
    complete = size is None or size == len(content)
    size = len(content) if size is None else size
    media = media_of(content[:_MEDIA_HEAD_BYTES])
    if media is not None and complete:
        return _write_media(walk, media, content)
    description: dict[str, object] = {"$bytes": size}
    if complete:
        description.update(_digest(walk, content))
    # Escaped as Python does it, so that redaction finds the readable part.
    description["$head"] = walk.text(repr(content[:_HEAD_BYTES])[2:-1])
    return walk.marker(description)


def _digest(walk: Walk, content: bytes) -> dict[str, str]:
    if len(content) <= _MAX_HASHED_AT_ONCE:
        walk.room -= 64
        return {"sha256": hashlib.sha256(content).hexdigest()}
    return _blobs.defer(lambda: content, content) or {}


def _write_media(walk: Walk, media: Media, content: bytes) -> dict[str, object]:
    size = len(content)
    inline = size * 4 // 3 + 4
    if inline > min(walk.bounds.max_bytes >> 2, walk.room):
        return walk.media(media, size, lambda: content, content)
    description = media.describe(size)
    description.update(_digest(walk, content))
    description["data"] = b64encode(content).decode()
    walk.room -= inline
    return walk.marker(description)
