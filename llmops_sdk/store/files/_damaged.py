"""Put damaged files aside, so that the rest of the store can be read."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

from llmops_sdk.store.files._names import data_file_name

__all__ = ["DAMAGED", "set_aside"]

DAMAGED = "damaged"
"""The folder for damaged files."""

_log = logging.getLogger("llmops_sdk")


def set_aside(store: Path, name: str, reason: str, *, rows: int | None) -> bool:
    """Move a damaged Parquet file into the folder `damaged` and warn; return whether it was still there.

    Args:
        store: The store's folder; the caller holds its lock.
        name: The file's name, as in the manifest.
        reason: What is wrong with it.
        rows: The number of its rows, if it is known.
    """
    file = data_file_name(name).partition("/")[2]
    (store / DAMAGED).mkdir(mode=0o700, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        (store / name).rename(store / DAMAGED / file)
        _log.warning(
            "llmops: %s was damaged and is now in %s (%s); %s. Restore it from a backup if you have one",
            store / name,
            store / DAMAGED,
            reason.partition("\n")[0][:300],
            "its rows are unknown" if rows is None else f"its {rows:,} rows are missing from queries",
        )
        return True
    return False
