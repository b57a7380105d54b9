"""The latest traces, page by page, without rolling up the whole store.

The newest spans give the start of a time slice. The slice gives the ids of its newest traces. Their spans alone are
then rolled up. A trace that began before the slice belongs to an older one and is left out; a slice with too few traces
is replaced by a larger one, at last by the whole store.
"""
# ruff: noqa: S608 - statements are put together from the schema; values are parameters or numbers

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from llmops_sdk.store.reading._query import flush_first
from llmops_sdk.store.reading.jobs._own_rows import own_rows
from llmops_sdk.store.reading.jobs._row_groups import latest_slice, row_groups
from llmops_sdk.store.schema._types import with_tables
from llmops_sdk.store.schema._user_columns import current_views

__all__ = [
    "TraceFilter",
    "TraceKey",
    "TracePage",
    "TraceTexts",
    "is_among",
    "known_traces",
    "latest_traces",
    "trace_texts",
]

_SLICE_SPANS = 64
"""Spans a wanted trace in the first slice."""
_GROWTH = 16
_SLICES = 3
_GUESSES = 8
_START_US = "coalesce(epoch_us(start_time), -1)"  # a foreign line may have no start
_ORDER = f"ORDER BY {_START_US} DESC, trace_id"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)


class TraceKey(NamedTuple):
    """The place of a trace in the list: newest first, then by id."""

    start_ns: int
    """Nanoseconds since the epoch, cut to the microseconds of the column `start_time`."""
    trace_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceFilter:
    """The traces that a list shows; the values of both conditions are in `params`.

    Attributes:
        where: SQL over a row of `traces`.
        ids: SQL over a trace's id, with subqueries on `spans`, `llm_calls` and `scores`: "trace_id IN (SELECT …)".
            A subquery may look at the trace's own spans and scores only.
        params: Values by name.
            since: Only traces that began at this time or later, in UTC.
        until: Only traces that began before this time, in UTC.
        is_own: Whether the SDK made the conditions; others are checked as a query of the user is.
    """

    where: str = "true"
    ids: str = "true"
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    since: datetime | None = None
    until: datetime | None = None
    is_own: bool = False


class TracePage(NamedTuple):
    """One page of the list."""

    rows: list[tuple[Any, ...]]
    next: TraceKey | None
    """Pass it as `after` to get the next page; None on the last one."""


class TraceTexts(NamedTuple):
    """The beginnings of a trace's first input and last output."""

    input: str | None = None
    output: str | None = None


def latest_traces(
    folder: Path,
    columns: str,
    *,
    limit: int,
    chosen: TraceFilter | None = None,
    after: TraceKey | None = None,
    timeout: float | None = None,
) -> TracePage:
    """Return the newest traces as rows of the view `traces`, newest first, then by id.

    Args:
        folder: The store's folder.
        columns: The columns wanted, separated by commas; also `root_input`, `root_output` and `first_error`.
        limit: The number of traces, at least 1.
        chosen: The filter, or None for every trace.
        after: The key of the last trace of the page before, or None for the first page.
        timeout: Seconds for each of the queries, or None.

    Raises:
        QueryError: A condition is invalid, not allowed, or took too long.
        StoreError: The store cannot be read, or a newer version of the SDK wrote it.
    """
    flush_first()
    return _Search(folder, columns, chosen or TraceFilter(), after, limit, timeout).page()


def known_traces(
    folder: Path, keys: Sequence[TraceKey], columns: str, timeout: float | None = None
) -> list[tuple[Any, ...]]:
    """Return these traces as rows of the view `traces`, newest first, then by id. Only their spans are rolled up.

    Args:
        folder: The store's folder.
        keys: The traces.
        columns: The columns wanted, separated by commas; also `root_input`, `root_output` and `first_error`.
        timeout: Seconds, or None.

    Raises:
        QueryError: It took too long.
        StoreError: The store cannot be read, or a newer version of the SDK wrote it.
    """
    if not keys:
        return []
    return _rolled_up(folder, columns, _spans_of(keys), timeout)


def _rolled_up(folder: Path, columns: str, spans: str, timeout: float | None) -> list[tuple[Any, ...]]:
    """Return rows of `traces`, rolled up from some spans, in the order of the list."""
    view = next(view for view in current_views() if view.name == "traces")
    words = _words(columns) | {"start_time"}

    def sql(traces: str) -> str:
        return f"SELECT {columns} FROM ({_over(spans, traces)}) {_ORDER}"

    whole = sql(view.sql if "*" in columns else view.narrow_sql(words))
    bare = None
    if "scores" in words:
        bare = sql(f"SELECT *, NULL::JSON AS scores FROM ({view.narrow_sql(words - {'scores'})})")
    return own_rows(whole, None, folder, timeout, if_no_scores=bare, expand=False).rows


def trace_texts(folder: Path, keys: Sequence[TraceKey], chars: int) -> dict[str, TraceTexts]:
    """Return the texts that the view `traces` gives, cut, by the id of the trace.

    The view takes messages where a span has no input, or another span's. To read messages means to unpack the widest
    column of the store. So ask for `root_input` and `root_output` first, and for these texts where one is missing.

    Args:
        folder: The store's folder.
        keys: The traces.
        chars: The most characters of a text.

    Raises:
        QueryError: It took too long.
        StoreError: The store cannot be read.
    """
    columns = f"trace_id, left(input, {chars:d}), left(output, {chars:d})"
    return {row[0]: TraceTexts(*row[1:]) for row in known_traces(folder, keys, columns)}


def _spans_of(keys: Sequence[TraceKey]) -> str:
    """Return SQL for the spans of these traces, with the columns of `store.spans`."""
    oldest = min(keys).start_ns
    begun = f"start_ns >= {oldest:d} AND " if oldest >= 0 else ""
    return f"(SELECT * FROM store.spans WHERE {begun}{_is_among(keys)})"


def _over(spans: str, sql: str) -> str:
    """Return the SQL of a view over some spans."""
    return with_tables(sql, lambda name: spans if name == "spans" else f"store.{name}")


def _words(sql: str) -> set[str]:
    return set(re.findall(r"\w+", sql))


class _Search:
    """The search for one page; one trace more than the page tells whether there is another page."""

    def __init__(
        self,
        folder: Path,
        columns: str,
        chosen: TraceFilter,
        after: TraceKey | None,
        limit: int,
        timeout: float | None,
    ) -> None:
        self._folder = folder
        self._columns = columns
        self._chosen = chosen
        self._after = after
        self._limit = limit
        self._wanted = limit + 1
        self._timeout = timeout
        words = _words(f"{chosen.where} {chosen.ids}".lower())
        self._views = {view.name: view for view in current_views() if view.name in words | {"traces"}}
        self._since_ns = None if chosen.since is None else _nanoseconds(chosen.since)
        ends = [] if after is None else [after.start_ns + 1_000]
        ends += [] if chosen.until is None else [_nanoseconds(chosen.until)]
        self._until_ns = min(ends, default=None)

    def ask(self, sql: str, params: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        checked = not self._chosen.is_own
        return own_rows(sql, params or None, self._folder, self._timeout, expand=False, checked=checked).rows

    def page(self) -> TracePage:
        for number in range(_SLICES):
            start = self._slice_start(_SLICE_SPANS * self._wanted * _GROWTH**number)
            if start is None or (self._since_ns is not None and start <= self._since_ns):
                break
            keys = self._keys(start)
            if len(keys) == self._wanted and (rows := self._rows_if_whole(keys)) is not None:
                return self._page_of(keys, rows)
            if len(keys) == self._wanted and len(keys := self._keys(start, whole=True)) == self._wanted:
                return self._page_of(keys)
            if number and len(keys) * _GROWTH < self._wanted:
                break  # at this density the next slice holds too few as well, and it may cost a third of the store
        return self._page_of(self._keys(self._since_ns, whole=self._since_ns is not None))

    def _page_of(self, keys: Sequence[TraceKey], rows: list[tuple[Any, ...]] | None = None) -> TracePage:
        if rows is None:
            rows = known_traces(self._folder, keys[: self._limit], self._columns, self._timeout)
        return TracePage(rows[: self._limit], keys[self._limit - 1] if len(keys) > self._limit else None)

    def _rows_if_whole(self, keys: Sequence[TraceKey]) -> list[tuple[Any, ...]] | None:
        """Return the rows of these traces, or None if one of them began before its slice shows it."""
        spans = f"(SELECT * FROM store.spans WHERE {_is_among(keys)})"
        rows = _rolled_up(self._folder, f"{_START_US}, trace_id, {self._columns}", spans, self._timeout)
        found = [TraceKey(start * 1_000, trace_id) for start, trace_id, *_ in rows]
        return [row[2:] for row in rows] if found == list(keys) else None

    def _slice_start(self, spans: int) -> int | None:
        """Return the start of a slice with about this many spans or more, or None when the store has fewer.

        Of spans in segments nobody knows the time, and so they count as none: they make the slice larger.
        """
        groups = row_groups(self._folder, "spans", "start_ns", least=spans, timeout=self._timeout)
        found = latest_slice(groups, spans, self._until_ns)
        if found is None:
            return None
        start = found.start // 1_000 * 1_000
        if found.most_rows <= spans * _GROWTH:
            return start
        # The spans of a row group lie close together, or it holds old ones too: correct the guess by counting.
        before = "true" if self._until_ns is None else f"start_ns < {self._until_ns:d}"
        width, enough = found.newest - start, None
        for _ in range(_GUESSES):
            start = (found.newest - width) // 1_000 * 1_000
            if start <= found.oldest:
                return enough
            [(count,)] = self.ask(f"SELECT count(*) FROM store.spans WHERE start_ns >= {start:d} AND {before}")
            if count >= spans:
                enough = start
            if spans <= count <= spans * _GROWTH:
                break
            width = width * 2 if count < spans else width // _GROWTH + 1_000
        return enough

    def _keys(self, since_ns: int | None, *, whole: bool = False) -> list[TraceKey]:
        """Return the newest keys among the spans of a slice; `whole` leaves out traces that began before it."""
        spans = "store.spans" if since_ns is None else f"(SELECT * FROM store.spans WHERE start_ns >= {since_ns:d})"
        # Inside the roll-up: DuckDB does not push a subquery's condition below an aggregation.
        conditions = [] if self._chosen.ids == "true" else [f"({self._chosen.ids})"]
        if self._until_ns is not None:
            conditions.append(
                f"trace_id IN (SELECT trace_id FROM {spans} WHERE coalesce(start_ns, -1) < {self._until_ns:d})"
            )
        rolled = f"(SELECT * FROM {spans} WHERE {' AND '.join(conditions)})" if conditions else spans
        words = _words(f"{self._chosen.where} {self._chosen.ids}".lower()) | {"start_time"}
        # `traces` comes last: its condition may read the others.
        shadows = [
            f"{name} AS NOT MATERIALIZED ({_over(on, view.narrow_sql(words))})"
            for name, view in sorted(self._views.items(), key=lambda one: one[0] == "traces")
            for on in (rolled if name == "traces" else spans,)
        ]
        where = [f"({self._chosen.where})"]
        params = dict(self._chosen.params)
        if self._after is not None:
            where.append(
                f"({_START_US} < {self._after.start_ns // 1_000:d} OR ({_START_US} = "
                f"{self._after.start_ns // 1_000:d} AND trace_id > $after_id))"
            )
            params["after_id"] = self._after.trace_id
        if whole:
            where.append(f"trace_id NOT IN (SELECT trace_id FROM store.spans WHERE start_ns < {since_ns:d})")
        rows = self.ask(
            f"WITH {', '.join(shadows)} SELECT {_START_US}, trace_id FROM traces WHERE {' AND '.join(where)} {_ORDER} "
            f"LIMIT {self._wanted:d}",
            params,
        )
        return [TraceKey(start * 1_000, trace_id) for start, trace_id in rows]


def _is_among(keys: Sequence[TraceKey]) -> str:
    return is_among([key.trace_id for key in keys])


def is_among(trace_ids: Sequence[str]) -> str:
    """Return the condition that a row belongs to one of these traces.

    The ids are constants, not a subquery: DuckDB compares them with the statistics of the files.

    Args:
        trace_ids: Few ids; very many take long to plan.
    """
    listed = ", ".join("'" + one.replace("'", "''") + "'" for one in trace_ids)
    return f"trace_id IN ({listed})"


def _nanoseconds(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(microseconds=1) * 1_000
