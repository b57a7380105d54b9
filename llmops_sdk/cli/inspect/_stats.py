"""`llmops stats`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

from llmops_sdk.cli._filters import Filter
from llmops_sdk.cli._options import Form, Limit, Store
from llmops_sdk.cli._unknown import tell_unknown_names
from llmops_sdk.cli._usage import UsageError
from llmops_sdk.cli.output._formats import Format
from llmops_sdk.cli.output._reading import query, show

__all__ = ["Grouping", "stats"]

_BAR_WIDTH = 20
_EIGHTHS = " ▏▎▍▌▋▊▉"


class Grouping(StrEnum):
    """The columns that calls can be grouped by."""

    MODEL = "model"
    PROVIDER = "provider"
    DAY = "day"
    USER = "user"
    SESSION = "session"
    PROMPT = "prompt"


_KEYS = {
    Grouping.MODEL: "coalesce(model, request_model)",
    Grouping.PROVIDER: "provider",
    Grouping.DAY: "start_time::DATE::VARCHAR",
    Grouping.USER: "user_id",
    Grouping.SESSION: "session_id",
    Grouping.PROMPT: "prompt_name || coalesce(' ' || prompt_version, '')",
}

# The three sums of weights are for the error rate; they are not shown.
_STATS = """
SELECT {key} AS {name}, {simulated} AS simulated, count(*) AS calls, count(*) FILTER (status = 'error') AS errors,
       sum(weight) FILTER (status = 'error'), sum(weight), sum(weight * weight),
       count(cache) AS cache_hits,
       quantile_cont(duration_ms, 0.50) AS p50_ms, quantile_cont(duration_ms, 0.95) AS p95_ms,
       sum(input_tokens)::BIGINT AS input_tokens, sum(output_tokens)::BIGINT AS output_tokens, {cost} AS cost
FROM llm_calls WHERE {where} GROUP BY 1, 2 {order}
"""
_WEIGHTS = slice(4, 7)


def stats(
    by: Annotated[Grouping, typer.Option("--by", help="Group the calls by this.")] = Grouping.MODEL,
    *,
    filters: Filter,
    simulated: Annotated[bool, typer.Option("--simulated", help="Add simulated calls to the total cost.")] = False,
    budgets: Annotated[
        bool, typer.Option("--budgets", help="Show what each of [[budgets]] has spent and has left; no filter applies.")
    ] = False,
    limit: Limit = 50,
    form: Form = Format.TABLE,
    store: Store = None,
) -> None:
    """Summarize calls: errors, cache hits, latency, cost."""
    if budgets:
        if by is not Grouping.MODEL or simulated or filters != Filter():
            raise UsageError("--budgets shows the open window of each budget: leave out filters, --by and --simulated")
        from llmops_sdk.cli.inspect._budgets import show_budgets

        show_budgets(form=form, limit=limit, store=store)
        return
    where = filters.where("llm_calls")
    order = f'"{by}" DESC, simulated' if by is Grouping.DAY else f'calls DESC, "{by}", simulated'
    statement = _STATS.format(
        key=_KEYS[by], name=f'"{by}"', simulated="coalesce(simulated, false)", cost="sum(cost)", where=where.sql,
        order=f"ORDER BY {order}",
    )  # fmt: skip
    result = query(statement, where.params, store=store)
    rows, columns = result.rows(), list(result.columns)
    if not rows:
        tell_unknown_names(filters, store)
    if form is not Format.TABLE:
        columns[_WEIGHTS] = ["error_rate", "error_rate_low", "error_rate_high"]
        show(form, columns, [_with_rate(row) for row in rows], limit)
        return
    columns[_WEIGHTS] = ["error_rate (95 %)"]
    total: Sequence[Sequence[Any]] = []
    if rows:
        cost = "sum(cost) FILTER ($simulated OR NOT coalesce(simulated, false))"
        statement = _STATS.format(key="'total'", name="name", simulated="NULL", cost=cost, where=where.sql, order="")
        total = query(statement, {**where.params, "simulated": simulated}, store=store).rows()
    most = max((row[2] for row in rows), default=0)
    shown = [_with_rate_text(row) for row in (rows[:limit] if limit else rows)]
    total = [_with_rate_text(row) for row in total]
    if sys.stdout.isatty():
        shown, total = [(*row, _bar(row[2], most)) for row in shown], [(*row, "") for row in total]
        columns.append("")
    show(form, columns, [*shown, *total], 0)
    if limit and len(rows) > limit:
        print(f"the total includes {len(rows) - limit} more rows; --limit 0 shows them", file=sys.stderr)
    if any(row[1] for row in rows) and not simulated:
        print("the total cost excludes simulated calls; --simulated adds them", file=sys.stderr)


def _error_rate(row: Sequence[Any]) -> tuple[float, float, float]:
    """Return the error rate of a group and its Wilson 95 % interval.

    Calls count by their weight, as thinned traces stand for others. The interval is that of Kish's effective number
    of calls, (Σw)²/Σw², which is the number of calls when all weights are equal.
    """
    from llmops_sdk.stats import wilson_interval

    errors, calls, squares = row[_WEIGHTS]
    rate = min((errors or 0.0) / calls, 1.0)
    effective = calls * calls / squares
    low, high = wilson_interval(rate * effective, effective)
    return rate, low, high


def _with_rate(row: Sequence[Any]) -> tuple[Any, ...]:
    return (*row[: _WEIGHTS.start], *_error_rate(row), *row[_WEIGHTS.stop :])


def _with_rate_text(row: Sequence[Any]) -> tuple[Any, ...]:
    rate, low, high = (f"{100 * share:.1f}" for share in _error_rate(row))
    return (*row[: _WEIGHTS.start], f"{rate} % ({low}–{high})", *row[_WEIGHTS.stop :])


def _bar(count: int, most: int) -> str:
    """Return a bar of eighths of characters, in proportion to `count` of `most` and never empty."""
    eighths = max(1, round(_BAR_WIDTH * 8 * count / most))
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
