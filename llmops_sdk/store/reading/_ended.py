"""Follow the traces or spans of all processes as they end; `llmops tail` and the local page show them."""
# ruff: noqa: S608 - the conditions' values are parameters

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk.store.reading._filters import Filter
from llmops_sdk.store.reading._follow import Follower, Lines
from llmops_sdk.store.reading._latest import is_among
from llmops_sdk.store.reading._query import flush_first, query
from llmops_sdk.store.reading._window import Window
from llmops_sdk.store.reading.jobs._own_rows import own_rows

__all__ = ["SPAN_COLUMNS", "EndedSpans", "latest_ended"]

_QUIET_SECONDS = 60.0
_MOST_LISTED = 200
_PENDING = 8 * 1024 * 1024  # bytes of lines
_PATIENCE_SECONDS = 0.5
_REST = 6
_MAX_REST_SECONDS = 3.0
SPAN_COLUMNS = (
    "trace_id, span_id, start_time, duration_ms, kind, name, model, input_tokens, output_tokens, cost, status, "
    "error_type, session_id, user_id"
)
_END = "start_time + to_microseconds((duration_ms * 1e3)::BIGINT)"


class EndedSpans:
    """Polls the store for traces, or spans, that have ended.

    Args:
        wanted: The filter.
        spans: Whether to follow spans instead of traces.
        columns: The columns wanted; the first is the trace's id. For spans they are `SPAN_COLUMNS`.
        folder: The store's folder.
        position: The `position` of an earlier follower of this store, or None to follow from now on.
        clock: Measures how long a trace has been quiet.
        max_spans: The number of latest spans to hold in memory.
        max_bytes: The bytes of their lines.
        content: Whether to hold inputs and outputs, for a search or as columns.

    Raises:
        StoreError: The store cannot be read, or the position is not valid.
    """

    def __init__(
        self,
        wanted: Filter,
        *,
        spans: bool,
        columns: str,
        folder: Path,
        position: str | None = None,
        clock: Clock = SYSTEM_CLOCK,
        max_spans: int = 20_000,
        max_bytes: int = 64 * 1024 * 1024,
        content: bool = False,
    ) -> None:
        self._wanted = wanted
        self._spans = spans
        self._columns = columns
        self.folder = folder
        self._clock = clock
        self._looked = clock.monotonic()
        self._follower = Follower(folder, ("spans", "scores"), position)
        self._missed = 0
        self._waiting: list[str] = []
        """Ended traces that must be looked up in the store."""
        self._look_up_at = self._looked
        began = int(clock.time() * 1e9)
        with_content = content or wanted.search is not None
        self._window = Window(began, content=with_content, max_spans=max_spans, max_bytes=max_bytes)

    @property
    def position(self) -> str:
        """Return what has been read, for a later follower."""
        return self._follower.position

    @property
    def is_waiting(self) -> bool:
        """Return whether some of what has ended is not shown yet, though `position` is behind it."""
        return bool(self._waiting)

    def missed_bytes(self) -> int:
        """Return the bytes of lines that compaction took before they were read, since the last call."""
        missed, self._missed = self._missed, 0
        return missed

    def close(self) -> None:
        """Close files and free memory."""
        self._follower.close()
        self._window.close()

    def mark_shown(self, ids: Sequence[str]) -> None:
        """Leave out these traces (their ids), or spans (the ids of trace and span together)."""
        self._window.mark_shown(ids)

    def step(self) -> Iterator[list[tuple[Any, ...]]]:
        """Yield the rows of what has ended since the last step, in batches and in order."""
        pending, began = 0, self._clock.monotonic()
        while batch := self._follower.read():
            for new in batch:
                if isinstance(new, Lines):
                    self._window.add(new.stream, new.lines, self._clock.monotonic())
                    pending += sum(map(len, new.lines))
                else:
                    self._missed += new.bytes
            # Not only by size: while programs write without a pause, there is always something new.
            if pending > _PENDING or (pending and self._clock.monotonic() - began > _PATIENCE_SECONDS):
                yield from self._ended()
                pending, began = 0, self._clock.monotonic()
        # Once for all new lines, as far as memory allows: in order, and traces with all their spans.
        if pending:
            yield from self._ended()
        elif self._waiting:
            yield self._incomplete()
        now = self._clock.monotonic()
        if not self._spans and now - self._looked >= _QUIET_SECONDS / 12:
            self._looked = now
            yield self._quiet(now)

    def _ended(self) -> Iterator[list[tuple[Any, ...]]]:
        where = self._wanted.where("spans" if self._spans else "traces")
        if self._spans:
            yield self._window.new_rows(_span_rows(where.sql), self._columns, "trace_id || span_id", where)
            self._window.evict()
            return
        # The window may lack spans of these.
        ids = self._window.incomplete()
        self._waiting += ids
        self._window.mark_shown(ids)
        yield self._incomplete()
        ended = f"SELECT * FROM traces WHERE status IS NOT NULL AND ({where.sql})"
        yield self._window.new_rows(ended, self._columns, "trace_id", where)
        self._window.evict()

    def _incomplete(self) -> list[tuple[Any, ...]]:
        """Return the rows of the traces that wait, from the store.

        Not with each batch of lines: beside a program that goes on with old traces it would read the store all the
        time. So it rests some times as long as it takes.
        """
        began = self._clock.monotonic()
        if began < self._look_up_at:
            return []
        ids, self._waiting = self._waiting, []
        found = self._looked_up(ids, "status IS NOT NULL")
        now = self._clock.monotonic()
        self._look_up_at = now + min((now - began) * _REST, _MAX_REST_SECONDS)
        return found

    def _quiet(self, now: float) -> list[tuple[Any, ...]]:
        """Return quiet traces without a root: it may be in another service, lost with its process, or still running."""
        ids = self._window.rootless(now - _QUIET_SECONDS)
        found = self._looked_up(ids, "status IS NULL")
        self._window.mark_shown([f"{trace_id}?" for trace_id in ids])
        return found

    def _looked_up(self, ids: Sequence[str], state: str) -> list[tuple[Any, ...]]:
        if not ids or not self.folder.is_dir():  # the store may vanish and come back
            return []
        where = self._wanted.where("traces")
        params = dict(where.params)
        if len(ids) <= _MOST_LISTED:
            among = is_among(ids)
        else:
            among, params["ids"] = "trace_id IN (SELECT unnest($ids::VARCHAR[]))", list(ids)
        statement = (
            f"SELECT {self._columns} FROM traces WHERE {among} AND {state} AND ({where.sql}) ORDER BY {_END}, trace_id"
        )
        flush_first()
        return own_rows(statement, params or None, self.folder).rows


def _span_rows(where: str) -> str:
    return (
        f"SELECT * FROM (SELECT * FROM spans WHERE {where}) LEFT JOIN (SELECT trace_id, span_id, model, input_tokens, "
        "output_tokens, cost FROM llm_calls) USING (trace_id, span_id)"
    )


def latest_ended(wanted: Filter, *, spans: bool, columns: str, last: int, folder: Path) -> list[tuple[Any, ...]]:
    """Return the latest ended traces or spans in order; a quiet trace without a root counts as ended.

    Args:
        wanted: The filter.
        spans: Whether to return spans instead of traces.
        columns: The columns wanted.
        last: How many.
        folder: The store's folder.
    """
    where = wanted.where("spans" if spans else "traces")
    params: dict[str, Any] = {**where.params, "last": last}
    if spans:
        rows, key = _span_rows(where.sql), "span_id"
    else:
        quiet = f"status IS NULL AND {_END} < now()::TIMESTAMP - to_seconds({_QUIET_SECONDS})"
        rows = f"SELECT * FROM traces WHERE ({where.sql}) AND (status IS NOT NULL OR {quiet})"
        key = "trace_id"
    statement = f"SELECT {columns} FROM ({rows}) ORDER BY {_END} DESC, {key} DESC LIMIT $last"
    return query(statement, params, path=folder).rows()[::-1]
