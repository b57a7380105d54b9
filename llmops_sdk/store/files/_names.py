"""Names of files that the store's own files contain: `FOLDER/NAME` in a fixed form, so that no name leads outside.

A store may come from elsewhere, in a cloned repository for example. Every name that is read from a manifest, from the
metadata of a Parquet file or from a cursor goes through this module before anything opens or removes the file.
"""

from __future__ import annotations

import math
import re
from typing import Any

from llmops_sdk.store.schema._views import RECORD_STREAMS

__all__ = [
    "BLOB",
    "DATA_FILE",
    "OWNER",
    "SEGMENT",
    "data_file_name",
    "finite",
    "known_name",
    "segment_name",
    "whole_number",
]

SEGMENT = re.compile(r"[A-Za-z0-9_]{1,80}-[0-9]{1,10}-[0-9a-z]{1,32}-[0-9]{1,19}\.v([0-9]{1,4})\.ndjson")
"""The name of a segment: host, process, token, number and the writer's schema version."""
DATA_FILE = re.compile(r"L[0-9]{1,4}-[0-9]{8,19}-[0-9a-f]{32}\.parquet")
"""The name of a Parquet file: level, generation and token."""
BLOB = re.compile(r"[0-9a-f]{64}\.[a-z0-9]{1,5}")
OWNER = re.compile(r"[0-9a-f]{32}")
"""The name of the process that owns a segment of an outbox."""


def segment_name(name: object) -> str:
    """Return the name of a segment, as in "wal/host-1-0f…-1.v2.ndjson".

    Args:
        name: A value read from disk.

    Raises:
        ValueError: It has another form.
    """
    return _checked(name, {stream.segment_folder for stream in RECORD_STREAMS.values()}, SEGMENT)


def data_file_name(name: object) -> str:
    """Return the name of a Parquet file, as in "spans/L0-00000001-0f….parquet".

    Args:
        name: A value read from disk.

    Raises:
        ValueError: It has another form.
    """
    return _checked(name, {stream.parquet_folder for stream in RECORD_STREAMS.values()}, DATA_FILE)


def known_name(name: object) -> str:
    """Return the name of a segment or of a Parquet file.

    Args:
        name: A value read from disk.

    Raises:
        ValueError: It has another form.
    """
    return data_file_name(name) if isinstance(name, str) and name.endswith(".parquet") else segment_name(name)


def _checked(name: object, folders: set[str], form: re.Pattern[str]) -> str:
    if isinstance(name, str):
        folder, slash, file = name.partition("/")
        if slash and folder in folders and form.fullmatch(file):
            return name
    raise ValueError(f"{_shown(name)} is not the name of a file of a store")


def whole_number(value: Any, *, least: int = 0, most: int = 2**63 - 1) -> int:
    """Return a whole number read from disk.

    Args:
        value: The value.
        least: The smallest allowed number.
        most: The largest one.

    Raises:
        ValueError: It is no whole number, or out of these bounds.
    """
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
        return value
    raise ValueError(f"{_shown(value)} is not a number from {least} to {most}")


def finite(value: Any) -> float:
    """Return a finite number read from disk.

    Args:
        value: The value.

    Raises:
        ValueError: It is no number, infinite or not a number.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise ValueError(f"{_shown(value)} is not a finite number")


def _shown(value: object) -> str:
    return ascii(value)[:120]
