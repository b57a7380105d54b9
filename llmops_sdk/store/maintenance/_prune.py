"""`prune`: the data of a user, a session or a trace, or all that is older, truly gone from every file of the store."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from llmops_sdk._util._public import public
from llmops_sdk.errors import StoreError
from llmops_sdk.store.duck._provenance import FileProvenance
from llmops_sdk.store.duck._rebuild import ensure_manifest
from llmops_sdk.store.files._blob_files import Blob, list_blobs, remove_blob
from llmops_sdk.store.files._locks import exclusive_lock
from llmops_sdk.store.files._manifest import DataFile, Manifest, commit, read_manifest, sync_folder
from llmops_sdk.store.files._overwrite import all_segments, overwrite_lines
from llmops_sdk.store.lines._count_loss import count_loss
from llmops_sdk.store.maintenance._prune_selection import PruneSelection, read_journal, remove_journal, write_journal
from llmops_sdk.store.maintenance._retention import drop_old
from llmops_sdk.store.reading._query import StorePath, flush_first, query, store_folder

if TYPE_CHECKING:
    from llmops_sdk.store.duck._parquet import ParquetWriter

__all__ = ["Pruned", "finish_pruning", "prune"]

_WAIT = 60.0
_ROUNDS = 4
_TEXT = "concat_ws(' ', input, output, input_messages, output_messages, attributes, events)"
_BLOBS = f"regexp_extract_all({_TEXT}, 'blobs/([0-9a-f]{{64}}\\.[a-z0-9]{{1,5}})', 1)"


@public("llmops_sdk.store")
@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What a pruning removed, or would.

    Attributes:
        traces: Traces; 0 where whole files went.
        spans: Spans.
        scores: Scores.
        blobs: Files beside the store, images above all.
        left: Spans of the same user, session or trace that a living process has written since.
    """

    traces: int = 0
    spans: int = 0
    scores: int = 0
    blobs: int = 0
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
    """Remove the data of a user, a session or a trace, or what is old or too much, from every file of a store.

    By user or session, each trace goes whole in which a span has the id, with its scores and the images that no other
    span refers to. The bytes are overwritten or rewritten, in the files that living processes write and in what waits
    to be exported too. A connection of `connect` that is open has to be made anew. What was removed is counted in
    `losses` as `pruned`. Exactly one of the first five says what.

    Args:
        user_id: The user.
        session_id: The session.
        trace_id: The trace, 32 hex digits.
        older_than: Spans and scores that began longer ago, or before this time.
        max_bytes: The store's size; the oldest files go until it fits.
        dry_run: Only count.
        path: The store's folder; by default that of the configuration.
        progress: Called with the files that are done and those that there are.

    Raises:
        ValueError: None of the five, or several, are given.
        StoreError: The store is not there, cannot be read or written, or is being changed by another process.

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
        raise ValueError("say what is to be pruned by one of user_id, session_id, trace_id, older_than and max_bytes")
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
        return _Pruning(folder, progress).run(person, older_than, dry_run)


def finish_pruning(store: Path) -> None:
    """Go on with what somebody who was killed had begun; for who holds the store's lock.

    Args:
        store: The store's folder.
    """
    begun = read_journal(store)
    if begun is not None:
        _Pruning(store, None).apply(begun)
        remove_journal(store)


def _to_size(folder: Path, max_bytes: int, dry_run: bool) -> Pruned:
    if dry_run:
        raise ValueError("what max_bytes would remove is not known beforehand: leave dry_run out")
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
        self._blobs = 0

    def run(self, person: dict[str, str], older_than: timedelta | datetime | None, dry_run: bool) -> Pruned:
        try:
            return self._run(person, older_than, dry_run)
        except OSError as error:
            raise StoreError(
                f"{self._store} cannot be pruned: {error.strerror or error}; what is left is found again: make it "
                "writable, free space, and try again",
                path=str(self._store),
            ) from error

    def _run(self, person: dict[str, str], older_than: timedelta | datetime | None, dry_run: bool) -> Pruned:
        finish_pruning(self._store)
        if not dry_run:
            from llmops_sdk.store.files._sweep import sweep_imports

            sweep_imports(self._store)
        traces: set[str] = set()
        spans = scores = 0
        for _ in range(_ROUNDS):
            selection, found, judged = self._find(person, older_than)
            spans, scores = spans + found, scores + judged
            traces |= selection.traces
            if dry_run or not (found or judged):
                break
            # By age there is no need for a journal: what is left is as old as before.
            if person:
                write_journal(self._store, selection)
            self.apply(selection)
            remove_journal(self._store)
        left = 0 if dry_run else self._find(person, older_than)[1]
        if not dry_run and spans + scores:
            count_loss(self._store, "span", "pruned", spans - left, 0)
        return Pruned(traces=len(traces), spans=spans - left, scores=scores, blobs=self._blobs, left=left)

    def _find(self, person: dict[str, str], older_than: timedelta | datetime | None) -> tuple[PruneSelection, int, int]:
        """What goes, and how many spans and scores that is."""
        if older_than is not None:
            before = _cutoff_ns(older_than)
            counts = self._ask(
                "SELECT (SELECT count(*) FROM store.spans WHERE start_ns < $before), "
                "(SELECT count(*) FROM store.scores WHERE time_ns < $before)",
                {"before": before},
            )
            return PruneSelection(before_ns=before), *counts[0]
        ((name, value),) = person.items()
        found = self._ask(f"SELECT trace_id FROM store.spans WHERE {name} = $value GROUP BY ALL", {"value": value})  # noqa: S608 - one of three names
        traces = [trace for (trace,) in found]
        mine = "store.spans WHERE trace_id IN (SELECT unnest($traces::VARCHAR[]))"
        given = {"traces": traces}
        spans = self._ask(f"SELECT count(*) FROM {mine}", given)[0][0]  # noqa: S608 - constants
        judged = self._ask(
            f"SELECT span_id FROM {mine} AND span_id IN (SELECT span_id FROM store.scores WHERE trace_id IS NULL)",  # noqa: S608 - constants
            given,
        )
        named = [span for (span,) in judged]
        scores = self._ask(
            "SELECT count(*) FROM store.scores WHERE trace_id IN (SELECT unnest($traces::VARCHAR[])) "
            "OR span_id IN (SELECT unnest($spans::VARCHAR[]))",
            {"traces": traces, "spans": named},
        )[0][0]
        blobs = self._ask(f"SELECT DISTINCT unnest({_BLOBS}) FROM {mine} AND {_TEXT} LIKE '%blobs/%'", given)  # noqa: S608 - constants
        words = (value,)
        selection = PruneSelection(
            traces=frozenset(traces), spans=frozenset(named), blobs=frozenset(b for (b,) in blobs), words=words
        )
        return selection, spans, scores

    def _ask(self, sql: str, params: dict[str, Any]) -> list[tuple[Any, ...]]:
        return query(sql, params, path=self._store).rows()

    def apply(self, selection: PruneSelection) -> None:
        """Remove it from every file; may be done twice."""
        from llmops_sdk.store.duck._parquet import ParquetWriter
        from llmops_sdk.store.duck._views_file import write_views

        manifest = read_manifest(self._store) or Manifest()
        segments = list(all_segments(self._store))
        done, total = 0, len(manifest.files) + len(segments)
        with contextlib.closing(ParquetWriter()) as writer:
            writer.mark_for_removal(selection.traces, selection.spans)
            for file in manifest.files:
                manifest = self._rewrite(writer, manifest, file, selection)
                done = self._step(done, total)
        for segment in segments:
            overwrite_lines(segment, selection.matches)
            done = self._step(done, total)
        # At once, and not after their grace: who has one open goes on with it.
        for name in manifest.trash:
            (self._store / name).unlink(missing_ok=True)
        if manifest.trash:
            manifest = commit(self._store, manifest.without(frozenset(manifest.trash)))
            write_views(self._store, manifest)
        self._remove_blobs(selection)

    def _step(self, done: int, total: int) -> int:
        if self._progress is not None:
            self._progress(done + 1, total)
        return done + 1

    def _rewrite(
        self, writer: ParquetWriter, manifest: Manifest, file: DataFile, selection: PruneSelection
    ) -> Manifest:
        condition = selection.row_condition(file.stream)
        source = self._store / file.name
        dropped = 0 if condition is None else writer.count_rows([source], condition)
        if not dropped or condition is None:
            return manifest
        origin = FileProvenance(
            generation=manifest.generation + 1,
            stream=file.stream,
            version=file.version,
            level=file.level,
            written=file.written,
            thinned=file.thinned,
            replaces=[file.name],
        )
        out = source.with_name(f"L{file.level}-{origin.generation:08}-{uuid4().hex}.parquet")
        temporary = out.with_name(f".{out.name}")
        rows = writer.write_rows([source], temporary, origin, unless=condition)
        if rows != file.rows - dropped:
            raise StoreError(f"{rows} rows of {file.name} came through in place of {file.rows - dropped}; it stays")
        made: list[DataFile] = []
        if rows:
            temporary.chmod(0o600)
            size = temporary.stat().st_size
            temporary.replace(out)
            sync_folder(out.parent)
            made = [replace(file, name=f"{out.parent.name}/{out.name}", rows=rows, bytes=size)]
        else:
            temporary.unlink()
        return commit(self._store, manifest.next(time=time.time(), add=made, remove=[file]))

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
        names = self._ask(f"SELECT DISTINCT unnest({_BLOBS}) FROM store.spans WHERE {_TEXT} LIKE '%blobs/%'", {})  # noqa: S608 - constants
        used = {name for (name,) in names}
        return [blob for blob in blobs if blob.path.name not in used]


def _cutoff_ns(older_than: timedelta | datetime) -> int:
    if isinstance(older_than, timedelta):
        return time.time_ns() - int(older_than.total_seconds() * 1e9)
    from datetime import UTC

    moment = older_than if older_than.tzinfo is not None else older_than.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1e9)
