"""How the commands reach the store, and how they show rows."""

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
    """The store's folder: the one given, else that of the settings."""
    if store is not None:
        return store.expanduser().absolute()
    from llmops_sdk.config import current

    return current().store.path.absolute()


def existing_store(store: Path | None) -> Path:
    """The store's folder, which must be there: a command makes none.

    Raises:
        StoreError: It is not.
    """
    folder = store_folder(store)
    if not folder.is_dir():
        raise StoreError(
            f"there is no store at {folder}: run a program that makes calls, or name another store with --store PATH",
            path=str(folder),
        )
    return folder


def query(
    sql: str, params: Mapping[str, Any] | None = None, *, store: Path | None, timeout: float | None = None
) -> Result:
    """The rows of one query on a store that must be there: a command that reads makes none.

    Raises:
        QueryError: The SQL is not valid, not allowed, or took longer than `timeout` seconds.
        StoreError: There is no store, or it cannot be read.
    """
    folder = existing_store(store)
    from llmops_sdk.store import query as run

    return run(sql, params or None, path=folder, timeout=timeout)


def show(form: Format, columns: Sequence[str], rows: Sequence[Sequence[Any]], limit: int) -> None:
    """Write at most `limit` rows to stdout (0 is all), and on stderr how many there are besides."""
    shown = rows[:limit] if limit else rows
    write_rows(form, columns, shown, sys.stdout)
    if len(shown) < len(rows):
        sys.stdout.flush()  # so that the note comes after the rows where both go to one place
        print(f"{len(rows) - len(shown)} more rows; --limit 0 shows all", file=sys.stderr)
