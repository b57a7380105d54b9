"""Images and other media in bytes and in text: what they are, how large, and pixels as a PNG."""

from __future__ import annotations

import binascii
import re
import struct
import zlib
from typing import NamedTuple

__all__ = ["PNG_MODES", "Embedded", "Media", "embedded", "media_of", "png", "suffix_of"]

_HEAD = 16_384  # bytes in which the size of an image is looked for
_DATA_URL = re.compile(r"data:([a-z]+/[a-z0-9.+-]+)(?:;[a-z0-9.+=_-]+)*;base64,", re.IGNORECASE)
_LONGEST_PREFIX = 256
# How the base64 of an image begins, where no data URL says what it is.
_BASE64_HEADS = ("iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR", "JVBERi0")
_BASE64 = re.compile(r"[A-Za-z0-9+/\r\n]+=?=?\Z")
_DECODED_AT_ONCE = 65_536
_SUFFIXES = {
    "application/pdf": ".pdf",
    "audio/mpeg": ".mp3",
    "audio/ogg": ".ogg",
    "audio/wav": ".wav",
    "audio/x-wav": ".wav",
    "image/bmp": ".bmp",
    "image/gif": ".gif",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/svg+xml": ".svg",
    "image/tiff": ".tiff",
    "image/webp": ".webp",
    "video/mp4": ".mp4",
}
PNG_MODES = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}
"""Pillow's names of the layouts that `png` takes, and their bytes a pixel."""
_COLOURS = {"L": 0, "LA": 4, "RGB": 2, "RGBA": 6}


class Media(NamedTuple):
    """What content is; width and height in pixels where they are known."""

    type: str
    width: int | None = None
    height: int | None = None


class Embedded(NamedTuple):
    """Media in a text, as base64 from `start` on."""

    media: Media
    start: int
    size: int
    """Bytes when decoded."""

    def content(self, text: str) -> bytes:
        """The bytes; in pieces, since decoding lets no other thread run."""
        try:
            pieces = range(self.start, len(text), _DECODED_AT_ONCE)
            return b"".join(binascii.a2b_base64(text[at : at + _DECODED_AT_ONCE]) for at in pieces)
        except binascii.Error:
            # Line breaks, or no padding: what is too much of that is ignored.
            return binascii.a2b_base64(text[self.start :] + "==")


def suffix_of(media_type: str) -> str:
    """The suffix of a file of that type."""
    return _SUFFIXES.get(media_type, ".bin")


def media_of(head: bytes) -> Media | None:
    """What the beginning of a file says it is, or None for what is no image, PDF or sound known here."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return Media("image/png", *_two(">II", head, 16))
    if head.startswith(b"\xff\xd8\xff"):
        return Media("image/jpeg", *_jpeg_size(head))
    if head.startswith((b"GIF87a", b"GIF89a")):
        return Media("image/gif", *_two("<HH", head, 6))
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return Media("image/webp", *_webp_size(head))
    if head.startswith(b"RIFF") and head[8:12] == b"WAVE":
        return Media("audio/wav")
    if head.startswith(b"BM") and head[6:10] == b"\0\0\0\0" and len(head) > 26:
        width, height = _two("<ii", head, 18)
        return Media("image/bmp", width, None if height is None else abs(height))
    if head.startswith((b"II*\0", b"MM\0*")):
        return Media("image/tiff")
    if head.startswith(b"%PDF-"):
        return Media("application/pdf")
    return Media("audio/mpeg") if head.startswith(b"ID3") else None


def _two(layout: str, head: bytes, at: int) -> tuple[int | None, int | None]:
    if len(head) < at + struct.calcsize(layout):
        return None, None
    first, second = struct.unpack_from(layout, head, at)
    return first, second


def _jpeg_size(head: bytes) -> tuple[int | None, int | None]:
    at = 2
    while at + 9 <= len(head) and head[at] == 0xFF:
        marker = head[at + 1]
        # The start of a frame, but for the tables that have numbers between theirs.
        if 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}:
            height, width = _two(">HH", head, at + 5)
            return width, height
        at += 2 + int.from_bytes(head[at + 2 : at + 4], "big")
    return None, None


def _webp_size(head: bytes) -> tuple[int | None, int | None]:
    kind = head[12:16]
    if kind == b"VP8X" and len(head) >= 30:
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    if kind == b"VP8L" and len(head) >= 25:
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = _two("<HH", head, 26) if kind == b"VP8 " else (None, None)
    return (None, None) if width is None or height is None else (width & 0x3FFF, height & 0x3FFF)


def embedded(text: str) -> Embedded | None:
    """The media that a text is: a data URL in base64, or bare base64 that begins like an image or a PDF."""
    if text[:5].lower() == "data:":
        match = _DATA_URL.match(text[:_LONGEST_PREFIX])
        if match is None:
            return None
        start, declared = match.end(), match[1].lower()
    elif text.startswith(_BASE64_HEADS) and _BASE64.match(text[:_LONGEST_PREFIX]) and " " not in text:
        start, declared = 0, ""
    else:
        return None
    try:
        # A whole number of groups of four.
        head = binascii.a2b_base64(text[start : start + (_HEAD // 3) * 4])
    except (binascii.Error, ValueError):
        head = b""
    found = media_of(head)
    if found is None or (declared and found.type != declared):
        if not declared:
            return None
        found = Media(declared)
    return Embedded(found, start, (len(text) - start) * 3 // 4 - text.count("=", len(text) - 2))


def png(pixels: bytes, mode: str, width: int, height: int) -> bytes:
    """Pixels as the bytes of a PNG.

    Args:
        pixels: Row by row, a byte a channel.
        mode: "L", "LA", "RGB" or "RGBA".
        width: Pixels of a row.
        height: Rows.
    """
    row = width * PNG_MODES[mode]
    # Each row begins with the number of its filter: none.
    raw = b"".join(b"\0" + pixels[at : at + row] for at in range(0, row * height, row))
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOURS[mode], 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(raw, 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
