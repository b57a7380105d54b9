"""Read a store under a lease, and read again when its files have changed meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from llmops_sdk.store.duck._sources import read_sources
from llmops_sdk.store.files._layout import Sources

__all__ = ["leased", "retried"]

_T = TypeVar("_T")

_TRIES = 10


@contextmanager
def leased(folder: Path, *, keep: bool = False) -> Generator[Sources]:
    """Yield the files to read, under a lease that keeps them on disk; `keep` keeps the lease after success.

    Raises:
        StoreError: The store cannot be read, or a newer version of the SDK wrote it.
    """
    sources = read_sources(folder)
    try:
        yield sources
    except BaseException:
        keep = False
        raise
    finally:
        if sources.lease is not None and not keep:
            sources.lease.release()


def retried(attempt: Callable[[], _T], folder: Path) -> _T:
    """Return the result of `attempt`; try again when a listed file has been dropped, compacted or damaged since.

    Args:
        attempt: Reads the store.
        folder: The store's folder.
    """
    from llmops_sdk.store.duck._errors import is_missing_file
    from llmops_sdk.store.duck._sql import duckdb

    for number in range(_TRIES):
        try:
            return attempt()
        except duckdb.Error as error:
            if is_missing_file(error) and number < _TRIES - 1:
                continue
            from llmops_sdk.store.duck._repair import avoid_damaged_files

            if not avoid_damaged_files(folder, error):
                raise
    return attempt()
