"""Bytes under a key, on this machine's disk: diskcache, so hardened that it never unpickles.

The one module that imports diskcache. Its `Disk` runs whatever pickle stands in a row (CVE-2025-69872); the one here
takes and gives nothing but bytes that stand in the row itself, so that a write is one transaction and no file beside
the database is ever opened or removed on the word of a row.

One thread of its own does all the work: one connection, which `close` closes, and a bound on every wait, also for
diskcache's own retries. Whatever goes wrong is a miss, and one warning.
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

__all__ = ["DATABASE", "DiskStore"]

_T = TypeVar("_T")

_WAIT = 2.0
"""Seconds that a call waits for the disk; then it goes on without."""
_REST = 5.0
"""Seconds after a failure, or a wait in vain, in which the disk is left alone."""
DATABASE = "cache.db"


_MODE_RAW = 1  # the value itself stands in the row

_Disk: Any = diskcache.Disk  # diskcache has no types


class _Cache(Protocol):
    """What we use of `diskcache.Cache`."""

    def get(self, key: str) -> bytes | None: ...
    def set(self, key: str, value: bytes, expire: float | None = None) -> bool: ...
    def delete(self, key: str) -> bool: ...
    def clear(self) -> int: ...
    def volume(self) -> int: ...
    def __len__(self) -> int: ...
    def close(self) -> None: ...


class _Refused(Exception):  # noqa: N818 - a verdict on a row, which no caller sees
    """A row that this module did not write."""


class _BytesDisk(_Disk):
    """Keys are text, values are bytes in the row; nothing else is written or read."""

    def put(self, key: Any) -> tuple[str, bool]:
        if type(key) is not str:
            raise TypeError(f"a key is text, not {type(key).__name__}")
        return key, True

    def get(self, key: Any, raw: bool) -> str:
        if not raw or type(key) is not str:
            raise _Refused
        return key

    def store(self, value: Any, read: bool, key: Any = None) -> tuple[int, int, None, memoryview]:  # noqa: ARG002
        if type(value) is not bytes:
            raise TypeError(f"a value is bytes, not {type(value).__name__}")
        return 0, _MODE_RAW, None, memoryview(value)

    def fetch(self, mode: Any, filename: Any, value: Any, read: bool) -> bytes:
        if mode != _MODE_RAW or filename is not None or read or type(value) is not bytes:
            raise _Refused
        return value

    def remove(self, file_path: Any) -> None:
        """Nothing: no file is ours, and a planted row may name any."""


class _Session:
    """What one process has open: a forked child begins its own."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="llmops-cache")
        self.cache: _Cache | None = None
        self.rest_until = float("-inf")


# SQLite's connections must be neither used nor closed in a forked child, not even by the garbage collector.
_of_parents: list[_Session] = []


class DiskStore:
    """Bytes under a key in a folder of its own.

    Args:
        folder: Where; made with mode 0700, the database in it with 0600.
        max_bytes: Size from which the least recently used entries are dropped.
        clock: The time, for the rest after a failure.
    """

    def __init__(self, folder: Path, *, max_bytes: int, clock: Clock = SYSTEM_CLOCK) -> None:
        self.folder = folder
        self._max_bytes = max_bytes
        self._clock = clock
        self._session = _Session()

    def get(self, key: str) -> bytes | None:
        """The bytes, or None."""
        return self._sync("read", None, _get, key)

    async def aget(self, key: str) -> bytes | None:
        """The bytes, or None."""
        return await self._async("read", None, _get, key)

    def put(self, key: str, value: bytes, ttl: float | None) -> bool:
        """Keep bytes for `ttl` seconds, None for ever; whether they are kept."""
        return self._sync("write", False, self._put, key, value, ttl)

    async def aput(self, key: str, value: bytes, ttl: float | None) -> bool:
        """Keep bytes for `ttl` seconds, None for ever; whether they are kept."""
        return await self._async("write", False, self._put, key, value, ttl)

    def delete(self, key: str) -> bool:
        """Forget a key; whether it was there."""
        return self._sync("write", False, _delete, key)

    async def adelete(self, key: str) -> bool:
        """Forget a key; whether it was there."""
        return await self._async("write", False, _delete, key)

    def clear(self) -> int:
        """Forget everything; how many entries there were."""
        return self._sync("clear", 0, _clear)

    def size(self) -> tuple[int, int]:
        """Entries, and bytes on disk."""
        return self._sync("size", (0, 0), _size)

    def close(self) -> None:
        """Close the database and end the thread; the next use opens both again."""
        session, self._session = self._session, _Session()
        if session.pid == os.getpid():
            try:
                closing = session.thread.submit(_close, session)
            except RuntimeError:
                return  # the interpreter is ending, and its executors have: the database closes with the process
            guarded("cache close", None, closing.result, _WAIT)
            session.thread.shutdown(wait=False)
        else:
            _of_parents.append(session)

    def _put(self, cache: _Cache, key: str, value: bytes, ttl: float | None) -> bool:
        # One entry must not push all the others out.
        return len(value) <= self._max_bytes // 8 and cache.set(key, value, expire=ttl)

    def _sync(self, what: str, default: _T, work: Callable[..., _T], *args: Any) -> _T:
        if self._rests(self._session):
            return default
        return guarded(f"cache {what}", default, lambda: self._result(self._submit(default, work, args), _WAIT))

    async def _async(self, what: str, default: _T, work: Callable[..., _T], *args: Any) -> _T:
        if self._rests(self._session):
            return default
        future = guarded(f"cache {what}", None, self._submit, default, work, args)
        if future is None:
            return default
        waiting = asyncio.wrap_future(future)
        waiting.add_done_callback(_looked_at)
        await asyncio.wait([waiting], timeout=_WAIT)
        return guarded(f"cache {what}", default, self._result, future, 0)

    def _rests(self, session: _Session) -> bool:
        return self._clock.monotonic() < session.rest_until

    def _result(self, future: Future[_T], seconds: float) -> _T:
        """What came of the work within `seconds`; after a disk that hangs, nobody waits for it and no work piles up."""
        try:
            return future.result(seconds)
        except TimeoutError:
            if not future.done():
                future.cancel()
                self._session.rest_until = self._clock.monotonic() + _REST
            raise

    def _submit(self, default: _T, work: Callable[..., _T], args: tuple[Any, ...]) -> Future[_T]:
        if self._session.pid != os.getpid():
            _of_parents.append(self._session)
            self._session = _Session()
        return self._session.thread.submit(self._use, self._session, default, work, args)

    def _use(self, session: _Session, default: _T, work: Callable[..., _T], args: tuple[Any, ...]) -> _T:
        """On the thread: open what is not open, and do the work."""
        if self._rests(session):  # since a piece of work that was before this one in the line
            return default
        try:
            if session.cache is None:
                session.cache = _open(self.folder, self._max_bytes)
            return work(session.cache, *args)
        except (sqlite3.Error, diskcache.Timeout, OSError) as error:
            # The connection may be left in the middle of a transaction; only a new one is sure to work.
            _close(session)
            if type(error) is sqlite3.DatabaseError:  # not its children: a damaged file, which will never work again
                _set_aside(self.folder / DATABASE)
            else:
                session.rest_until = self._clock.monotonic() + _REST
            raise


def _looked_at(future: asyncio.Future[Any]) -> None:
    """Take note of an error, which asyncio would log as never looked at when nobody waits any more."""
    if not future.cancelled():
        future.exception()


def _get(cache: _Cache, key: str) -> bytes | None:
    try:
        return cache.get(key)
    except _Refused:
        cache.delete(key)
        return None


def _delete(cache: _Cache, key: str) -> bool:
    return cache.delete(key)


def _clear(cache: _Cache) -> int:
    return cache.clear()


def _size(cache: _Cache) -> tuple[int, int]:
    return len(cache), cache.volume()


def _close(session: _Session) -> None:
    cache, session.cache = session.cache, None
    if cache is not None:
        cache.close()


def _open(folder: Path, max_bytes: int) -> _Cache:
    for missing in reversed([path for path in (folder, *folder.parents) if not path.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    # SQLite gives the files beside the database the mode that the database has.
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
        sqlite_mmap_size=0,  # a file cut short by another process kills one that has it mapped
    )
    return cast("_Cache", opened)


def _set_aside(database: Path) -> None:
    """Move a damaged database away, so that a new one is begun."""
    for suffix in ("", "-wal", "-shm"):
        path = database.with_name(database.name + suffix)
        if path.exists():
            path.replace(path.with_name(f"{path.name}.damaged"))
