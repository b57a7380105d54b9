"""What contributes most to an alert: SQL over its window, only when an alert begins."""
# ruff: noqa: S608 - statements are put together from constants and from the configuration's own SQL

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmops_sdk.monitoring._notification import Culprit
from llmops_sdk.monitoring.rollup._labels import Labels
from llmops_sdk.monitoring.rollup._rollup import Ask, Rollup, moment
from llmops_sdk.monitoring.rollup._series import Series, base_sql
from llmops_sdk.monitoring.states._outcome import Outcome

__all__ = ["Found", "find_culprits"]

_DIMENSIONS = ("model", "prompt_name", "user_id", "error_type")
_LEAST_SHARE = 0.1
_MOST_TEXT = 500
_SQL = """
SELECT grouping(model, prompt_name, user_id, error_type)::INT AS level, model, prompt_name, user_id, error_type,
  sum(x_amount) AS total, max_by(trace_id, x_amount, 3) AS traces, max_by(status_message, x_amount, 3) AS texts
FROM (
  SELECT *, ({amount})::DOUBLE AS x_amount FROM (SELECT *, (\n{own}\n) AS x_own FROM ({base})) WHERE x_own AND {where}
) WHERE x_amount > 0
GROUP BY GROUPING SETS ((), (model), (prompt_name), (user_id), (error_type))
QUALIFY row_number() OVER (PARTITION BY level ORDER BY total DESC) <= 2
"""
_LEVELS = {7: 0, 11: 1, 13: 2, 14: 3}
_ALL = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was found.

    Attributes:
        culprits: What contributes most, the largest share first.
        traces: Up to three traces.
        texts: Messages of their errors.
        sql: The query that shows the calls.
    """

    culprits: tuple[Culprit, ...] = ()
    traces: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    sql: str | None = None


def find_culprits(
    series: Series, outcome: Outcome, rollup: Rollup, labels: Labels, ask: Ask, end: int, *, above: bool
) -> Found:
    """Return what contributes most to an alert.

    Args:
        series: What the figure counts; not of the source "sql".
        outcome: The result that made the alert fire.
        rollup: The counts, which know the groups' values.
        labels: Makes labels of users.
        ask: Runs the SQL.
        end: The end of the window.
        above: Whether high figures are bad.

    Raises:
        QueryError: The SQL took too long.
        StoreError: The store cannot be read.
    """
    track = rollup.tracks(series).get(outcome.labels)
    raw = track.raw_labels if track is not None else None
    if series.group_by and raw is None:
        return Found()
    given: dict[str, Any] = {"since": moment(end - max(outcome.window, 60.0)), "until": moment(end)}
    conditions = [f"({series.events})"]
    for number, (column, value) in enumerate(zip(series.group_by, raw or (), strict=True)):
        given[f"group_{number}"] = value
        conditions.append(f'"{column}" IS NOT DISTINCT FROM $group_{number}')
    where = " AND ".join(conditions)
    sql = _SQL.format(
        amount=_amount(series, outcome, above), base=base_sql(series), own=series.where or "true", where=where
    )
    return _found(ask(sql, given), series, labels, _shown(series, outcome, end))


def _amount(series: Series, outcome: Outcome, above: bool) -> str:
    if series.bad:
        return f"weight * (({series.bad}) = {'true' if above else 'false'})::INT"
    is_sum = series.quantile is None and series.events == "true" and series.source != "score"
    if is_sum or outcome.threshold is None or not series.value:
        return f"weight * ({series.value})" if is_sum and series.value else "weight"
    return f"weight * (({series.value}) {'>' if above else '<'} {float(outcome.threshold)!r})::INT"


def _shown(series: Series, outcome: Outcome, end: int) -> str | None:
    """Return SQL that shows the calls, for people: without the values of users, which only labels stand for."""
    if series.source != "calls":
        return None
    since, until = (f"TIMESTAMP '{moment(one):%Y-%m-%d %H:%M:%S}'" for one in (end - outcome.window, end))
    parts = [f"start_time >= {since}", f"start_time < {until}"]
    parts += [f"({one})" for one in (series.where, series.bad) if one]
    for column, value in zip(series.group_by, outcome.labels, strict=True):
        if column not in ("user_id", "session_id"):
            text = value.replace("'", "''")
            parts.append(f"\"{column}\" = '{text}'" if value else f'"{column}" IS NULL')
    return f"SELECT * FROM llm_calls WHERE {' AND '.join(parts)}"


def _found(rows: Sequence[tuple[Any, ...]], series: Series, labels: Labels, sql: str | None) -> Found:
    everything = next((row for row in rows if row[0] == _ALL), None)
    if everything is None or not everything[5]:
        return Found()
    culprits: list[Culprit] = []
    for level, *rest in rows:
        number = _LEVELS.get(level)
        if number is None or _DIMENSIONS[number] in series.group_by or rest[number] is None:
            continue
        share = rest[4] / everything[5]
        if share >= _LEAST_SHARE:
            name = _DIMENSIONS[number]
            culprits.append(Culprit(dimension=name, value=labels.text(name, rest[number]), share=round(share, 4)))
    culprits.sort(key=lambda one: -one.share)
    return Found(
        culprits=tuple(culprits),
        traces=tuple(dict.fromkeys(everything[6] or ())),
        texts=tuple(dict.fromkeys(text[:_MOST_TEXT] for text in everything[7] or () if text)),
        sql=sql,
    )


def is_above(evaluator: object) -> bool:
    """Return whether high figures are bad for a rule."""
    return getattr(evaluator, "_above", True) is not False


def details_of(outcome: Outcome, found: Found) -> Mapping[str, Any]:
    """Return the JSON of a row's details."""
    culprits = [{"dimension": one.dimension, "value": one.value, "share": one.share} for one in found.culprits]
    return {
        **outcome.details, "window": outcome.window, **({"culprits": culprits} if culprits else {}),
        **({"sql": found.sql} if found.sql else {}),
    }  # fmt: skip
