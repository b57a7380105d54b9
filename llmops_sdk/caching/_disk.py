"""Bytes by key on this machine's disk: diskcache, hardened so that it never unpickles.

The one module that imports diskcache. diskcache's own `Disk` runs any pickle in a row (CVE-2025-69872). `_BytesDisk`
reads and writes only bytes in the row itself: a write is one transaction, and no row can make it open or remove a file.

One thread does all the work: it has one connection, which `close` closes, and every wait has a bound, also for
diskcache's own retries. Any failure is a miss and logs one warning.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import diskcache

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk._util._guard import guarded
from llmops_sdk._util._private_files import folder_problem
from llmops_sdk.errors import StoreError

__all__ = ["DATABASE", "DiskStore"]

_T = TypeVar("_T")

_WAIT = 2.0
"""Seconds that a call waits for the disk; then it goes on without it."""
_BACKOFF = 5.0
"""Seconds after a failure or a time-out in which nobody uses the disk."""
DATABASE = "cache.db"

_MODE_RAW = 1  # diskcache's mark of a value that is in the row itself

_Disk: Any = diskcache.Disk  # diskcache has no types


class _Cache(Protocol):
    """The part of `diskcache.Cache` that is used here."""

    def get(self, key: str) -> bytes | None: ...
    def set(self, key: str, value: bytes, expire: float | None = None) -> bool: ...
    def delete(self, key: str) -> bool: ...
    def clear(self) -> int: ...
    def volume(self) -> int: ...
    def __len__(self) -> int: ...
    def close(self) -> None: ...


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


class _Session:
    """What one process has open; a forked child begins its own."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="llmops-cache")
        self.cache: _Cache | None = None
        self.failed_at = float("inf")


# A forked child must neither use nor close the parent's connections; this list keeps them from the garbage collector.
_parent_sessions: list[_Session] = []


class DiskStore:
    """Bytes by key in a folder of its own.

    Args:
        folder: Where; made with mode 0700, the database in it with 0600.
        max_bytes: Above this size the least recently used entries are evicted.
        clock: The time, for the back-off after a failure.
    """

    def __init__(self, folder: Path, *, max_bytes: int, clock: Clock = SYSTEM_CLOCK) -> None:
        self.folder = folder
        self._max_bytes = max_bytes
        self._clock = clock
        self._session = _Session()

    def get(self, key: str, read: Callable[[bytes], _T | None]) -> _T | None:
        """Return what `read` makes of the bytes of a key, or None; remove bytes of which it makes None."""
        return self._sync("read", None, _get, key, read)

    async def aget(self, key: str, read: Callable[[bytes], _T | None]) -> _T | None:
        """Return what `read` makes of the bytes of a key, as `get` does, async."""
        return await self._async("read", None, _get, key, read)

    def put(self, key: str, value: bytes, ttl: float | None) -> bool:
        """Store bytes for `ttl` seconds (None: no limit), and return whether they are on the disk."""
        return self._sync("write", False, self._put, key, value, ttl)

    async def aput(self, key: str, value: bytes, ttl: float | None) -> bool:
        """Store bytes for `ttl` seconds, as `put` does, async."""
        return await self._async("write", False, self._put, key, value, ttl)

    def clear(self) -> int:
        """Remove every entry, and return how many there were."""
        return self._sync("clear", 0, _clear)

    def size(self) -> tuple[int, int]:
        """Return the number of entries, and the bytes on disk."""
        return self._sync("size", (0, 0), _size)

    def close(self) -> None:
        """Close the database and end the thread; the next use opens both again."""
        session, self._session = self._session, _Session()
        if session.pid != os.getpid():
            _parent_sessions.append(session)
            return
        try:
            closing = session.thread.submit(_close, session)
        except RuntimeError:
            return  # the interpreter is ending and its executors have ended: the database closes with the process
        guarded("cache close", None, closing.result, _WAIT)
        session.thread.shutdown(wait=False)

    def _put(self, cache: _Cache, key: str, value: bytes, ttl: float | None) -> bool:
        # One entry must not evict all the others.
        return len(value) <= self._max_bytes // 8 and cache.set(key, value, expire=ttl)

    def _sync(self, what: str, default: _T, work: Callable[..., _T], *args: Any) -> _T:
        if self._is_backing_off(self._session):
            return default
        return guarded(f"cache {what}", default, lambda: self._result(self._submit(default, work, args), _WAIT))

    async def _async(self, what: str, default: _T, work: Callable[..., _T], *args: Any) -> _T:
        if self._is_backing_off(self._session):
            return default
        future = guarded(f"cache {what}", None, self._submit, default, work, args)
        if future is None:
            return default
        waiting = asyncio.wrap_future(future)
        waiting.add_done_callback(_consume_exception)
        await asyncio.wait([waiting], timeout=_WAIT)
        return guarded(f"cache {what}", default, self._result, future, 0)

    def _is_backing_off(self, session: _Session) -> bool:
        # A test's clock may show less than the one that was in force at the failure.
        return session.failed_at <= self._clock.monotonic() < session.failed_at + _BACKOFF

    def _result(self, future: Future[_T], seconds: float) -> _T:
        """Return the result of the work; back off from a disk that hangs, so that no calls wait for it."""
        try:
            return future.result(seconds)
        except TimeoutError:
            if not future.done():
                future.cancel()
                self._session.failed_at = self._clock.monotonic()
            raise

    def _submit(self, default: _T, work: Callable[..., _T], args: tuple[Any, ...]) -> Future[_T]:
        if self._session.pid != os.getpid():
            _parent_sessions.append(self._session)
            self._session = _Session()
        return self._session.thread.submit(self._use, self._session, default, work, args)

    def _use(self, session: _Session, default: _T, work: Callable[..., _T], args: tuple[Any, ...]) -> _T:
        """Open the database if it is not open, and do the work; runs on the thread."""
        if self._is_backing_off(session):  # work before this one in the queue has failed
            return default
        try:
            if session.cache is None:
                session.cache = _open(self.folder, self._max_bytes)
            return work(session.cache, *args)
        except (sqlite3.Error, diskcache.Timeout, OSError) as error:
            # The connection may be in the middle of a transaction; only a new one is sure to work.
            _close(session)
            if type(error) is sqlite3.DatabaseError:  # not a subclass: the file is damaged and will never work again
                _set_aside(self.folder / DATABASE)
            else:
                session.failed_at = self._clock.monotonic()
            raise


def _consume_exception(future: asyncio.Future[Any]) -> None:
    """Read a future's error, which asyncio would log as never retrieved once nobody waits."""
    if not future.cancelled():
        future.exception()


def _get(cache: _Cache, key: str, read: Callable[[bytes], _T | None]) -> _T | None:
    try:
        data = cache.get(key)
        found = None if data is None else read(data)
    except _ForeignRowError:
        data, found = b"", None
    if data is not None and found is None:
        cache.delete(key)
    return found


def _clear(cache: _Cache) -> int:
    return cache.clear()


def _size(cache: _Cache) -> tuple[int, int]:
    return len(cache), cache.volume()


def _close(session: _Session) -> None:
    cache, session.cache = session.cache, None
    if cache is not None:
        cache.close()


def _open(folder: Path, max_bytes: int) -> _Cache:
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
    opened: Any = diskcache.Cache(
        str(folder),
        timeout=1,
        disk=_BytesDisk,
        size_limit=max_bytes,
        eviction_policy="least-recently-used",
        cull_limit=10,
        statistics=0,
        tag_index=0,
        sqlite_mmap_size=0,  # another process that truncates the file would kill one that has it mapped
    )
    return cast("_Cache", opened)


def _set_aside(database: Path) -> None:
    """Move a damaged database away, so that the next use begins a new one."""
    for suffix in ("", "-wal", "-shm"):
        path = database.with_name(database.name + suffix)
        if path.exists():
            path.replace(path.with_name(f"{path.name}.damaged"))
