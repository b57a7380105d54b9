"""The queue of annotation: traces that match and that one person has not judged yet."""

from __future__ import annotations

from dataclasses import replace

from llmops_sdk._util._usage import UsageError
from llmops_sdk.store.reading._filters import trace_filter
from llmops_sdk.store.reading._latest import latest_traces
from llmops_sdk.ui._answers import MAX_TEXT, Answer, cut
from llmops_sdk.ui._asked import Asked
from llmops_sdk.ui.api._traces import LIST_COLUMNS, LIST_NAMES, trace_rows, traces_sql
from llmops_sdk.ui.api.changes._scores import source_of

__all__ = ["queue"]

_MAX_ROWS = 100


def queue(asked: Asked) -> Answer:
    """Return the newest traces without a score of this name by this person, with their whole input and output."""
    score, source = asked.text("judge"), source_of(asked.text("by"))
    if score is None:
        raise UsageError("give judge, the name of the score")
    limit = asked.whole("limit", 20, _MAX_ROWS)
    chosen = trace_filter(asked.filter)
    judged = (
        "trace_id NOT IN (SELECT trace_id FROM scores WHERE trace_id IS NOT NULL AND name = $judge AND source = $by)"
    )
    chosen = replace(chosen, ids=f"({chosen.ids}) AND {judged}", params={**chosen.params, "judge": score, "by": source})
    whole = [f"left({name}, {MAX_TEXT + 1}) AS whole_{name}" for name in ("input", "output")]
    page = latest_traces(asked.folder, ", ".join([LIST_COLUMNS, *whole]), limit=limit, chosen=chosen)
    names: tuple[str, ...] = (*LIST_NAMES, "whole_input", "whole_output")
    found = [dict(zip(names, row, strict=True)) for row in page.rows]
    rows = trace_rows(found)
    for row, stored in zip(rows, found, strict=True):
        row["input"], row["output"] = cut(stored["whole_input"]), cut(stored["whole_output"])
    data = {"rows": rows, "source": source, "more": page.next is not None}
    return Answer(data, traces_sql(asked.filter, limit), asked.command("traces", f"--limit={limit}"))
