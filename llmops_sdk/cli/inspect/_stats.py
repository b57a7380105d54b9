"""`llmops stats`: the calls to models, summed up."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Any

from llmops_sdk.cli._filters import Filter
from llmops_sdk.cli.output._formats import Format
from llmops_sdk.cli.output._reading import query, show

__all__ = ["Grouping", "show_stats"]

_BAR = 20
_EIGHTHS = " ▏▎▍▌▋▊▉"


class Grouping(StrEnum):
    """What calls are grouped by."""

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

_STATS = """
SELECT {key} AS {name}, coalesce(simulated, false) AS simulated, count(*) AS calls,
       count(*) FILTER (status = 'error') AS errors, count(cache) AS cache_hits,
       quantile_cont(duration_ms, 0.50) AS p50_ms, quantile_cont(duration_ms, 0.95) AS p95_ms,
       sum(input_tokens)::BIGINT AS input_tokens, sum(output_tokens)::BIGINT AS output_tokens, sum(cost) AS cost
FROM llm_calls WHERE {where} GROUP BY ALL ORDER BY {order}
"""

_TOTAL = """
SELECT 'total', NULL, count(*), count(*) FILTER (status = 'error'), count(cache),
       quantile_cont(duration_ms, 0.50), quantile_cont(duration_ms, 0.95),
       sum(input_tokens)::BIGINT, sum(output_tokens)::BIGINT,
       sum(cost) FILTER ($simulated OR NOT coalesce(simulated, false))
FROM llm_calls WHERE {where}
"""


def show_stats(by: Grouping, wanted: Filter, *, simulated: bool, limit: int, form: Format, store: Path | None) -> None:
    """Write one row for each group to stdout; a table ends with the total and, on a terminal, has bars.

    Simulated calls are rows of their own. Their cost is left out of the total unless `simulated` is true.

    Args:
        by: What the calls are grouped by.
        wanted: Which calls.
        simulated: Whether the total's cost counts simulated calls.
        limit: How many groups at most; 0 is all. The total is of all of them.
        form: How.
        store: The store's folder, or None for that of the settings.

    Raises:
        StoreError: There is no store, or it cannot be read.
    """
    where = wanted.where("llm_calls")
    order = f'"{by}" DESC, simulated' if by is Grouping.DAY else f'calls DESC, "{by}", simulated'
    statement = _STATS.format(key=_KEYS[by], name=f'"{by}"', where=where.sql, order=order)
    result = query(statement, where.params, store=store)
    columns, rows = list(result.columns), [tuple(row) for row in result.rows()]
    if form is not Format.TABLE:
        show(form, columns, rows, limit)
        return
    shown = rows[:limit] if limit else rows
    total: list[tuple[Any, ...]] = []
    if rows:
        total = query(_TOTAL.format(where=where.sql), {**where.params, "simulated": simulated}, store=store).rows()
    if sys.stdout.isatty():
        most = max((row[2] for row in rows), default=0)
        shown, total = [(*row, _bar(row[2], most)) for row in shown], [(*row, "") for row in total]
        columns.append("")
    show(form, columns, [*shown, *total], 0)
    if limit and len(rows) > limit:
        print(f"{len(rows) - limit} more rows are in the total; --limit 0 shows them", file=sys.stderr)
    if any(row[1] for row in rows) and not simulated:
        print("the total's cost leaves simulated calls out; --simulated counts them", file=sys.stderr)


def _bar(count: int, most: int) -> str:
    """A bar as long as `count` is of `most`, to an eighth of a character; never nothing for something."""
    eighths = max(1, round(_BAR * 8 * count / most))
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
