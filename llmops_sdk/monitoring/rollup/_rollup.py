"""The counts of every series: read what is new from the store, keep it in memory and in the watcher's database."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias

from llmops_sdk.errors import QueryError
from llmops_sdk.monitoring.rollup._database import Database
from llmops_sdk.monitoring.rollup._labels import Labels
from llmops_sdk.monitoring.rollup._series import GROUP_LIMIT, Series, counting_sql, same_scan
from llmops_sdk.monitoring.rollup._track import Row, Track

__all__ = ["Ask", "Rollup", "moment"]

Ask: TypeAlias = Callable[[str, Mapping[str, Any]], Sequence[tuple[Any, ...]]]
"""Runs SQL with parameters over the store."""
_Grouped: TypeAlias = dict[tuple[str, ...], list[Row]]

_REOPENED = 900
_DEEP_EVERY = 600
_DEEP = 3 * 3_600
_DEEP_LATE = 7 * 86_400
_REOPENED_LATE = 3_600
_TIDY_EVERY = 3_600
_LONGEST_PAUSE = 3_600
"""Seconds until a series that could not be counted is tried again, at most."""
_log = logging.getLogger("llmops_sdk")


def moment(seconds: float) -> datetime:
    """Return a time as the store has it: naive and in UTC."""
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


@dataclass(slots=True)
class _Counted:
    """What is known of one series."""

    series: Series
    horizon: int
    covered: int | None = None
    tracks: dict[tuple[str, ...], Track] = field(default_factory=dict[tuple[str, ...], Track])
    first: int | None = None
    """The first bucket with events."""
    late: float = 0.0
    left_out: int = 0
    problem: str | None = None
    """Why it could not be counted."""
    failures: int = 0
    retry_at: int = 0


class Rollup:
    """Counts of series, by group and bucket.

    Rows come late: a call is stored when it ends, and a score days later. Each look reads the last 15 minutes again,
    and every ten minutes the last three hours, or seven days of scores. A row with a time in the future counts when
    its time comes.

    Args:
        ask: Runs SQL over the store.
        wanted: Each series, with the seconds of history that somebody needs.
        labels: Makes the labels of groups.
        database: Where counts survive a restart, or None.
    """

    def __init__(
        self, ask: Ask, wanted: Mapping[Series, float], labels: Labels, database: Database | None = None
    ) -> None:
        self._ask = ask
        self._labels = labels
        self._database = database
        self._deep_at = self._tidy_at = -1
        self.version = 0
        """Changes with each refresh."""
        self._has_problems = False
        self.is_deep = False
        """Whether the last refresh also read older rows again."""
        self._counted = {one: _Counted(one, int(horizon)) for one, horizon in wanted.items()}
        if database is not None:
            self._load(database)

    def tracks(self, series: Series) -> Mapping[tuple[str, ...], Track]:
        """Return the groups of a series by their labels; a series without groups has one, `()`."""
        return self._counted[series].tracks

    def first(self, series: Series) -> int | None:
        """Return the first bucket of a series that has events, or None."""
        return self._counted[series].first

    def late(self, series: Series) -> float:
        """Return how many events of earlier hours the last refresh found."""
        return self._counted[series].late

    def left_out(self, series: Series) -> int:
        """Return how many groups the last refresh left out, because there were too many."""
        return self._counted[series].left_out

    @property
    def has_problems(self) -> bool:
        """Return whether a series could not be counted."""
        return self._has_problems

    def problem(self, series: Series) -> str | None:
        """Return why a series could not be counted, or None."""
        return self._counted[series].problem

    def refresh(self, end: int) -> None:
        """Count what is new. A series whose SQL fails has a `problem`, and is tried again after a pause.

        Args:
            end: The time up to which to count, in seconds since the epoch; a full minute.

        Raises:
            StoreError: The store cannot be read, or the database cannot be written.
        """
        self.version += 1
        deep = self.is_deep = end // _DEEP_EVERY != self._deep_at
        due = [one for one in self._counted.values() if not end < one.retry_at <= end + _LONGEST_PAUSE]
        new = [one.series for one in due if one.covered is None]
        known = [one.series for one in due if one.covered is not None]
        found = [self._try(scan, end, deep) for scan in (*same_scan(new), *same_scan(known))]
        self._has_problems = any(one.problem is not None for one in self._counted.values())
        with self._transaction():
            for scan in found:
                for counted, since, until, groups in scan:
                    self._take(counted, since, until, groups, end)
        self._deep_at = end // _DEEP_EVERY
        if end // _TIDY_EVERY != self._tidy_at:
            self._tidy(end)
            self._tidy_at = end // _TIDY_EVERY

    def _try(self, scan: Sequence[Series], end: int, deep: bool) -> list[tuple[_Counted, int, int, _Grouped]]:
        """Count series together, or one by one where that fails: one bad condition must not stop the others."""
        try:
            found = self._count(scan, end, deep)
        except QueryError as error:
            if len(scan) > 1:
                return [one for series in scan for one in self._try([series], end, deep)]
            failed = self._counted[scan[0]]
            failed.problem = str(error)
            failed.retry_at = end + min(60 * 2**failed.failures, _LONGEST_PAUSE)
            failed.failures = min(failed.failures + 1, 10)
            return []
        for one in scan:
            self._counted[one].problem, self._counted[one].failures = None, 0
        return found

    def _count(self, scan: Sequence[Series], end: int, deep: bool) -> list[tuple[_Counted, int, int, _Grouped]]:
        counted = [self._counted[one] for one in scan]
        grain = scan[0].grain
        until = end // grain * grain
        for one in counted:
            if one.covered is not None and one.covered > until:
                one.covered = until  # the clock was set back
        reopened = (
            (_DEEP_LATE if scan[0].is_late else _DEEP) if deep else _REOPENED_LATE if scan[0].is_late else _REOPENED
        )
        horizon = end - max(one.horizon for one in counted)
        since = max(min(horizon if one.covered is None else one.covered - reopened for one in counted), horizon)
        since = since // grain * grain
        if until <= since:
            return []
        if all(one.covered == until for one in counted) and not deep:
            return []  # no bucket has ended since
        rows = self._ask(counting_sql(scan), {"since": moment(since), "until": moment(until)})
        width = len(scan[0].group_by)
        grouped: list[_Grouped] = [{} for _ in scan]
        raw: dict[tuple[str, ...], tuple[str | None, ...]] = {}
        for row in sorted(rows, key=lambda row: row[0]):
            labels = tuple(map(self._labels.text, scan[0].group_by, row[1 : 1 + width]))
            raw[labels] = tuple(row[1 : 1 + width])
            for number, groups in enumerate(grouped):
                n, bad, value, unknown = row[1 + width + 4 * number : 5 + width + 4 * number]
                if n or unknown:
                    groups.setdefault(labels, []).append((row[0], n, bad, 0.0 if value is None else value, unknown))
        for one, groups in zip(counted, grouped, strict=True):
            one.left_out = _keep_largest(groups)
            for labels in groups:
                one.tracks.setdefault(labels, Track()).raw_labels = raw[labels]
        return [(one, since // grain, until, groups) for one, groups in zip(counted, grouped, strict=True)]

    def _take(self, counted: _Counted, since: int, until: int, groups: _Grouped, end: int) -> None:
        # What ends within three hours of its start is usual for calls.
        settled = 0 if counted.covered is None else (end - _DEEP) // counted.series.grain
        counted.late = 0.0
        for labels, track in counted.tracks.items():
            counted.late += track.replace(since, groups.get(labels, ()), settled)
        counted.covered = until
        self._set_first(counted)
        if self._database is not None:
            rows = ((labels, row) for labels, found in groups.items() for row in found)
            self._database.put_counts(counted.series.key, since, until, rows)

    def _set_first(self, counted: _Counted) -> None:
        counted.first = min((track.buckets[0] for track in counted.tracks.values() if len(track)), default=None)

    def _tidy(self, end: int) -> None:
        with self._transaction():
            for one in self._counted.values():
                before = (end - one.horizon) // one.series.grain
                for labels, track in list(one.tracks.items()):
                    track.drop_before(before)
                    if not len(track) and labels:
                        del one.tracks[labels]
                if self._database is not None:
                    self._database.forget(one.series.key, before)

    def _load(self, database: Database) -> None:
        by_key = {one.key: counted for one, counted in self._counted.items()}
        horizons = dict(database.note("horizons") or {})
        with database.transaction():
            for key, covered in database.series().items():
                counted = by_key.get(key)
                if counted is None or horizons.get(key, 0) < counted.horizon:
                    database.forget(key, None)
                    continue
                counted.covered = covered
                for labels, rows in database.counts(key).items():
                    counted.tracks.setdefault(labels, Track()).replace(0, rows)
                self._set_first(counted)
            database.put_note("horizons", {key: one.horizon for key, one in by_key.items()})

    def _transaction(self) -> Any:
        from contextlib import nullcontext

        return nullcontext() if self._database is None else self._database.transaction()


def _keep_largest(groups: _Grouped) -> int:
    """Remove the groups with fewest events where there are too many; return how many went."""
    surplus = len(groups) - GROUP_LIMIT
    if surplus <= 0:
        return 0
    by_events: Iterable[tuple[str, ...]] = sorted(groups, key=lambda labels: sum(row[1] for row in groups[labels]))
    for labels in list(by_events)[:surplus]:
        del groups[labels]
    _log.warning("llmops: a rule has more than %d groups; those with fewest events are left out", GROUP_LIMIT)
    return surplus
