"""`prune`: delete the data of a user, session or trace, or old data, from every file of the store."""
# ruff: noqa: S608 - statements are put together from constants and from one of three names

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_sdk._util._public import public
from llmops_sdk.errors import StoreError
from llmops_sdk.store.datasets._erase import count_items, erase_items
from llmops_sdk.store.duck._rebuild import adopt_files, ensure_manifest
from llmops_sdk.store.files._blob_files import Blob, list_blobs, remove_blob
from llmops_sdk.store.files._damaged import readable_files, remove_damaged
from llmops_sdk.store.files._folders import remove_file
from llmops_sdk.store.files._layout import list_segments
from llmops_sdk.store.files._locks import exclusive_lock
from llmops_sdk.store.files._manifest import DataFile, Manifest, commit, read_manifest
from llmops_sdk.store.files._overwrite import all_segments, overwrite_lines
from llmops_sdk.store.lines._count_loss import count_loss
from llmops_sdk.store.maintenance._data_files import rewrite_file
from llmops_sdk.store.maintenance._prune_experiments import (
    EXPERIMENT_STREAMS,
    count_experiment_rows,
    count_old_rows_sql,
    with_experiments,
)
from llmops_sdk.store.maintenance._prune_selection import PruneSelection, read_journal, remove_journal, write_journal
from llmops_sdk.store.maintenance._retention import drop_old, moment_ns
from llmops_sdk.store.reading._query import StorePath, flush_first, query, store_folder

if TYPE_CHECKING:
    from llmops_sdk.store.duck._parquet import ParquetWriter

__all__ = ["Pruned", "finish_pruning", "prune"]

_WAIT = 60.0
_ROUNDS = 4
_TEXT = "concat_ws(' ', input, output, input_messages, output_messages, attributes, events)"
_EXPERIMENTS = ("experiment_items", "experiment_scores", "experiments")
_LINKED = "trace_id IN (SELECT unnest($traces::VARCHAR[])) OR source_trace_id IN (SELECT unnest($traces::VARCHAR[]))"
_BLOBS = f"regexp_extract_all({_TEXT}, 'blobs/([0-9a-f]{{64}}\\.[a-z0-9]{{1,5}})', 1)"


@public("llmops_sdk.store")
@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """The data that a prune deleted, or would delete.

    Attributes:
        traces: Traces; 0 for whole files.
        spans: Spans.
        scores: Scores.
        experiment_rows: Rows of experiments: outputs of items, and their scores.
        blobs: Blob files, mostly images.
        items: Items of data sets, each saved version counted by itself.
        left: Spans of the same user, session or trace that a living process has written since.
    """

    traces: int = 0
    spans: int = 0
    scores: int = 0
    experiment_rows: int = 0
    blobs: int = 0
    items: int = 0
    left: int = 0


def prune(
    *,
    user_id: str | None = None,
    session_id: str | None = None,
    trace_id: str | None = None,
    older_than: timedelta | datetime | None = None,
    max_bytes: int | None = None,
    dry_run: bool = False,
    path: StorePath | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Pruned:
    """Delete the data of a user, a session or a trace, or the oldest data, from every file of a store.

    A user or session selects every trace with a span of that id. Scores go with their traces, and so do images that no
    other span refers to. Items of data sets go when they come from such a trace, or have the user or session in their
    metadata; by age or size they stay. The bytes are overwritten or rewritten, also in files that living processes
    write and in the outboxes. Reopen connections of `connect` afterwards. `losses` counts the spans as `pruned`. Pass
    exactly one of the first five arguments.

    Args:
        user_id: The user.
        session_id: The session.
        trace_id: The trace, 32 hex digits.
        older_than: Spans and scores that began longer ago, or before this time.
        max_bytes: The store's size; the oldest files go until it fits.
        dry_run: Count only.
        path: The store's folder; by default the configured one.
        progress: Called with the files done and the total.

    Raises:
        ValueError: Not exactly one of the five is given.
        StoreError: The store cannot be read or written, or another process is changing it.

    Example:
        >>> import llmops_sdk as llmops
        >>> from llmops_sdk.store import prune
        >>> llmops.flush()  # doctest: +ELLIPSIS
        FlushReport(...)
        >>> prune(user_id="nobody").spans
        0
    """
    given = {"user_id": user_id, "session_id": session_id, "trace_id": trace_id}
    person = {name: value for name, value in given.items() if value is not None}
    if len(person) + (older_than is not None) + (max_bytes is not None) != 1:
        raise ValueError("pass exactly one of user_id, session_id, trace_id, older_than and max_bytes")
    folder = store_folder(path)
    flush_first()
    if not folder.is_dir():
        return Pruned()
    ensure_manifest(folder)
    if max_bytes is not None:
        return _to_size(folder, max_bytes, dry_run)
    with exclusive_lock(folder, _WAIT) as acquired:
        if not acquired:
            raise StoreError(f"{folder} is being changed by another process: try again later", path=str(folder))
        adopt_files(folder, read_manifest(folder) or Manifest())
        return _Pruning(folder, progress).run(person, older_than, dry_run)


def finish_pruning(store: Path) -> None:
    """Finish a prune whose process was killed. The caller must hold the store's lock.

    Args:
        store: The store's folder.
    """
    begun = read_journal(store)
    if begun is not None:
        pruning = _Pruning(store, None)
        try:
            pruning.apply(begun)
        finally:
            pruning.count_losses()
        remove_journal(store)


def _to_size(folder: Path, max_bytes: int, dry_run: bool) -> Pruned:
    if dry_run:
        raise ValueError("dry_run cannot predict what max_bytes removes; leave dry_run out")
    dropped = drop_old(folder, max_bytes=max_bytes, older_than=None)
    for one in dropped:
        count_loss(folder, one.what, one.reason, one.count, one.bytes)
    return Pruned(
        spans=sum(one.count for one in dropped if one.what == "segment"),
        blobs=sum(one.count for one in dropped if one.what == "blob"),
    )


class _Pruning:
    """One run, by who holds the store's lock."""

    def __init__(self, store: Path, progress: Callable[[int, int], None] | None) -> None:
        self._store = store
        self._progress = progress
        self._spans = 0
        self._scores = 0
        self._experiment_rows = 0
        self._blobs = 0
        self._items = 0
        self._waiting = 0

    def run(self, person: dict[str, str], older_than: timedelta | datetime | None, dry_run: bool) -> Pruned:
        try:
            return self._run(person, older_than, dry_run)
        except OSError as error:
            raise StoreError(
                f"{self._store} cannot be pruned: {error.strerror or error}; make it writable, free space, and "
                "try again to delete the rest",
                path=str(self._store),
            ) from error

    def _run(self, person: dict[str, str], older_than: timedelta | datetime | None, dry_run: bool) -> Pruned:
        finish_pruning(self._store)
        if not dry_run:
            from llmops_sdk.store.files._sweep import remove_leftovers, sweep_imports

            sweep_imports(self._store)
            remove_leftovers(self._store)
        traces: set[str] = set()
        try:
            for _ in range(_ROUNDS):
                selection, found, judged, details, rows = self._find(person, older_than)
                items = 0 if selection.items is None else count_items(self._store, selection.items)
                traces |= selection.traces
                if dry_run:
                    return Pruned(traces=len(traces), spans=found, scores=judged, experiment_rows=rows, items=items)
                if not (found or judged or details or rows or items):
                    if selection.items is not None:
                        erase_items(self._store, selection.items)  # descriptions may name the user
                    break
                # By age no journal is needed: the rest can be found by its age again.
                if person:
                    write_journal(self._store, selection)
                self.apply(selection)
                remove_journal(self._store)
            left = self._find(person, older_than)[1] + self._waiting
            self._put_damaged_aside()
            if person:
                remove_damaged(self._store)  # nobody can tell whose data is in them
        finally:
            # Also of a prune that fails: what it has deleted is gone.
            self.count_losses()
        return Pruned(
            traces=len(traces),
            spans=self._spans,
            scores=self._scores,
            experiment_rows=self._experiment_rows,
            blobs=self._blobs,
            items=self._items,
            left=left,
        )

    def _put_damaged_aside(self) -> None:
        """Move the files that this process's queries have left out while this prune held the lock."""
        manifest = read_manifest(self._store) or Manifest()
        readable = readable_files(self._store, manifest.files)
        if len(readable) < len(manifest.files):
            from llmops_sdk.store.duck._repair import remove_damaged_files

            remove_damaged_files(self._store, manifest, [one for one in manifest.files if one not in readable])

    def count_losses(self) -> None:
        """Count the deleted spans in `losses`: those that went, which a living process may have written since."""
        if self._spans:
            count_loss(self._store, "span", "pruned", self._spans, 0)

    def _find(
        self, person: dict[str, str], older_than: timedelta | datetime | None
    ) -> tuple[PruneSelection, int, int, int, int]:
        """Return the selection, and its number of spans, scores, details and rows of experiments."""
        if older_than is not None:
            before = moment_ns(older_than)
            counts = self._ask(
                "SELECT (SELECT count(*) FROM store.spans WHERE start_ns < $before), "
                "(SELECT count(*) FROM store.scores WHERE time_ns < $before), "
                "(SELECT count(*) FROM store.details WHERE time_ns < $before), " + count_old_rows_sql(),
                {"before": before},
            )
            return PruneSelection(before_ns=before), *counts[0]
        ((name, value),) = person.items()
        # Details may name a person whose span never came.
        found = self._ask(
            f"SELECT trace_id FROM store.spans WHERE {name} = $value "
            f"UNION SELECT trace_id FROM store.details WHERE {name} = $value",
            {"value": value},
        )
        traces = with_experiments(self._ask, [trace for (trace,) in found], name, value)
        mine = "store.spans WHERE trace_id IN (SELECT unnest($traces::VARCHAR[]))"
        given = {"traces": traces}
        spans = self._ask(f"SELECT count(*) FROM {mine}", given)[0][0]
        judged = self._ask(
            f"SELECT span_id FROM {mine} AND span_id IN (SELECT span_id FROM store.scores WHERE trace_id IS NULL)",
            given,
        )
        named = [span for (span,) in judged]
        # A session goes with the last of its traces.
        ended = self._ask(
            f"SELECT session_id FROM store.spans WHERE session_id IN (SELECT session_id FROM {mine}) "
            "GROUP BY ALL HAVING bool_and(trace_id IN (SELECT unnest($traces::VARCHAR[])))",
            given,
        )
        sessions: set[str] = {session for (session,) in ended}
        if name == "session_id":
            sessions.add(value)
        scores = self._ask(
            "SELECT count(*) FROM store.scores WHERE trace_id IN (SELECT unnest($traces::VARCHAR[])) "
            "OR span_id IN (SELECT unnest($spans::VARCHAR[])) OR session_id IN (SELECT unnest($sessions::VARCHAR[]))",
            {"traces": traces, "spans": named, "sessions": list(sessions)},
        )[0][0]
        blobs = self._ask(f"SELECT DISTINCT unnest({_BLOBS}) FROM {mine} AND {_TEXT} LIKE '%blobs/%'", given)
        words = (value,)
        selection = PruneSelection(
            traces=frozenset(traces),
            spans=frozenset(named),
            sessions=frozenset(sessions),
            users=frozenset({value} if name == "user_id" else ()),
            blobs=frozenset(b for (b,) in blobs),
            words=words,
        )
        details = self._ask(
            "SELECT count(*) FROM store.details WHERE trace_id IN (SELECT unnest($traces::VARCHAR[]))", given
        )[0][0]
        return selection, spans, scores, details, count_experiment_rows(self._ask, traces)

    def _ask(self, sql: str, params: dict[str, Any]) -> list[tuple[Any, ...]]:
        return query(sql, params, path=self._store).rows()

    def apply(self, selection: PruneSelection) -> None:
        """Delete the selection from every file; doing it twice is harmless."""
        from llmops_sdk.store.duck._parquet import ParquetWriter
        from llmops_sdk.store.duck._views_file import write_views

        manifest = read_manifest(self._store) or Manifest()
        segments = list(all_segments(self._store))
        live = {one.name for one in list_segments(self._store, manifest.covered)}
        done, total = 0, len(manifest.files) + len(segments)
        with contextlib.closing(ParquetWriter()) as writer:
            writer.mark_for_removal(selection.traces, selection.spans, selection.sessions)
            for file in manifest.files:
                manifest = self._rewrite_or_remove(writer, manifest, file, selection)
                done = self._step(done, total)
        self._waiting = 0
        for segment in segments:
            overwritten = overwrite_lines(segment, selection.kind_of)
            self._waiting += overwritten.waiting
            # Lines that wait for export only, or that are in a Parquet file too, are copies.
            if f"{segment.parent.name}/{segment.name}" in live:
                self._count(overwritten.kinds)
            done = self._step(done, total)
        # At once, without the grace period; a reader that has a file open keeps it.
        for name in manifest.trash:
            remove_file(self._store, name)
        if manifest.trash:
            manifest = commit(self._store, manifest.without(frozenset(manifest.trash)))
            write_views(self._store, manifest)
        self._remove_blobs(selection)
        if selection.items is not None:
            self._items += erase_items(self._store, selection.items)

    def _step(self, done: int, total: int) -> int:
        if self._progress is not None:
            self._progress(done + 1, total)
        return done + 1

    def _rewrite_or_remove(
        self, writer: ParquetWriter, manifest: Manifest, file: DataFile, selection: PruneSelection
    ) -> Manifest:
        try:
            return self._rewrite(writer, manifest, file, selection)
        except StoreError:
            from llmops_sdk.store.duck._repair import remove_damaged_files

            changed = remove_damaged_files(self._store, manifest, [file])
            if changed is manifest:
                raise
            return changed

    def _rewrite(
        self, writer: ParquetWriter, manifest: Manifest, file: DataFile, selection: PruneSelection
    ) -> Manifest:
        condition = selection.row_condition(file.stream, file.version)
        dropped = 0 if condition is None else writer.count_rows([self._store / file.name], condition)
        if not dropped or condition is None:
            return manifest
        manifest = rewrite_file(self._store, manifest, file, writer, unless=condition, dropped=dropped)
        self._count({file.stream: dropped})
        return manifest

    def _count(self, rows: Mapping[str, int]) -> None:
        self._spans += rows.get("spans", 0)
        self._scores += rows.get("scores", 0)
        self._experiment_rows += sum(rows.get(name, 0) for name in EXPERIMENT_STREAMS)

    def _remove_blobs(self, selection: PruneSelection) -> None:
        blobs = list_blobs(self._store)
        if selection.before_ns is not None:
            dropped = [blob for blob in blobs if blob.used < selection.before_ns / 1e9]
        else:
            dropped = [blob for blob in blobs if blob.path.name in selection.blobs]
            if dropped:
                dropped = self._unused(dropped)
        self._blobs += sum(remove_blob(blob) for blob in dropped)

    def _unused(self, blobs: list[Blob]) -> list[Blob]:
        names = self._ask(f"SELECT DISTINCT unnest({_BLOBS}) FROM store.spans WHERE {_TEXT} LIKE '%blobs/%'", {})
        used = {name for (name,) in names}
        return [blob for blob in blobs if blob.path.name not in used]
