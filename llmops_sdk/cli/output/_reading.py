"""Find and query the store, and print rows."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_sdk.cli.output._formats import Format, write_rows
from llmops_sdk.errors import StoreError

if TYPE_CHECKING:
    from llmops_sdk.store import Result

__all__ = ["existing_store", "query", "show", "store_folder"]


def store_folder(store: Path | None) -> Path:
    """Return the given folder, else the configured one, as an absolute path."""
    if store is not None:
        return store.expanduser().absolute()
    from llmops_sdk.config import current

    return current().store.path.absolute()


def existing_store(store: Path | None) -> Path:
    """Return the store's folder.

    Raises:
        StoreError: The folder does not exist, or has other files and no store.
    """
    folder = store_folder(store)
    if not folder.is_dir():
        raise StoreError(
            f"there is no store at {folder}: run a program that makes calls, or name another store with --store PATH",
            path=str(folder),
        )
    from llmops_sdk.store.reading._query import is_store

    if not is_store(folder) and any(folder.iterdir()):
        raise StoreError(
            f"{folder} is no store of traces, and has other files: name a store with --store PATH", path=str(folder)
        )
    return folder


def query(
    sql: str,
    params: Mapping[str, Any] | None = None,
    *,
    store: Path | None,
    timeout: float | None = None,
    isolated: bool = False,
) -> Result:
    """Run one query on an existing store.

    Raises:
        QueryError: The SQL is not valid, not allowed, or took longer than `timeout` seconds.
        StoreError: The store does not exist or cannot be read.
    """
    folder = existing_store(store)
    from llmops_sdk.store import query as run

    return run(sql, params or None, path=folder, timeout=timeout, isolated=isolated)


def show(form: Format, columns: Sequence[str], rows: Sequence[Sequence[Any]], limit: int) -> None:
    """Write at most `limit` rows to stdout (0: all), and the number of omitted rows to stderr."""
    shown = rows[:limit] if limit else rows
    write_rows(form, columns, shown, sys.stdout)
    if len(shown) < len(rows):
        sys.stdout.flush()  # keep the order when stdout and stderr go to the same place
        print(f"{len(rows) - len(shown)} more rows; --limit 0 shows all", file=sys.stderr)
