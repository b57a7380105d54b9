"""Every answer out of a cache, so that no byte of them is left in its files."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from llmops_sdk.caching._disk import DATABASE
from llmops_sdk.errors import StoreError

__all__ = ["erase"]

_WAIT = 10.0


def erase(folder: Path) -> int:
    """Remove every answer and overwrite where it stood; how many there were. Programs may use the cache meanwhile.

    Args:
        folder: The folder of its tiers; it need not be there.

    Raises:
        StoreError: The cache cannot be changed, or another process kept it busy.
    """
    return sum(_erase(database) for database in sorted(folder.rglob(DATABASE)))


def _erase(database: Path) -> int:
    try:
        with closing(sqlite3.connect(database, timeout=_WAIT, isolation_level=None)) as connection:
            connection.execute("PRAGMA secure_delete = ON")
            count = connection.execute("DELETE FROM Cache").rowcount
            # What earlier deletions left in free pages, and the journal's copies.
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return int(count)
    except sqlite3.Error as error:
        raise StoreError(
            f"the cache {database} cannot be erased: {error}; try again, or remove its folder", path=str(database)
        ) from error
