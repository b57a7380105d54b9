"""A series: what is counted for each minute, and the SQL that counts it."""
# ruff: noqa: S608 - statements are put together from constants and from the configuration's own SQL

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from functools import cached_property

from llmops_sdk.store._own_traces import OWN_ROOT, OWN_SPAN

__all__ = ["GROUP_LIMIT", "Series", "base_sql", "counting_sql", "same_scan", "totals_sql"]

GROUP_LIMIT = 10_000
"""The most groups of a series in one look: those with most events."""

_CALLS = f"""
SELECT * FROM llm_calls WHERE start_time >= $since AND start_time < $until {{real}}
AND NOT {OWN_SPAN} AND trace_id NOT IN (
  SELECT trace_id FROM spans WHERE start_time >= $since - INTERVAL 1 HOUR AND start_time < $until
  AND {OWN_ROOT})
"""
_SOURCES = {
    "calls": "SELECT *, NULL::DOUBLE AS x_score, NULL::VARCHAR AS x_action FROM calls",
    # A score of a whole trace, or of a span that is no call, counts for the first call of the trace.
    "score": """
SELECT c.*, s.value AS x_score, NULL::VARCHAR AS x_action FROM (
  SELECT coalesce(o.span_id, f.span_id) AS span_id, s.value FROM scores s
  LEFT JOIN calls o ON o.span_id = s.span_id
  LEFT JOIN (SELECT trace_id, min_by(span_id, (start_ns, span_id)) AS span_id FROM calls GROUP BY ALL) f
    ON f.trace_id = s.trace_id
  WHERE s.name = {name} AND s.value IS NOT NULL AND s.time >= $since - INTERVAL 1 HOUR
) s JOIN calls c USING (span_id)
""",
    "guard": """
SELECT c.*, NULL::DOUBLE AS x_score, g.action AS x_action FROM guard_verdicts g JOIN calls c USING (span_id)
WHERE g.time >= $since - INTERVAL 1 HOUR {name}
""",
    "budget": """
SELECT c.*, NULL::DOUBLE AS x_score, t.decision AS x_action FROM traffic t JOIN calls c USING (span_id)
WHERE t.policy = 'budget' AND t.time >= $since - INTERVAL 1 HOUR
""",
}


@dataclass(frozen=True, kw_only=True)
class Series:
    """What to count.

    Attributes:
        source: "calls", "score", "guard", "budget" or "sql".
        name: The name of the score or the guard; "" for every guard.
        events: The condition for a row to be an event.
        bad: The condition for an event to be bad, or "".
        value: The number to add up, or of which to take a quantile; or "".
        unknown: The condition for a row whose value nobody knows, or "".
        quantile: Which quantile of `value` instead of its sum; such series have long buckets.
        where: The configuration's condition over the columns of `llm_calls`, or "".
        group_by: The columns that make groups.
        grain: Seconds of a bucket.
        simulated: Whether simulated calls count.
        sql: For "sql": the configuration's query with a row for each event: `time` and `good`.
    """

    source: str = "calls"
    name: str = ""
    events: str = "true"
    bad: str = ""
    value: str = ""
    unknown: str = ""
    quantile: float | None = None
    where: str = ""
    group_by: tuple[str, ...] = ()
    grain: int = 60
    simulated: bool = False
    sql: str = ""

    def __hash__(self) -> int:
        # Every evaluation looks a series up; the hash of all fields takes longer than the rest of it.
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash(astuple(self))

    @cached_property
    def key(self) -> str:
        """Return a digest: the rows of a changed series are counted anew."""
        return hashlib.blake2b(repr(astuple(self)).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()

    @property
    def is_late(self) -> bool:
        """Return whether its rows may come days after the calls."""
        return self.source in ("score", "sql")


def same_scan(series: Sequence[Series]) -> list[list[Series]]:
    """Return the series in lists that one statement counts together.

    Args:
        series: Series, each once.
    """
    scans: dict[tuple[object, ...], list[Series]] = {}
    for one in series:
        scans.setdefault((one.source, one.name, one.group_by, one.grain, one.simulated, one.sql), []).append(one)
    return list(scans.values())


def base_sql(series: Series) -> str:
    """Return SQL for the rows of a series between `$since` and `$until`, before its own conditions.

    Args:
        series: The series; not one of the source "sql".
    """
    calls = _CALLS.format(real="" if series.simulated else "AND NOT simulated")
    name = _text(series.name)
    given = {"score": name, "guard": f"AND g.guard = {name}" if series.name else ""}.get(series.source, "")
    return f"WITH calls AS ({calls}) {_SOURCES[series.source].format(name=given)}"


def counting_sql(scan: Sequence[Series]) -> str:
    """Return SQL that counts some series at once: the bucket, the groups, then four numbers for each series.

    The parameters are `$since` and `$until`, naive times in UTC.

    Args:
        scan: Series of one list of `same_scan`.
    """
    first = scan[0]
    if first.source == "sql":
        return (
            f"SELECT (epoch_ns(time::TIMESTAMP) // {first.grain * 10**9})::BIGINT AS bucket, count(good)::DOUBLE, "
            "(count(*) FILTER (WHERE NOT good::BOOLEAN))::DOUBLE, 0.0::DOUBLE, (count(*) - count(good))::DOUBLE "
            f"FROM (\n{first.sql}\n) WHERE time::TIMESTAMP >= $since AND time::TIMESTAMP < $until GROUP BY ALL"
        )
    wheres = {
        where: f"x_where_{number}" for number, where in enumerate(sorted({one.where for one in scan if one.where}))
    }
    tests = "".join(f", (\n{where}\n) AS {name}" for where, name in wheres.items())
    groups = "".join(f", {name} AS x_group_{number}" for number, name in enumerate(first.group_by))
    names = "".join(f", x_group_{number}" for number in range(len(first.group_by)))
    numbers = ", ".join(_numbers(one, wheres.get(one.where, "")) for one in scan)
    return (
        f"SELECT bucket{names}, {numbers} FROM (SELECT *, (start_ns // {first.grain * 10**9})::BIGINT AS bucket"
        f"{groups}{tests} FROM ({base_sql(first)})) GROUP BY bucket{names}"
    )


def totals_sql(series: Series) -> str:
    """Return SQL that counts a series over the whole time: its events, bad events, and rows of unknown value.

    The parameters are `$since` and `$until`. The same rows give the same numbers, whatever the order of the threads.

    Args:
        series: A series without groups.
    """
    numbers = ", ".join(f"coalesce(round(sum({name}), 6), 0)" for name in ("events", "bad", "unknown"))
    return f"SELECT {numbers} FROM ({counting_sql([series])}) AS counted(bucket, events, bad, value, unknown)"


def _numbers(one: Series, where: str) -> str:
    given = f"{where} AND " if where else ""

    def weight(condition: str) -> str:
        return f"coalesce(sum(weight) FILTER (WHERE {given}({condition})), 0)::DOUBLE"

    value = "0.0::DOUBLE"
    if one.value and one.quantile is not None:
        value = f"quantile_cont(({one.value})::DOUBLE, {one.quantile}) FILTER (WHERE {given}({one.events}))"
    elif one.value:
        value = f"coalesce(sum(({one.value}) * weight) FILTER (WHERE {given}({one.events})), 0)::DOUBLE"
    bad = weight(f"({one.events}) AND ({one.bad})") if one.bad else "0.0::DOUBLE"
    return f"{weight(one.events)}, {bad}, {value}, {weight(one.unknown) if one.unknown else '0.0::DOUBLE'}"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
