"""Recognise images and other media in bytes and in text, and write pixels as a PNG."""

from __future__ import annotations

import binascii
import re
import struct
import zlib
from typing import NamedTuple

__all__ = ["PNG_MODES", "Embedded", "Media", "embedded_media", "media_of", "png", "suffix_of"]

_HEAD_BYTES = 16_384  # enough to find the size of an image
_DATA_URL = re.compile(r"data:([a-z]+/[a-z0-9.+-]+)(?:;[a-z0-9.+=_-]+)*;base64,", re.IGNORECASE)
_MAX_PREFIX = 256
# The beginnings of the base64 of images and PDFs without a data URL.
_BASE64_HEADS = ("iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR", "JVBERi0")
_BASE64 = re.compile(r"[A-Za-z0-9+/\r\n]+=?=?\Z")
_DECODE_STEP = 65_536
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
"""The bytes per pixel of the layouts that `png` takes, by Pillow's name."""
_COLOUR_TYPES = {"L": 0, "LA": 4, "RGB": 2, "RGBA": 6}


class Media(NamedTuple):
    """The media type of content; width and height in pixels if known."""

    type: str
    width: int | None = None
    height: int | None = None

    def describe(self, size: int) -> dict[str, object]:
        """Return the JSON object that stands for `size` bytes of this media."""
        description: dict[str, object] = {"$media": self.type, "bytes": size}
        if self.width is not None:
            description.update(width=self.width, height=self.height)
        return description


class Embedded(NamedTuple):
    """Media in a text: base64 from `start` on, `size` bytes when decoded."""

    media: Media
    start: int
    size: int

    def content(self, text: str) -> bytes:
        """Decode the content in steps, because decoding holds the GIL."""
        try:
            pieces = range(self.start, len(text), _DECODE_STEP)
            return b"".join(binascii.a2b_base64(text[at : at + _DECODE_STEP]) for at in pieces)
        except binascii.Error:
            # Line breaks or missing padding: the decoder ignores excess padding.
            return binascii.a2b_base64(text[self.start :] + "==")


def suffix_of(media_type: str) -> str:
    """Return the file suffix of a media type."""
    return _SUFFIXES.get(media_type, ".bin")


def media_of(head: bytes) -> Media | None:
    """Recognise an image, a PDF or a sound by the first bytes of its file; None for anything else."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return Media("image/png", *_unpack_pair(">II", head, 16))
    if head.startswith(b"\xff\xd8\xff"):
        return Media("image/jpeg", *_jpeg_size(head))
    if head.startswith((b"GIF87a", b"GIF89a")):
        return Media("image/gif", *_unpack_pair("<HH", head, 6))
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return Media("image/webp", *_webp_size(head))
    if head.startswith(b"RIFF") and head[8:12] == b"WAVE":
        return Media("audio/wav")
    if head.startswith(b"BM") and head[6:10] == b"\0\0\0\0" and len(head) > 26:
        width, height = _unpack_pair("<ii", head, 18)
        return Media("image/bmp", width, None if height is None else abs(height))
    if head.startswith((b"II*\0", b"MM\0*")):
        return Media("image/tiff")
    if head.startswith(b"%PDF-"):
        return Media("application/pdf")
    return Media("audio/mpeg") if head.startswith(b"ID3") else None


def _unpack_pair(layout: str, head: bytes, at: int) -> tuple[int | None, int | None]:
    if len(head) < at + struct.calcsize(layout):
        return None, None
    first, second = struct.unpack_from(layout, head, at)
    return first, second


def _jpeg_size(head: bytes) -> tuple[int | None, int | None]:
    at = 2
    while at + 9 <= len(head) and head[at] == 0xFF:
        marker = head[at + 1]
        # The start of a frame; the three excluded numbers are tables.
        if 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}:
            height, width = _unpack_pair(">HH", head, at + 5)
            return width, height
        at += 2 + int.from_bytes(head[at + 2 : at + 4], "big")
    return None, None


def _webp_size(head: bytes) -> tuple[int | None, int | None]:
    chunk = head[12:16]
    if chunk == b"VP8X" and len(head) >= 30:
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    if chunk == b"VP8L" and len(head) >= 25:
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = _unpack_pair("<HH", head, 26) if chunk == b"VP8 " else (None, None)
    return (None, None) if width is None or height is None else (width & 0x3FFF, height & 0x3FFF)


def embedded_media(text: str) -> Embedded | None:
    """Find the media in a text that is a base64 data URL, or bare base64 of an image or a PDF."""
    if text[:5].lower() == "data:":
        match = _DATA_URL.match(text[:_MAX_PREFIX])
        if match is None:
            return None
        start, declared = match.end(), match[1].lower()
    elif text.startswith(_BASE64_HEADS) and _BASE64.match(text[:_MAX_PREFIX]) and " " not in text:
        start, declared = 0, ""
    else:
        return None
    try:
        # A multiple of four characters.
        head = binascii.a2b_base64(text[start : start + (_HEAD_BYTES // 3) * 4])
    except (binascii.Error, ValueError):
        head = b""
    found = media_of(head)
    if found is None or (declared and found.type != declared):
        if not declared:
            return None
        found = Media(declared)
    return Embedded(found, start, (len(text) - start) * 3 // 4 - text.count("=", len(text) - 2))


def png(pixels: bytes, mode: str, width: int, height: int) -> bytes:
    """Write pixels as a PNG.

    Args:
        pixels: Row by row, one byte per channel.
        mode: "L", "LA", "RGB" or "RGBA".
        width: Pixels per row.
        height: Number of rows.
    """
    row = width * PNG_MODES[mode]
    # Each row begins with the number of its filter; 0 means none.
    raw = b"".join(b"\0" + pixels[at : at + row] for at in range(0, row * height, row))
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[mode], 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(raw, 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
