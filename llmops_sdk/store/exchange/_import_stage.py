"""Where an import is put together: a store inside the store, whose segments move out when they are whole."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from uuid import uuid4

import orjson

from llmops_sdk.errors import StoreError
from llmops_sdk.store._sink import StoreSink
from llmops_sdk.store.files._locks import try_lock
from llmops_sdk.store.schema._views import RECORD_STREAMS, SEAL, RecordStream

if TYPE_CHECKING:
    from llmops_sdk.store.duck._sql import duckdb as duckdb_library
    from llmops_sdk.tracing.records._records import Record

__all__ = ["Stage", "stage_in"]

_T = TypeVar("_T")
_FOLDER = "import"
_LOCK = "import.lock"
_UNBOUNDED = 2**62
_SEALED = b'{"seal":'
_TICK = 0.1  # seconds


@contextmanager
def stage_in(store: Path) -> Generator[Path]:
    """A folder in the store for one import at a time; what a killed one left is removed.

    Raises:
        StoreError: Another import is under way, or the folder cannot be made.
    """
    folder = store / _FOLDER
    try:
        descriptor = os.open(store / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _unwritable(store, error) from error
    with os.fdopen(descriptor, "wb"):
        if not try_lock(descriptor):
            raise StoreError(f"another import into {store} is under way: wait until it has ended", path=str(store))
        try:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o700)
            yield folder
        except OSError as error:
            raise _unwritable(store, error) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _unwritable(store: Path, error: OSError) -> StoreError:
    return StoreError(f"the store {store} cannot be written: {error.strerror}", path=str(store))


class Stage:
    """Takes records, as one segment a stream, and moves what is new of them into the store.

    One segment, however large: renaming it is what makes an import whole or nothing.

    Args:
        folder: Where to put it together, on the store's own disk.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / uuid4().hex
        self._sink = StoreSink(
            self._folder,
            max_bytes=_UNBOUNDED,
            retention_days=None,
            segment_bytes=_UNBOUNDED,
            segment_seconds=math.inf,
            compaction="manual",
        )

    def write(self, batch: Sequence[Record]) -> int:
        """Take a batch, of which nothing is in the store yet; how many of its spans could be written."""
        return self._sink.write(batch)

    def close(self) -> None:
        """End writing."""
        self._sink.close(0.0)

    def drop_present(self, store: Path, stream: RecordStream) -> int:
        """Take out what the store has already; how many lines that was."""
        file = self.segment(stream)
        if file is None:
            return 0
        from llmops_sdk.store.duck._import_table import present_lines
        from llmops_sdk.store.duck._sql import duckdb
        from llmops_sdk.store.reading._query import connect, retried

        def drop() -> int:
            with connect(path=store, trusted=True) as connection:
                return _interruptible(connection, lambda: _without(file, present_lines(connection, stream, file)))

        try:
            return retried(drop)
        except duckdb.Error as error:
            raise StoreError(f"what the store {store} has already cannot be read: {error}", path=str(store)) from error

    def segment(self, stream: RecordStream) -> Path | None:
        """The file of a stream, if there is one."""
        return next(iter(sorted((self._folder / stream.segment_folder).glob("*.ndjson"))), None)

    def move_to(self, store: Path) -> None:
        """Into the store, each stream by one renaming."""
        for stream in RECORD_STREAMS.values():
            file = self.segment(stream)
            if file is not None:
                with file.open("rb") as written:
                    os.fsync(written.fileno())
                file.rename(store / stream.segment_folder / file.name)


def _without(file: Path, numbers: Iterator[int]) -> int:
    """Take lines out of a sealed segment, or the whole of it when none is left; how many."""
    skip = next(numbers, None)
    if skip is None:
        return 0
    dropped = kept = 0
    rest = file.with_suffix(".rest")
    descriptor = os.open(rest, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with file.open("rb") as lines, os.fdopen(descriptor, "wb") as out:
        for number, line in enumerate(lines):
            if number == skip:
                dropped += 1
                skip = next(numbers, None)
            elif not line.startswith(_SEALED):
                kept += 1
                out.write(line)
        out.write(orjson.dumps({SEAL.name: kept}, option=orjson.OPT_APPEND_NEWLINE))
    if kept:
        rest.replace(file)
    else:
        rest.unlink()
        file.unlink()
    return dropped


def _interruptible(connection: duckdb_library.DuckDBPyConnection, work: Callable[[], _T]) -> _T:
    """Do it in another thread: in the caller's, Ctrl-C would wait for DuckDB."""
    from concurrent.futures import ThreadPoolExecutor, wait

    with ThreadPoolExecutor(1, "llmops-import") as thread:
        future = thread.submit(work)
        try:
            return future.result()
        finally:
            # Again and again: an interrupt that comes just before a statement begins does not reach it.
            while not future.done():
                connection.interrupt()
                wait((future,), _TICK)
