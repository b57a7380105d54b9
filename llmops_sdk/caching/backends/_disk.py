"""Bytes by key on this machine's disk: diskcache, hardened so that it never unpickles.

The one module that imports diskcache. diskcache's own `Disk` runs any pickle in a row (CVE-2025-69872). `_BytesDisk`
reads and writes only bytes in the row itself: a write is one transaction, and no row can make it open or remove a file.

diskcache has one tag for each entry, so the tags are in a table of their own, in the same transactions. Triggers
remove them with their value: the table is bounded as the entries are.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Generator, Hashable, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar, cast

import diskcache

from llmops_sdk._util._private_files import folder_problem
from llmops_sdk.caching.backends._disk_flights import DiskFlights
from llmops_sdk.caching.backends._generation import Generation
from llmops_sdk.caching.backends._protocol import BackendError, DamagedError
from llmops_sdk.errors import StoreError

__all__ = [
    "DATABASE",
    "WITH_KEY",
    "WITH_TAG",
    "DiskBackend",
    "check_database",
    "file_identity",
    "key_range",
    "prepare_folder",
    "set_aside",
]

_T = TypeVar("_T")

DATABASE = "cache.db"

_MODE_RAW = 1  # diskcache's mark of a value that is in the row itself

# diskcache has no types.
_Disk: Any = diskcache.Disk
_Cache: Any = diskcache.Cache
_Timeout: type[Exception] = cast("Any", diskcache).Timeout

_TAGS = (
    "CREATE TABLE IF NOT EXISTS Tags (tag TEXT NOT NULL, key TEXT NOT NULL, PRIMARY KEY (tag, key)) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS Tags_key ON Tags (key)",
    (
        "CREATE TRIGGER IF NOT EXISTS Tags_of_deleted AFTER DELETE ON Cache FOR EACH ROW BEGIN "
        "DELETE FROM Tags WHERE key = OLD.key; END"
    ),
    (
        "CREATE TRIGGER IF NOT EXISTS Tags_of_replaced AFTER UPDATE OF value ON Cache FOR EACH ROW BEGIN "
        "DELETE FROM Tags WHERE key = OLD.key; END"
    ),
)

_COLUMNS = frozenset(
    {"key", "raw", "store_time", "expire_time", "access_time", "mode", "value"}
)  # of diskcache's table
_TABLES = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"
_FIRST = frozenset({"Settings"})
"""What a cache that is being made has before its other tables."""
_SHOWN, _MOST_SHOWN = 5, 200  # tables and characters of an error

WITH_TAG = "key IN (SELECT key FROM Tags WHERE tag = ?)"
WITH_KEY = "key >= ? AND key < ?"


def key_range(key: str) -> tuple[str, str]:
    """Return the values of `WITH_KEY` for a key and all that begin with it; keys are ASCII."""
    return key, f"{key}\x7f"


class _ForeignRowError(Exception):
    """A row that this module did not write."""


class _BytesDisk(_Disk):
    """Text keys, and bytes in the row as values; it writes and reads nothing else."""

    def put(self, key: Any) -> tuple[str, bool]:
        if type(key) is not str:
            raise TypeError(f"a cache key must be text, not {type(key).__name__}")
        return key, True

    def get(self, key: Any, raw: bool) -> str:
        if not raw or type(key) is not str:
            raise _ForeignRowError
        return key

    def store(self, value: Any, read: bool, key: Any = None) -> tuple[int, int, None, memoryview]:  # noqa: ARG002
        if type(value) is not bytes:
            raise TypeError(f"a cached value must be bytes, not {type(value).__name__}")
        return 0, _MODE_RAW, None, memoryview(value)

    def fetch(self, mode: Any, filename: Any, value: Any, read: bool) -> bytes:
        if mode != _MODE_RAW or filename is not None or read or type(value) is not bytes:
            raise _ForeignRowError
        return value

    def remove(self, file_path: Any) -> None:
        """Do nothing: the cache has no files, and a planted row may name any."""


class DiskBackend:
    """A `CacheBackend` in a folder of its own.

    Args:
        folder: Where; made with mode 0700, the files in it with 0600.
        max_bytes: Above this size the least recently used entries are evicted.
    """

    workers = 1

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        self.place = str(folder)
        self._folder = folder
        self._max_bytes = max_bytes
        self._cache: Any = None
        self._opened: tuple[int, int] | None = None
        self._flights = DiskFlights(folder)
        self._generation = Generation(folder)

    def get(self, key: str) -> bytes | None:
        return self._use(self._get, key)

    def set(self, key: str, value: bytes, ttl: float | None, tags: Sequence[str]) -> bool:
        # One entry must not evict all the others.
        return len(value) <= self._max_bytes // 8 and self._use(self._set, key, value, ttl, tags)

    def discard(self, key: str) -> None:
        self._use(_discard, key)

    def delete(self, key: str) -> int:
        return self._use(self._delete, WITH_KEY, key_range(key))

    def delete_tag(self, tag: str) -> int:
        return self._use(self._delete, WITH_TAG, (tag,))

    def clear(self) -> int:
        return self._use(_clear)

    def size(self) -> tuple[int, int]:
        return self._use(_size)

    def generation(self) -> Hashable | None:
        return self._generation.current()

    def invalidated(self) -> None:
        self._generation.change()

    def acquire(self, key: str, token: str) -> bool:
        return self._flights.acquire(key, token)

    def release(self, key: str, token: str, note: str) -> None:
        self._flights.release(key, token, note)

    def mark(self, key: str) -> str:
        return self._flights.mark(key)

    def close(self) -> None:
        cache, self._cache = self._cache, None
        if cache is not None:
            cache.close()

    def _use(self, work: Callable[..., _T], *args: Any) -> _T:
        """Do the work on the database; open it if it is not open."""
        with self._failing():
            if self._cache is not None and file_identity(self._folder / DATABASE) != self._opened:
                self.close()  # the file was removed or set aside
            if self._cache is None:
                self._opened = None
                self._cache = self._open()
                self._opened = file_identity(self._folder / DATABASE)
            return work(self._cache, *args)

    @contextmanager
    def _failing(self) -> Generator[None]:
        try:
            yield
        except (sqlite3.Error, _Timeout, OSError) as error:
            # The connection may be in the middle of a transaction; only a new one is sure to work.
            self.close()
            if type(error) is sqlite3.DatabaseError:  # not a subclass: the file is damaged and will never work again
                set_aside(self._folder / DATABASE, self._opened)
                raise DamagedError(f"the cache {self._folder} is damaged and was set aside: {error}") from error
            raise BackendError(f"the cache {self._folder} failed: {error}") from error

    @staticmethod
    def _get(cache: Any, key: str) -> bytes | None:
        try:
            return cache.get(key)
        except _ForeignRowError:
            cache.delete(key)
            return None

    @staticmethod
    def _set(cache: Any, key: str, value: bytes, ttl: float | None, tags: Sequence[str]) -> bool:
        if not tags:
            return bool(cache.set(key, value, expire=ttl))
        with cache.transact():
            stored = cache.set(key, value, expire=ttl)
            sql = cache._sql  # diskcache has no other way into its transactions
            for tag in tags:
                sql("INSERT OR IGNORE INTO Tags (tag, key) VALUES (?, ?)", (tag, key))
        return bool(stored)

    @staticmethod
    def _delete(cache: Any, condition: str, values: tuple[str, ...]) -> int:
        with cache.transact():
            deleted = cache._sql(f"DELETE FROM Cache WHERE {condition}", values)  # noqa: S608 - our own texts
            return int(deleted.rowcount)

    def _open(self) -> Any:
        prepare_folder(self._folder)
        check_database(self._folder / DATABASE, _COLUMNS)
        self._generation.make()
        opened = _Cache(
            self.place,
            timeout=1,
            disk=_BytesDisk,
            size_limit=self._max_bytes,
            eviction_policy="least-recently-used",
            cull_limit=10,
            statistics=0,
            tag_index=0,
            sqlite_mmap_size=0,  # another process that truncates the file would kill one that has it mapped
        )
        for statement in _TAGS:
            opened._sql_retry(statement)
        return opened


def _discard(cache: Any, key: str) -> None:
    cache.delete(key)


def _clear(cache: Any) -> int:
    return cache.clear()


def _size(cache: Any) -> tuple[int, int]:
    return len(cache), cache.volume()


def prepare_folder(folder: Path) -> None:
    """Make the folder of a database, which belongs to this user alone, and an empty database where there is none.

    Raises:
        StoreError: Others may write the folder.
        OSError: It cannot be made.
    """
    problem = folder_problem(folder)
    if problem is not None and (folder.is_symlink() or any(folder.iterdir())):
        raise StoreError(f"the cache {folder} {problem}; set [cache] path to change the folder", path=str(folder))
    for missing in reversed([path for path in (folder, *folder.parents) if not path.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    # SQLite gives its other files the mode of the database.
    descriptor = os.open(folder / DATABASE, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def check_database(database: Path, columns: frozenset[str]) -> None:
    """Check that a database, if there is one, is a cache's: another one would fail at every use. Only read it.

    Args:
        database: The file.
        columns: What the table `Cache` has at least.

    Raises:
        StoreError: It is a database of another program.
    """
    if not database.is_file() or not database.stat().st_size:
        return
    tables: list[str] = []
    with suppress(sqlite3.Error, OSError):  # what cannot be read now is a failure at the use that follows
        address = f"{database.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=0.1)) as connection:
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("BEGIN")  # another process may be making the cache between the two questions
            found = {str(row[1]) for row in connection.execute("PRAGMA table_info(Cache)")}
            if not found >= columns:
                tables = [str(name) for (name,) in connection.execute(_TABLES)]
    if set(tables) - _FIRST:
        shown = ", ".join(sorted(tables)[:_SHOWN])[:_MOST_SHOWN]
        raise StoreError(
            f"{database} is a database of another program (its tables: {shown}): give the cache another folder "
            "([cache] path, or the argument path), or move that file away",
            path=str(database),
        )


def file_identity(database: Path) -> tuple[int, int] | None:
    """Return what tells a file from another one at the same path, or None without one; this takes a microsecond."""
    try:
        state = os.stat(database, follow_symlinks=False)  # noqa: PTH116 - on the path of every use
    except OSError:
        return None
    return state.st_dev, state.st_ino


def set_aside(database: Path, opened: tuple[int, int] | None = None) -> None:
    """Move a damaged database away, so that the next use begins a new one.

    Args:
        database: The file.
        opened: The identity of the damaged file. If another one is there now, another process has moved it away.
    """
    if opened is not None and file_identity(database) != opened:
        return
    for suffix in ("", "-wal", "-shm"):
        path = database.with_name(database.name + suffix)
        if path.exists():
            path.replace(path.with_name(f"{path.name}.damaged"))
