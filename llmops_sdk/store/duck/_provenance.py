"""Provenance in the metadata of a Parquet file, from which a lost manifest is rebuilt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import orjson

from llmops_sdk.store.files._names import data_file_name, finite, segment_name, whole_number
from llmops_sdk.store.schema._views import RECORD_STREAMS

__all__ = ["KEY", "FileProvenance", "decode"]

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


def decode(text: bytes) -> FileProvenance:
    """Return the provenance in a file's metadata.

    Args:
        text: The JSON.

    Raises:
        ValueError: It is damaged, or names files outside a store.
    """
    content: Any = orjson.loads(text)
    try:
        found = FileProvenance(**content)
        stream = RECORD_STREAMS[found.stream]
        for number in (found.generation, found.version, found.level):
            whole_number(number, most=2**53)
        finite(found.written)
        return replace(
            found,
            holds=_names(found.holds, segment_name, stream.segment_folder),
            replaces=_names(found.replaces, data_file_name, stream.parquet_folder),
            thinned=bool(found.thinned),
        )
    except (TypeError, KeyError) as error:
        raise ValueError(f"its provenance is damaged: {error}") from error


def _names(names: Sequence[object], checked: Callable[[object], str], folder: str) -> tuple[str, ...]:
    found = tuple(map(checked, names))
    if any(not name.startswith(f"{folder}/") for name in found):
        raise ValueError(f"it names files outside {folder}")
    return found
