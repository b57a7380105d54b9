"""List what the caches on this machine hold, for the command line."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import orjson

from llmops_sdk.caching.backends._erase import databases, has_table
from llmops_sdk.caching.backends._open import SEMANTIC
from llmops_sdk.errors import StoreError

__all__ = ["CacheTier", "ListedEntry", "list_entries", "list_tiers"]

_WAIT = 5.0


class CacheTier(NamedTuple):
    """One tier of a cache.

    Attributes:
        name: "exact", "functions", "semantic", or "functions-semantic/semantic" of cached functions.
        folder: Its folder.
        entries: How many answers it holds, expired ones included.
        bytes: Their size on the disk.
    """

    name: str
    folder: Path
    entries: int
    bytes: int


class ListedEntry(NamedTuple):
    """One stored answer.

    Attributes:
        tier: The tier's name.
        key: The key of the exact tier, or the number of the semantic one.
        stored_at: Seconds since the epoch, or None where an entry does not say.
        expires_at: Seconds since the epoch, or None for no limit.
        bytes: The size of the answer.
        tags: Its tags.
        text: The question; only the semantic tier keeps it.
    """

    tier: str
    key: str
    stored_at: float | None
    expires_at: float | None
    bytes: int
    tags: list[str]
    text: str | None


def list_tiers(folder: Path) -> list[CacheTier]:
    """Return the tiers in the folder of a cache.

    Raises:
        StoreError: A folder or a database cannot be read.
    """
    found: list[CacheTier] = []
    for database in databases(folder):
        with _reading(database) as db:
            (count,) = db.execute("SELECT count(*) FROM Cache").fetchone() if has_table(db, "Cache") else (0,)
        size = sum(path.stat().st_size for path in database.parent.iterdir() if path.is_file())
        found.append(CacheTier(_tier(folder, database), database.parent, int(count), size))
    return found


def _tier(folder: Path, database: Path) -> str:
    return database.parent.relative_to(folder).as_posix()


def list_entries(folder: Path, *, key: str | None = None, limit: int) -> list[ListedEntry]:
    """Return the latest entries of every tier in the folder of a cache.

    Args:
        folder: The folder.
        key: The beginning of a key, or None for all.
        limit: The most entries of a tier; 0 for all.

    Raises:
        StoreError: A folder or a database cannot be read.
    """
    entries: list[ListedEntry] = []
    for database in databases(folder):
        read = _semantic_entries if database.parent.name == SEMANTIC else _exact_entries
        with _reading(database) as db:
            if has_table(db, "Cache"):
                entries += read(db, _tier(folder, database), key, limit or -1)
    return entries


def _exact_entries(db: sqlite3.Connection, tier: str, key: str | None, limit: int) -> Iterator[ListedEntry]:
    sql = (
        "SELECT key, expire_time, value, store_time, "
        "(SELECT json_group_array(tag) FROM Tags WHERE Tags.key = Cache.key) "
        "FROM Cache WHERE ?1 IS NULL OR (typeof(key) = 'text' AND substr(key, 1, length(?1)) = ?1) "
        "ORDER BY store_time DESC LIMIT ?2"
    )
    for name, expires_at, value, stored_at, tags in db.execute(sql, (key, limit)):
        if isinstance(name, str) and isinstance(value, bytes):
            yield ListedEntry(tier, name, stored_at, expires_at, len(value), orjson.loads(tags), None)


def _semantic_entries(db: sqlite3.Connection, tier: str, key: str | None, limit: int) -> Iterator[ListedEntry]:
    sql = (
        "SELECT key, expires_at, length(value), stored_at, text, "
        "(SELECT json_group_array(tag) FROM Tags WHERE Tags.key = Cache.key) "
        "FROM Cache WHERE ?1 IS NULL OR CAST(key AS TEXT) = ?1 ORDER BY key DESC LIMIT ?2"
    )
    for number, expires_at, size, stored_at, text, tags in db.execute(sql, (key, limit)):
        shown = text if isinstance(text, str) else None
        yield ListedEntry(tier, str(number), stored_at, expires_at, int(size or 0), orjson.loads(tags), shown)


@contextmanager
def _reading(database: Path) -> Generator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=_WAIT)) as db:
            yield db
    except sqlite3.Error as error:
        raise StoreError(f"the cache {database} cannot be read: {error}", path=str(database)) from error
