"""Move images and other media that stand in messages as base64 to files, as capture does for arguments."""

from __future__ import annotations

import re

from llmops_sdk.tracing.capture import _blobs
from llmops_sdk.tracing.capture._media import Embedded, Media, embedded_media, suffix_of
from llmops_sdk.tracing.records._losses import record_loss

__all__ = ["MIN_MEDIA_TEXT", "media_uri", "without_media"]

MIN_MEDIA_TEXT = 16_384
"""Characters of base64 that may stay inside a message."""

_BASE64 = re.compile(rf"(?:data:[a-z]+/[a-z0-9.+-]+;base64,)?[A-Za-z0-9+/]{{{MIN_MEDIA_TEXT},}}+={{0,2}}")


def media_uri(text: str, media_type: str | None = None) -> str | None:
    """Return how a message refers to the file of its media: a path inside the store's folder, or only the digest.

    Args:
        text: A data URL, or bare base64.
        media_type: The type of bare base64 if the message tells it.

    Returns:
        The reference, or None if the text is short or no media.
    """
    if len(text) < MIN_MEDIA_TEXT:
        return None
    found = embedded_media(text)
    if found is None and media_type is not None and "/" in media_type:
        found = Embedded(Media(media_type), 0, len(text) * 3 // 4)
    if found is None:
        return None
    limit = _blobs.max_blob_bytes()
    if found.size > limit:
        if limit:
            record_loss("blob", "too_large", 1, found.size)
        return f"{found.media.type}, {found.size} bytes"
    fields = _blobs.defer(lambda: found.content(text), text, suffix_of(found.media.type))
    if fields is None:
        return f"{found.media.type}, {found.size} bytes"
    return fields.get("path") or f"sha256:{fields['sha256']}"


def without_media(text: str) -> str:
    """Return the text with a reference in place of each long base64 of known media."""
    if len(text) < MIN_MEDIA_TEXT:
        return text
    return _BASE64.sub(lambda match: media_uri(match[0]) or match[0], text)
