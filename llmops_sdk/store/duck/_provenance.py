"""What a Parquet file says of itself, so that a lost manifest can be made again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import orjson

__all__ = ["KEY", "FileProvenance"]

KEY = "llmops"
"""Its key in the file's metadata."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileProvenance:
    """Where a file's rows come from."""

    generation: int
    """The first one whose manifest names the file."""
    stream: str
    version: int
    level: int
    written: float
    holds: Sequence[str] = ()
    """The segments whose lines it has."""
    thinned: bool = False
    replaces: Sequence[str] = ()
    """The Parquet files whose rows it has."""

    def encode(self) -> str:
        """As it stands in the file."""
        return orjson.dumps(asdict(self)).decode()
