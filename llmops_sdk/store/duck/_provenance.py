"""Provenance in the metadata of a Parquet file, from which a lost manifest is rebuilt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import orjson

__all__ = ["KEY", "FileProvenance"]

KEY = "llmops"
"""The key of the provenance in the file's metadata."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileProvenance:
    """The origin of a file's rows."""

    generation: int
    """The generation of the first manifest that names the file."""
    stream: str
    version: int
    level: int
    written: float
    holds: Sequence[str] = ()
    """The segments whose lines are in the file."""
    thinned: bool = False
    replaces: Sequence[str] = ()
    """The Parquet files whose rows are in the file."""

    def encode(self) -> str:
        """Return the JSON for the file's metadata."""
        return orjson.dumps(asdict(self)).decode()
