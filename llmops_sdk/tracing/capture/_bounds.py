"""Define how much of a value to capture."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["DEFAULT_BOUNDS", "Bounds"]


class Bounds(NamedTuple):
    """How much of a value to capture: bytes of JSON, levels, items per container, bytes of a media file."""

    max_bytes: int = 65_536
    max_depth: int = 12
    max_items: int = 1_000
    max_blob_bytes: int = 8 * 1024 * 1024


DEFAULT_BOUNDS = Bounds()
