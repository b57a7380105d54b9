"""`llmops stats`: the calls to models, summed up."""

from __future__ import annotations

import sys
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from llmops_sdk.cli._formats import Format
from llmops_sdk.cli._reading import query, show

__all__ = ["Grouping", "show_stats"]

_BAR = 20


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
FROM llm_calls {where} GROUP BY ALL ORDER BY {order}
"""

_TOTAL = """
SELECT 'total', NULL, count(*), count(*) FILTER (status = 'error'), count(cache),
       quantile_cont(duration_ms, 0.50), quantile_cont(duration_ms, 0.95),
       sum(input_tokens)::BIGINT, sum(output_tokens)::BIGINT,
       sum(cost) FILTER ($simulated OR NOT coalesce(simulated, false))
FROM llm_calls {where}
"""


def show_stats(
    by: Grouping, *, since: datetime | None, simulated: bool, limit: int, form: Format, store: Path | None
) -> None:
    """Write one row for each group to stdout; a table has bars and ends with the total.

    Simulated calls are rows of their own. Their cost is left out of the total unless `simulated` is true.
    """
    where = "WHERE start_time >= $since" if since is not None else ""
    params: dict[str, Any] = {} if since is None else {"since": since}
    order = f'"{by}" DESC, simulated' if by is Grouping.DAY else f'calls DESC, "{by}", simulated'
    result = query(_STATS.format(key=_KEYS[by], name=f'"{by}"', where=where, order=order), params, store=store)
    columns, rows = list(result.columns), [tuple(row) for row in result.rows()]
    if form is not Format.TABLE:
        show(form, columns, rows, limit)
        return
    most = max((row[2] for row in rows), default=0)
    drawn = [(*row, "█" * max(1, round(_BAR * row[2] / most))) for row in rows]
    if rows:
        total = query(_TOTAL.format(where=where), {**params, "simulated": simulated}, store=store).rows()[0]
        drawn = [*(drawn[:limit] if limit else drawn), (*total, "")]
    show(form, [*columns, ""], drawn, 0)
    if limit and len(rows) > limit:
        print(f"{len(rows) - limit} more rows are in the total; --limit 0 shows them", file=sys.stderr)
    if any(row[1] for row in rows) and not simulated:
        print("the total's cost leaves simulated calls out; --simulated counts them", file=sys.stderr)
