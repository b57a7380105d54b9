"""Compaction: convert sealed segments to Parquet, merge small files, sample old traces, delete retired files.

It may be killed at any step. It writes a file under a temporary name, forces it to disk and renames it; the file counts
once the manifest names it. The next compactor removes the leftovers of a killed one.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from llmops_sdk._util._public import public
from llmops_sdk.errors import StoreError
from llmops_sdk.store.duck._provenance import FileProvenance
from llmops_sdk.store.duck._rebuild import adopt_files, ensure_manifest
from llmops_sdk.store.duck._repair import remove_damaged_files
from llmops_sdk.store.duck._sources import read_sources
from llmops_sdk.store.files._folders import open_file
from llmops_sdk.store.files._layout import Segment, list_segments
from llmops_sdk.store.files._locks import exclusive_lock, max_open_files, try_lock
from llmops_sdk.store.files._manifest import Manifest, commit, read_manifest, views_are_old
from llmops_sdk.store.files._segment import seal_size
from llmops_sdk.store.files._sweep import GRACE, sweep
from llmops_sdk.store.lines._count_loss import count_loss
from llmops_sdk.store.maintenance._data_files import new_file, publish, rewrite_file, temporary_name
from llmops_sdk.store.maintenance._thinning import ThinningPolicy, files_to_thin
from llmops_sdk.store.schema._views import RECORD_STREAMS, SCHEMA_VERSION, RecordStream

if TYPE_CHECKING:
    from llmops_sdk.store.duck._parquet import ParquetWriter

__all__ = ["Compacted", "compact_store", "ensure_manifest"]

_CHUNK_BYTES = 512 * 1024**2  # of lines, some 40 MB of Parquet: large enough never to be merged
_CHUNK_FILES = 512  # all of them open at once
_FAN_IN = 8
_LARGE = 32 * 1024**2  # no merge from this size on: each merge costs as much as the first conversion
_BLOCK = 1024**2


@public("llmops_sdk.store")
@dataclass(slots=True, kw_only=True)
class Compacted:
    """The outcome of a compaction."""

    segments: int = 0
    """Segments converted to Parquet files."""
    rows: int = 0
    """Their readable lines."""
    bytes_before: int = 0
    """Bytes of those segments."""
    bytes_after: int = 0
    """Bytes of the new files."""
    merged: int = 0
    """Parquet files merged into larger ones."""
    thinned: int = 0
    """Spans of old traces removed by sampling."""
    skipped: int = 0
    """Segments that DuckDB could not convert; readers read them unchanged."""
    files: int = 0
    """Parquet files in total."""
    busy: bool = False
    """Whether another process was compacting, so that this one did nothing."""


def compact_store(
    store: Path,
    *,
    wait: float = 0.0,
    grace: float = GRACE,
    thinning: ThinningPolicy | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Compacted:
    """Compact every segment that its writer has closed.

    Args:
        store: The store's folder.
        wait: Seconds to wait for another compactor.
        grace: Seconds for which retired files stay, for readers without a lease.
        thinning: How to sample old traces; None keeps all.
        progress: Called after each step with the bytes of segments done and the total.

    Raises:
        StoreError: The store cannot be read or written, or a newer version of the SDK wrote it.
    """
    manifest = ensure_manifest(store)
    with exclusive_lock(store, wait) as acquired:
        if not acquired:
            return Compacted(busy=True, files=len(manifest.files))
        try:
            return _Compaction(store, grace, thinning or ThinningPolicy()).run(progress)
        except OSError as error:
            raise StoreError(
                f"the store {store} cannot be compacted: {error.strerror or error}; no data is lost. Free space or "
                "make it writable, and try again",
                path=str(store),
            ) from error


@dataclass(frozen=True, slots=True)
class _SegmentState:
    """A segment with its size and the time of its last write."""

    segment: Segment
    size: int
    written: float


class _Compaction:
    """One run. The caller must hold the store's lock."""

    def __init__(self, store: Path, grace: float, thinning: ThinningPolicy) -> None:
        self._store = store
        self._thinning = thinning
        self._grace = grace
        self._done = Compacted()
        manifest = read_manifest(store)
        if manifest is None:
            # Deleted while this process waited for the lock: with an empty one the sweep would delete every file.
            raise StoreError(f"MANIFEST.json of {store} was deleted; try again to rebuild it", path=str(store))
        self._manifest: Manifest = adopt_files(store, manifest)

    def run(self, progress: Callable[[int, int], None] | None) -> Compacted:
        from llmops_sdk.store.duck._parquet import ParquetWriter
        from llmops_sdk.store.duck._views_file import VIEWS_FILE, write_views
        from llmops_sdk.store.maintenance._prune import finish_pruning

        finish_pruning(self._store)
        self._manifest = read_manifest(self._store) or self._manifest
        before = self._manifest.generation
        old = views_are_old(self._store) or not (self._store / VIEWS_FILE).exists()
        self._manifest = sweep(self._store, self._manifest, grace=self._grace)
        found = self._list_segment_states()
        total = sum(one.size for one in found)
        with contextlib.closing(ParquetWriter()) as writer:
            for stream in RECORD_STREAMS.values():
                for chunk in _chunks([one for one in found if one.segment.stream is stream]):
                    self._compact_chunk(writer, stream, chunk)
                    if progress is not None:
                        progress(self._done.bytes_before, total)
                while self._merge(writer, stream):
                    pass
            self._thin(writer)
        if old or self._manifest.generation != before:
            write_views(self._store, self._manifest)
        self._done.files = len(self._manifest.files)
        return self._done

    def _list_segment_states(self) -> list[_SegmentState]:
        found: list[_SegmentState] = []
        for segment in list_segments(self._store, self._manifest.covered):
            with contextlib.suppress(FileNotFoundError):
                state = segment.path.stat()
                found.append(_SegmentState(segment, state.st_size, state.st_mtime))
        return sorted(found, key=attrgetter("written"))

    def _compact_chunk(self, writer: ParquetWriter, stream: RecordStream, chunk: Sequence[_SegmentState]) -> None:
        with _locked_segments(chunk) as locked:
            if locked:
                self._compact(writer, stream, locked)

    def _compact(self, writer: ParquetWriter, stream: RecordStream, locked: Sequence[_SegmentState]) -> None:
        paths = [one.segment.path for one in locked]
        names = [one.segment.name for one in locked]
        out, origin = self._new_file(stream, 0, max(one.written for one in locked), version=SCHEMA_VERSION, holds=names)
        try:
            rows = writer.write_lines(stream, paths, temporary_name(out), origin)
            lines, seals, seal_bytes = _count_lines(paths)
            # Only when the sums differ: asking DuckDB costs as much as writing the file.
            unreadable = 0 if rows + seals == lines else writer.count_unreadable(stream, paths)
        except StoreError:
            temporary_name(out).unlink(missing_ok=True)
            if len(locked) == 1:
                self._done.skipped += 1
                return
            half = len(locked) // 2
            self._compact(writer, stream, locked[:half])
            self._compact(writer, stream, locked[half:])
            return
        made = publish(out, origin, rows)
        self._manifest = commit(
            self._store,
            self._manifest.next(
                time=time.time(),
                add=made,
                cover=names,
                unreadable=unreadable,
                taken=(stream.name, sum(one.size for one in locked) - seal_bytes),
            ),
        )
        self._done.segments += len(locked)
        self._done.rows += rows
        self._done.bytes_before += sum(one.size for one in locked)
        self._done.bytes_after += sum(file.bytes for file in made)

    def _merge(self, writer: ParquetWriter, stream: RecordStream) -> bool:
        """Merge the oldest small files of a level; return whether there were enough."""
        mine = [file for file in self._manifest.files if file.stream == stream.name and file.bytes < _LARGE]
        for level in sorted({file.level for file in mine}):
            # Of one version: another version has other columns.
            same = [file for file in mine if file.level == level and file.version == SCHEMA_VERSION]
            same = [file for file in same if file.thinned is same[0].thinned][:_FAN_IN]
            if len(same) == _FAN_IN:
                names = [file.name for file in same]
                out, origin = self._new_file(
                    stream,
                    level + 1,
                    max(file.written for file in same),
                    version=SCHEMA_VERSION,
                    replaces=names,
                    thinned=same[0].thinned,
                )
                try:
                    rows = writer.write_rows([self._store / name for name in names], temporary_name(out), origin)
                except StoreError:
                    temporary_name(out).unlink(missing_ok=True)
                    self._remove_damaged()
                    return True
                if rows != sum(file.rows for file in same):
                    raise StoreError(
                        f"merging files of {self._store} kept {rows} of {sum(file.rows for file in same)} rows; "
                        "the files stay unmerged",
                        path=str(self._store),
                    )
                made = publish(out, origin, rows)
                self._manifest = commit(self._store, self._manifest.next(time=time.time(), add=made, remove=same))
                self._done.merged += len(same)
                return True
        return False

    def _remove_damaged(self) -> None:
        """Put damaged files aside while an error is handled; raise that error if there are none."""
        before, self._manifest = self._manifest, remove_damaged_files(self._store, self._manifest)
        if self._manifest is before:
            raise  # noqa: PLE0704 - called while it is handled

    def _thin(self, writer: ParquetWriter) -> None:
        """Sample the traces of old files."""
        files = files_to_thin(self._manifest.files, self._thinning)
        if not files:
            return
        try:
            writer.create_kept_traces(read_sources(self._store, lease=False), self._thinning.traces_to_keep)
        except StoreError:
            self._remove_damaged()
            return  # the next compaction samples the rest
        for file in files:
            are_spans = file.stream == "spans"
            dropped = writer.count_rows([self._store / file.name], self._thinning.rows_to_drop)
            before = self._manifest
            self._manifest = rewrite_file(
                self._store,
                before,
                file,
                writer,
                unless=self._thinning.rows_to_drop,
                dropped=dropped,
                values={"weight": self._thinning.new_weight} if are_spans else None,
                thinned=True,
            )
            if dropped and are_spans:
                self._done.thinned += dropped
                count_loss(self._store, "span", "thinned", dropped, before.bytes - self._manifest.bytes)

    def _new_file(
        self,
        stream: RecordStream,
        level: int,
        written: float,
        *,
        version: int,
        holds: Sequence[str] = (),
        replaces: Sequence[str] = (),
        thinned: bool = False,
    ) -> tuple[Path, FileProvenance]:
        origin = FileProvenance(
            generation=self._manifest.generation + 1,
            stream=stream.name,
            version=version,
            level=level,
            written=written,
            holds=holds,
            replaces=replaces,
            thinned=thinned,
        )
        return new_file(self._store / stream.parquet_folder, origin), origin


def _chunks(found: Sequence[_SegmentState]) -> Iterator[list[_SegmentState]]:
    chunk: list[_SegmentState] = []
    size = 0
    most = max(1, min(_CHUNK_FILES, max_open_files() // 4))
    for one in found:
        if chunk and (size + one.size > _CHUNK_BYTES or len(chunk) >= most):
            yield chunk
            chunk, size = [], 0
        chunk.append(one)
        size += one.size
    if chunk:
        yield chunk


@contextmanager
def _locked_segments(chunk: Sequence[_SegmentState]) -> Generator[list[_SegmentState]]:
    """Yield the segments without a living writer, locked so that no other process drops them."""
    locked: list[_SegmentState] = []
    with contextlib.ExitStack() as stack:
        for one in chunk:
            try:
                file = stack.enter_context(os.fdopen(open_file(one.segment.path, os.O_RDONLY), "rb"))
            except FileNotFoundError:
                continue
            # A forked child of the writer may still hold the lock of a closed segment.
            if not try_lock(file.fileno()) and not seal_size(file.fileno()):
                continue
            state = os.fstat(file.fileno())
            if state.st_nlink == 0:
                continue
            if state.st_size == 0:
                # Its writer died before the first line, or has not locked it yet and will take another name.
                one.segment.path.unlink(missing_ok=True)
                continue
            locked.append(_SegmentState(one.segment, state.st_size, state.st_mtime))
        yield locked


def _count_lines(paths: Sequence[Path]) -> tuple[int, int, int]:
    """Return the number of lines, the number of seals among them, and the bytes of the seals."""
    lines = seals = seal_bytes = 0
    for path in paths:
        with path.open("rb") as file:
            last = b"\n"
            while block := file.read(_BLOCK):
                lines += block.count(b"\n")
                last = block[-1:]
            lines += last != b"\n"
            seal = seal_size(file.fileno())
            seals += seal > 0
            seal_bytes += seal
    return lines, seals, seal_bytes
