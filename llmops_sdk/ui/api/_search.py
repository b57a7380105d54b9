"""Search the texts of all spans, the newest first, in slices of time that double."""
# ruff: noqa: S608 - conditions have parameters; ids are quoted

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from llmops_sdk._util._usage import UsageError
from llmops_sdk.store.reading._filters import search_condition
from llmops_sdk.ui._asked import Asked, literal, on_store
from llmops_sdk.ui.api._traces import LIST_COLUMNS, trace_rows, traces_sql

__all__ = ["Search"]

_FIRST_SLICE = 6 * 3_600 * 10**9
_MAX_ROWS = 500
_MAX_PER_STEP = 100
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)


class Search:
    """A search that goes back in time, a step a slice.

    With `until`, spans after it come last: a trace that began before may go on after it, but few do.

    Args:
        asked: The request: its filters, `limit`, and `cursor` to go on.

    Raises:
        UsageError: A parameter is not valid.

    Attributes:
        sql: The SQL that gives the same traces.
        command: The command that gives the same traces.
        found: How many traces were found.
        is_done: Whether to stop.
        is_complete: Whether nothing is left to search.
    """

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._wanted = asked.filter
        if self._wanted.search is None:
            raise UsageError("give search, the text to search for")
        self._limit = asked.whole("limit", 100, _MAX_ROWS)
        cursor = asked.text("cursor")
        if cursor is not None and not re.fullmatch(r"[12]\.-?[0-9]{1,19}", cursor):
            raise UsageError("this cursor is not one that a search gave")
        self._after = None if cursor is None else [int(part) for part in cursor.split(".")]
        self._width = _FIRST_SLICE
        self._ranges: list[tuple[int, int]] | None = None
        """What is left to search, in nanoseconds."""
        self._least = 0
        self._is_split = False
        self._seen: set[str] = set()
        self.sql = traces_sql(self._wanted, self._limit)
        self.command = on_store(asked.command("traces", f"--limit={self._limit}"), asked.folder)
        self.found = 0
        self.is_done = False
        self.is_complete = False

    @property
    def back_to(self) -> datetime | None:
        """Return the time back to which all is searched, as far as traces before `until` go."""
        if self._ranges is None or not self._least:
            return None  # nothing was read, or the store is empty
        has_begun = len(self._ranges) == (2 if self._is_split else 1)
        end = self._ranges[0][1] if has_begun else self._least
        return _EPOCH + timedelta(microseconds=end // 1_000)

    @property
    def cursor(self) -> str | None:
        """Return where a further search goes on, or None if nothing is left."""
        return f"{len(self._ranges)}.{self._ranges[0][1]}" if self._ranges else None

    def step(self) -> list[dict[str, Any]]:
        """Search the next slice, and return lines of the list of traces that were not found before."""
        if self._ranges is None:
            self._ranges = self._all_ranges()
        rows: list[dict[str, Any]] = []
        if self._ranges:
            least, end = self._ranges[0]
            begin = max(end - self._width, least)
            wanted = min(self._limit - self.found, _MAX_PER_STEP)
            hits = self._hits(begin, end, wanted + 1)
            fresh = [trace_id for trace_id, _ in hits[:wanted] if trace_id not in self._seen]
            self._seen.update(fresh)
            rows = self._rows(fresh)
            self.found += len(rows)
            if len(hits) > wanted:
                # Again from the last one on, as spans of others may have begun in the same nanosecond.
                begin = max(min(hits[wanted - 1][1] + 1, end - 1), begin)
            else:
                self._width *= 2
            self._ranges[:1] = [(least, begin)] if begin > least else []
        self.is_complete = not self._ranges
        self.is_done = self.is_complete or self.found >= self._limit
        return rows

    def _all_ranges(self) -> list[tuple[int, int]]:
        [(oldest, newest)] = self._asked.result("SELECT min(start_ns), max(start_ns) FROM spans").rows
        if oldest is None:
            return []
        since, until = self._wanted.since, self._wanted.until
        self._least = int(oldest) if since is None else max(int(oldest), _nanoseconds(since))
        end = int(newest) + 1
        border = end if until is None else min(max(_nanoseconds(until), self._least), end)
        self._is_split = border < end
        ranges = [(self._least, border), *([(border, end)] if self._is_split else [])]
        if self._after is not None:
            left, place = self._after
            ranges = ranges[-left:]
            ranges[0] = (ranges[0][0], min(place, ranges[0][1]))
        return [one for one in ranges if one[0] < one[1]]

    def _hits(self, begin: int, end: int, most: int) -> list[tuple[str, int]]:
        assert self._wanted.search is not None
        where = search_condition(self._wanted.search)
        sql = (
            f"SELECT trace_id, max(start_ns) AS newest FROM spans WHERE start_ns >= $begin AND start_ns < $end AND "
            f"{where.sql} GROUP BY trace_id ORDER BY newest DESC, trace_id LIMIT {most}"
        )
        return self._asked.result(sql, {**where.params, "begin": begin, "end": end}).rows

    def _rows(self, ids: list[str]) -> list[dict[str, Any]]:
        """Return the lines of those traces that match the other filters too."""
        if not ids:
            return []
        where = replace(self._wanted, search=None).where("traces")
        # Constants, not a subquery: DuckDB pushes them below the aggregation of the view.
        listed = ", ".join(map(literal, ids))
        sql = (
            f"SELECT {LIST_COLUMNS} FROM traces WHERE trace_id IN ({listed}) AND {where.sql} "
            "ORDER BY start_time DESC, trace_id"
        )
        return trace_rows(self._asked.rows(sql, where.params))


def _nanoseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1_000
