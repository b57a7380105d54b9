"""How binary values are written: how much, their digest and their beginning, and an image as that."""

from __future__ import annotations

import hashlib
from base64 import b64encode

from llmops_sdk.tracing.capture import _blobs
from llmops_sdk.tracing.capture._media import Media, media_of
from llmops_sdk.tracing.capture._writer_types import Walk

__all__ = ["bytes_like", "of_bytearray", "of_bytes", "of_memoryview"]

_SHOWN = 64  # bytes of binary content that stand in the JSON
_SNIFFED = 16_384  # bytes in which an image says its size
_HASHED_AT_ONCE = 256 * 1024  # about a quarter of a millisecond
_COPIED = 8 * 1024 * 1024  # what may change meanwhile has to be copied, which takes time too


def of_bytes(walk: Walk, value: bytes) -> object:
    return bytes_like(walk, value if type(value) is bytes else bytes.__getitem__(value, slice(None)))


def of_bytearray(walk: Walk, value: bytearray) -> object:
    size = bytearray.__len__(value)
    part = bytearray.__getitem__(value, slice(0, size if size <= _COPIED else _SNIFFED))
    return bytes_like(walk, bytes(part), size)


def of_memoryview(walk: Walk, value: memoryview) -> object:
    size = value.nbytes
    if size <= _COPIED:
        return bytes_like(walk, value.tobytes(), size)
    return bytes_like(walk, value[: _SNIFFED // value.itemsize].tobytes() if value.ndim == 1 else b"", size)


def bytes_like(walk: Walk, content: bytes, size: int | None = None) -> dict[str, object]:
    """Binary content: how much, its digest and its beginning; an image as that.

    Args:
        walk: The walk.
        content: All of it, or the beginning.
        size: Bytes in all, where `content` is only the beginning.
    """
    whole = size is None or size == len(content)
    size = len(content) if size is None else size
    media = media_of(content[:_SNIFFED])
    if media is not None and whole:
        return _image(walk, media, content)
    said: dict[str, object] = {"$bytes": size}
    if whole:
        said.update(_digest(walk, content))
    # As Python writes them, so that redaction finds what is legible in it.
    said["$head"] = walk.text(repr(content[:_SHOWN])[2:-1])
    return walk.marker(said)


def _digest(walk: Walk, content: bytes) -> dict[str, str]:
    if len(content) <= _HASHED_AT_ONCE:
        walk.room -= 64
        return {"sha256": hashlib.sha256(content).hexdigest()}
    return _blobs.defer(lambda: content, content) or {}


def _image(walk: Walk, media: Media, content: bytes) -> dict[str, object]:
    size = len(content)
    inline = size * 4 // 3 + 4
    if inline > min(walk.bounds.max_bytes >> 2, walk.room):
        return walk.media(media, size, lambda: content, content)
    said: dict[str, object] = {"$media": media.type, "bytes": size}
    if media.width is not None:
        said.update(width=media.width, height=media.height)
    said.update(_digest(walk, content))
    said["data"] = b64encode(content).decode()
    walk.room -= inline
    return walk.marker(said)
