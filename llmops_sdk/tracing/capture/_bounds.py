"""How much of a value is captured."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["DEFAULT_BOUNDS", "Bounds"]


class Bounds(NamedTuple):
    """How much of a value is kept."""

    max_bytes: int = 65_536
    max_depth: int = 12
    max_items: int = 1_000
    max_blob_bytes: int = 8 * 1024 * 1024


DEFAULT_BOUNDS = Bounds()
