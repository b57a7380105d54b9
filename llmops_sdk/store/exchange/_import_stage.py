"""Prepare an import in a store inside the store, and move its complete segments out."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from uuid import uuid4

import orjson

from llmops_sdk.errors import StoreError
from llmops_sdk.store._sink import StoreSink
from llmops_sdk.store.files._folders import open_file
from llmops_sdk.store.files._locks import try_lock
from llmops_sdk.store.files._sweep import IMPORT_FOLDER, IMPORT_LOCK, remove_imports
from llmops_sdk.store.schema._views import RECORD_STREAMS, SEAL, RecordStream

if TYPE_CHECKING:
    from llmops_sdk.store.duck._sql import duckdb as duckdb_library
    from llmops_sdk.tracing.records._records import Record

__all__ = ["Stage", "stage_in"]

_T = TypeVar("_T")
_UNBOUNDED = 2**62
_SEALED = b'{"seal":'
_TICK = 0.1  # seconds


@contextmanager
def stage_in(store: Path) -> Generator[Path]:
    """Yield an empty folder in the store for one import at a time.

    Raises:
        StoreError: Another import is running, or the folder cannot be created.
    """
    folder = store / IMPORT_FOLDER
    try:
        descriptor = open_file(store / IMPORT_LOCK, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise _unwritable(store, error) from error
    with os.fdopen(descriptor, "wb"):
        if not try_lock(descriptor):
            raise StoreError(f"another import into {store} is running: wait until it ends", path=str(store))
        try:
            remove_imports(store)
            folder.mkdir(mode=0o700, exist_ok=True)
            yield folder
        except OSError as error:
            raise _unwritable(store, error) from error
        finally:
            remove_imports(store)


def _unwritable(store: Path, error: OSError) -> StoreError:
    return StoreError(f"the store {store} cannot be written: {error.strerror}", path=str(store))


class Stage:
    """Collects records in one segment a stream, and moves the new ones into the store.

    There is one segment however large, because one rename makes an import complete or leaves nothing.

    Args:
        folder: An empty folder on the store's disk.
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
        """Add a batch to the stage, and return the number of spans that could be written."""
        return self._sink.write(batch)

    def close(self) -> None:
        """Seal the segments."""
        self._sink.close(0.0)

    def drop_present(self, store: Path, stream: RecordStream) -> int:
        """Remove lines that the store already has, and return their number."""
        file = self.segment(stream)
        if file is None:
            return 0
        from llmops_sdk.store.duck._import_table import present_lines
        from llmops_sdk.store.duck._sql import duckdb
        from llmops_sdk.store.reading._query import connect, retried

        def drop() -> int:
            with connect(path=store, trusted=True) as connection:
                return _interruptible(connection, lambda: _remove_lines(file, present_lines(connection, stream, file)))

        try:
            return retried(drop, store)
        except duckdb.Error as error:
            raise StoreError(
                f"the store {store} cannot be searched for known records: {error}", path=str(store)
            ) from error

    def segment(self, stream: RecordStream) -> Path | None:
        """Return the segment of a stream, or None."""
        return next(iter(sorted((self._folder / stream.segment_folder).glob("*.ndjson"))), None)

    def move_to(self, store: Path) -> None:
        """Move the segments into the store, each by one rename."""
        for stream in RECORD_STREAMS.values():
            file = self.segment(stream)
            if file is not None:
                with file.open("rb") as written:
                    os.fsync(written.fileno())
                file.rename(store / stream.segment_folder / file.name)


def _remove_lines(file: Path, numbers: Iterator[int]) -> int:
    """Remove numbered lines from a sealed segment, or the file if none is left; return how many."""
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
    """Run work in another thread: in the caller's thread, Ctrl-C would wait for DuckDB."""
    from concurrent.futures import ThreadPoolExecutor, wait

    with ThreadPoolExecutor(1, "llmops-import") as thread:
        future = thread.submit(work)
        try:
            return future.result()
        finally:
            # Repeat: an interrupt just before a statement starts does not reach it.
            while not future.done():
                connection.interrupt()
                wait((future,), _TICK)
