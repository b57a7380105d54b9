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

from llmops_sdk.store.reading._query import flush_first, run_query
from llmops_sdk.store.schema._span_views import traces_sql_without_scores
from llmops_sdk.store.schema._user_columns import current_views
from llmops_sdk.store.schema._views import View

__all__ = ["TraceFilter", "TraceKey", "TracePage", "TraceTexts", "known_traces", "latest_traces", "trace_texts"]

_SLICE_SPANS = 64
"""Spans a wanted trace in the first slice."""
_GROWTH = 16
_SLICES = 3
_GUESSES = 8
_OWN_TEXTS = ("input", "output")
_WITH_MESSAGES = ("coalesce(input, input_messages)", "coalesce(output, output_messages)")
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
    """

    where: str = "true"
    ids: str = "true"
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    since: datetime | None = None
    until: datetime | None = None


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
        columns: The columns wanted, separated by commas.
        limit: The number of traces, at least 1.
        chosen: The filter, or None for every trace.
        after: The key of the last trace of the page before, or None for the first page.
        timeout: Seconds for each of the queries, or None.

    Raises:
        QueryError: A condition is invalid, not allowed, or took too long.
        StoreError: The store cannot be read, or a newer version of the SDK wrote it.
    """
    flush_first()
    search = _Search(folder, chosen or TraceFilter(), after, limit + 1, timeout)
    keys = search.newest_keys()
    if not keys:
        return TracePage([], None)
    rows = known_traces(folder, keys[:limit], columns, timeout)
    return TracePage(rows, keys[limit - 1] if len(keys) > limit else None)


def known_traces(
    folder: Path, keys: Sequence[TraceKey], columns: str, timeout: float | None = None
) -> list[tuple[Any, ...]]:
    """Return these traces as rows of the view `traces`, newest first, then by id. Only their spans are rolled up.

    Args:
        folder: The store's folder.
        keys: The traces.
        columns: The columns wanted, separated by commas.
        timeout: Seconds, or None.

    Raises:
        QueryError: It took too long.
        StoreError: The store cannot be read, or a newer version of the SDK wrote it.
    """
    if not keys:
        return []
    view = next(view for view in current_views() if view.name == "traces")
    rolled = _traces_sql(view, columns).replace("store.spans", _spans_of(keys))
    return run_query(f"SELECT {columns} FROM ({rolled}) {_ORDER}", None, folder, timeout, [view]).rows()


def trace_texts(folder: Path, keys: Sequence[TraceKey], chars: int) -> dict[str, TraceTexts]:
    """Return the texts that the view `traces` gives, cut, by the id of the trace.

    The view takes messages where a span has no input. To read messages means to unpack the widest column of the store,
    and most roots have an input of their own: the columns are read one after the other, each for the traces that still
    lack a text.

    Args:
        folder: The store's folder.
        keys: The traces.
        chars: The most characters of a text.

    Raises:
        QueryError: It took too long.
        StoreError: The store cannot be read.
    """
    found: dict[str, TraceTexts] = {}
    # A new connection has only the tables that its views read.
    views = [view for view in current_views() if view.name == "traces"]
    lacking = list(keys)
    for said, answered in (_OWN_TEXTS, _WITH_MESSAGES):
        if lacking:
            sql = f"""SELECT trace_id, arg_min(left({said}, {chars:d}), start_ns),
                arg_max(left({answered}, {chars:d}), start_ns + duration_ns)
                FROM {_spans_of(lacking)} WHERE parent_span_id IS NULL GROUP BY trace_id"""
            found |= {row[0]: TraceTexts(*row[1:]) for row in run_query(sql, None, folder, None, views).rows()}
            lacking = [key for key in lacking if None in found.get(key.trace_id, (None,))]
    # No root says it: any span may. A trace that failed has no output, so that this is not rare.
    columns = f"trace_id, left(input, {chars:d}), left(output, {chars:d})"
    return found | {row[0]: TraceTexts(*row[1:]) for row in known_traces(folder, lacking, columns)}


def _spans_of(keys: Sequence[TraceKey]) -> str:
    """Return SQL for the spans of these traces, with the columns of `store.spans`."""
    oldest = min(keys).start_ns
    begun = f"start_ns >= {oldest:d} AND " if oldest >= 0 else ""
    return f"(SELECT * FROM store.spans WHERE {begun}{_is_among(keys)})"


def _traces_sql(view: View, used: str) -> str:
    """Return the SQL of `traces`, without the scores if this SQL does not use them: DuckDB would read them all."""
    return view.sql if "*" in used or "scores" in used.lower() else traces_sql_without_scores(view.sql)


class _Search:
    """The search for one page; one trace more than the page tells whether there is another page."""

    def __init__(
        self, folder: Path, chosen: TraceFilter, after: TraceKey | None, wanted: int, timeout: float | None
    ) -> None:
        self._folder = folder
        self._chosen = chosen
        self._after = after
        self._wanted = wanted
        self._timeout = timeout
        words = set(re.findall(r"\w+", f"{chosen.where} {chosen.ids}".lower()))
        self._views = {view.name: view for view in current_views() if view.name in words | {"traces"}}
        self._since_ns = None if chosen.since is None else _nanoseconds(chosen.since)
        ends = [] if after is None else [after.start_ns + 1_000]
        ends += [] if chosen.until is None else [_nanoseconds(chosen.until)]
        self._until_ns = min(ends, default=None)
        self._bounds: list[tuple[Any, ...]] = []

    def ask(self, sql: str, params: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        return run_query(sql, params or None, self._folder, self._timeout, list(self._views.values())).rows()

    def newest_keys(self) -> list[TraceKey]:
        for number in range(_SLICES):
            start = self._slice_start(_SLICE_SPANS * self._wanted * _GROWTH**number)
            if start is None or (self._since_ns is not None and start <= self._since_ns):
                break
            keys = self._keys(start)
            if len(keys) == self._wanted and self._are_whole(keys):
                return keys
            if len(keys) == self._wanted and len(keys := self._keys(start, whole=True)) == self._wanted:
                return keys
            if number and len(keys) * _GROWTH < self._wanted:
                break  # at this density the next slice holds too few as well, and it may cost a third of the store
        return self._keys(self._since_ns, whole=self._since_ns is not None)

    def _slice_start(self, spans: int) -> int | None:
        """Return the start of a slice with about this many spans or more, or None when the store has fewer."""
        before = "true" if self._until_ns is None else f"start_ns < {self._until_ns:d}"
        count = "SELECT count(start_ns), min(start_ns), max(start_ns) FROM store.spans WHERE"
        [(total, oldest, newest)] = self._bounds = self._bounds or self.ask(f"{count} {before}")
        if total < spans:
            return None
        # A guess from the average density, corrected by counting: sorting all spans by time costs much more.
        width, enough = (newest - oldest) * spans // total + 1_000, None
        for _ in range(_GUESSES):
            start = (newest - width) // 1_000 * 1_000
            if start <= oldest:
                return enough
            [(found, _, _)] = self.ask(f"{count} start_ns >= {start:d} AND {before}")
            if found >= spans:
                enough = start
            if spans <= found <= spans * _GROWTH:
                break
            width = width * 2 if found < spans else width // _GROWTH + 1_000
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
        traces = _traces_sql(self._views["traces"], self._chosen.where).replace("store.spans", rolled)
        others = {name: view.sql.replace("store.spans", spans) for name, view in self._views.items()}
        shadows = [f"{name} AS NOT MATERIALIZED ({sql})" for name, sql in {**others, "traces": traces}.items()]
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

    def _are_whole(self, keys: Sequence[TraceKey]) -> bool:
        """Return whether each trace began where its slice shows the start."""
        starts = dict(
            self.ask(
                f"SELECT trace_id, min(start_ns) // 1000 * 1000 FROM store.spans WHERE {_is_among(keys)} "
                "GROUP BY trace_id"
            )
        )
        return all(starts.get(key.trace_id) == key.start_ns for key in keys)


def _is_among(keys: Sequence[TraceKey]) -> str:
    # Constants, not a subquery: DuckDB compares them with the statistics of the files.
    listed = ", ".join("'" + key.trace_id.replace("'", "''") + "'" for key in keys)
    return f"trace_id IN ({listed})"


def _nanoseconds(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(microseconds=1) * 1_000
