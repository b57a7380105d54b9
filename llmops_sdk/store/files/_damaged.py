"""Put damaged files aside, so that the rest of the store can be read."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from llmops_sdk.store.files._manifest import DataFile
from llmops_sdk.store.files._names import DATA_FILE, data_file_name

__all__ = ["DAMAGED", "damaged_files", "leave_out", "readable_files", "remove_damaged", "set_aside", "warn"]

DAMAGED = "damaged"
"""The folder for damaged files."""

_log = logging.getLogger("llmops_sdk")
_warned: set[Path] = set()
_left_out: set[Path] = set()
"""Damaged files of stores that this process cannot change."""


def leave_out(files: Iterable[Path]) -> None:
    """Leave damaged files out of this process's queries.

    Args:
        files: The files.
    """
    _left_out.update(files)


def readable_files(store: Path, files: Sequence[DataFile]) -> tuple[DataFile, ...]:
    """Return the files without those that this process has found damaged and could not move.

    Args:
        store: The store's folder.
        files: The files of its manifest.
    """
    return tuple(file for file in files if store / file.name not in _left_out)


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
        warn(store / name, f"{reason}; it is now in {store / DAMAGED}", rows)
        return True
    return False


def warn(file: Path, reason: str, rows: int | None) -> None:
    """Log that a file is left out.

    Args:
        file: The file.
        reason: What is wrong with it.
        rows: The number of its rows, if it is known.
    """
    if file in _warned:
        return
    _warned.add(file)
    _log.warning(
        "llmops: %s is damaged (%s): queries answer without its %s. Restore it from a backup if you have one",
        file,
        reason.partition("\n")[0][:300],
        "rows" if rows is None else f"{rows:,} rows",
    )


def remove_damaged(store: Path) -> None:
    """Remove the damaged files: nobody can tell whose data is in them.

    Args:
        store: The store's folder; the caller holds its lock.
    """
    for file in damaged_files(store):
        file.unlink(missing_ok=True)


def damaged_files(store: Path) -> list[Path]:
    """Return the damaged files that were put aside.

    Args:
        store: The store's folder.
    """
    try:
        entries = list(os.scandir(store / DAMAGED))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [Path(one.path) for one in entries if DATA_FILE.fullmatch(one.name) and one.is_file(follow_symlinks=False)]
