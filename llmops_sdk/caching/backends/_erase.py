"""Change a cache from outside the programs that use it: erase it, count its answers, remove some."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NoReturn

from llmops_sdk._util._private_files import folder_problem
from llmops_sdk.caching.backends._disk import DATABASE, WITH_KEY, WITH_TAG, key_range
from llmops_sdk.caching.backends._generation import Generation
from llmops_sdk.errors import StoreError

__all__ = ["count_answers", "databases", "erase", "has_table", "remove"]

_WAIT = 10.0
_TIERS = frozenset({"exact", "functions", "semantic", "functions-semantic"})


def has_table(connection: sqlite3.Connection, name: str) -> bool:
    """Return whether a database has a table: a process that was killed while it made the database leaves none."""
    sql = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?"
    return bool(connection.execute(sql, (name,)).fetchone()[0])


def databases(folder: Path) -> list[Path]:
    """Return the databases below the folder of a cache, which need not exist.

    Nothing is left out in silence: a folder that is taken for empty would be reported as erased.

    Raises:
        StoreError: The folder, or a part of it, cannot be read, is a link, or can be changed by others: a store that
            comes from elsewhere must not lead to another program's database.
    """
    return sorted(_named(folder, {DATABASE}))


def _named(folder: Path, names: set[str]) -> Iterator[Path]:
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise StoreError(f"the cache {folder} is no folder: remove it, or set [cache] path", path=str(folder))
    # Links to folders are listed and not followed.
    for place, folders, files in os.walk(folder, onerror=_unreadable):
        for part in (Path(place), *(Path(place, name) for name in folders)):
            if problem := folder_problem(part):
                raise StoreError(f"the cache {part} {problem}", path=str(part))
        for name in _TIERS.intersection(files):
            path = Path(place, name)
            raise StoreError(f"the cache {path} is a file, and no folder: remove it", path=str(path))
        for name in names.intersection((*files, *folders)):
            file = Path(place, name)
            if not stat.S_ISREG(file.lstat().st_mode):
                raise StoreError(
                    f"the cache {file} is a link, or no file, and may lead elsewhere: remove it", path=str(file)
                )
            yield file


def _unreadable(error: OSError) -> NoReturn:
    raise StoreError(f"the cache {error.filename} cannot be read: {error.strerror}", path=error.filename) from error


def erase(folder: Path) -> int:
    """Remove every answer, overwrite its bytes, and return how many there were. Programs may use the cache meanwhile.

    Args:
        folder: The folder of the cache's tiers; it need not exist.

    Raises:
        StoreError: The cache cannot be changed, or another process keeps it busy.
    """
    found = databases(folder)
    # A damaged database was moved away, with answers that nobody can count.
    for left in _named(folder, {f"{DATABASE}{suffix}.damaged" for suffix in ("", "-wal", "-shm")}):
        left.unlink(missing_ok=True)
    return sum(map(_erase, found))


def count_answers(folder: Path) -> int:
    """Return how many answers `erase` would remove.

    Args:
        folder: The folder of the cache's tiers; it need not exist.

    Raises:
        StoreError: The cache cannot be read.
    """
    return sum(map(_count, databases(folder)))


def remove(folder: Path, *, tag: str | None = None, key: str | None = None) -> int:
    """Remove the entries of a tag or of the beginning of a key, and return how many there were.

    Args:
        folder: The folder of the cache's tiers; it need not exist.
        tag: A tag.
        key: A key or its beginning.

    Raises:
        StoreError: The cache cannot be changed, or another process keeps it busy.
    """
    return sum(_remove(database, tag, key) for database in databases(folder))


def _remove(database: Path, tag: str | None, key: str | None) -> int:
    try:
        with closing(sqlite3.connect(database, timeout=_WAIT, isolation_level=None)) as connection:
            if not has_table(connection, "Cache") or (tag is not None and not has_table(connection, "Tags")):
                return 0
            condition, values = (WITH_TAG, (tag,)) if tag is not None else (WITH_KEY, key_range(key or ""))
            count = connection.execute(f"DELETE FROM Cache WHERE {condition}", values).rowcount  # noqa: S608
    except sqlite3.Error as error:
        raise StoreError(f"the cache {database} cannot be changed: {error}; try again", path=str(database)) from error
    Generation(database.parent).change()
    return int(count)


def _count(database: Path) -> int:
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=_WAIT)) as connection:
            if not has_table(connection, "Cache"):
                return 0
            return int(connection.execute("SELECT count(*) FROM Cache").fetchone()[0])
    except sqlite3.Error as error:
        raise StoreError(f"the cache {database} cannot be read: {error}", path=str(database)) from error


def _erase(database: Path) -> int:
    try:
        with closing(sqlite3.connect(database, timeout=_WAIT, isolation_level=None)) as connection:
            connection.execute("PRAGMA secure_delete = ON")
            # A trigger deletes the tags, too.
            count = connection.execute("DELETE FROM Cache").rowcount if has_table(connection, "Cache") else 0
            # Free pages keep what was deleted earlier, and the journal has copies.
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        raise StoreError(
            f"the cache {database} cannot be erased: {error}; try again, or remove its folder", path=str(database)
        ) from error
    Generation(database.parent).change()
    return int(count)
