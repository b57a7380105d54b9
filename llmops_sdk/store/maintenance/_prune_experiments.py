"""Find the rows of experiments that a prune of a person or a trace reaches."""
# ruff: noqa: S608 - statements are put together from constants and from one of three names

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

__all__ = ["EXPERIMENT_STREAMS", "count_experiment_rows", "count_old_rows_sql", "with_experiments"]

EXPERIMENT_STREAMS = ("experiment_items", "experiment_scores", "experiments")

_Ask: TypeAlias = Callable[[str, dict[str, Any]], list[tuple[Any, ...]]]

_LINKED = "trace_id IN (SELECT unnest($traces::VARCHAR[])) OR source_trace_id IN (SELECT unnest($traces::VARCHAR[]))"


def with_experiments(ask: _Ask, traces: Sequence[str], name: str, value: str) -> list[str]:
    """Return the traces, and those of experiments on the items of a person: their spans have the item's content.

    An item belongs to the person if it was made from one of the traces, or if its metadata name the person.

    Args:
        ask: Runs SQL with parameters over the store.
        traces: The traces of the person.
        name: "user_id", "session_id" or "trace_id".
        value: The id. The spans of a trace may be gone while rows of experiments still name it.
    """
    own = (
        "SELECT $value FROM store.experiment_items WHERE $value IN (trace_id, source_trace_id)"
        if name == "trace_id"
        else f"SELECT trace_id FROM store.experiment_items WHERE metadata->>'{name}' = $value "
        f"OR list_contains(metadata->>'$.{name}[*]', $value)"  # several persons, as in data sets
    )
    known = {*traces, *_texts(ask(own, {"value": value}))}
    linked = ask(
        f"SELECT trace_id FROM store.experiment_items WHERE {_LINKED} "
        f"UNION SELECT scorer_trace_id FROM store.experiment_scores WHERE {_LINKED}",
        {"traces": sorted(known)},
    )
    return sorted({*known, *_texts(linked)})


def _texts(rows: list[tuple[Any, ...]]) -> list[str]:
    return [text for (text,) in rows if text is not None]


def count_experiment_rows(ask: _Ask, traces: Sequence[str]) -> int:
    """Return the number of outputs and scores that name one of the traces.

    Args:
        ask: Runs SQL with parameters over the store.
        traces: The traces.
    """
    counts = " + ".join(f"(SELECT count(*) FROM store.{name} WHERE {_LINKED})" for name in EXPERIMENT_STREAMS[:2])
    return ask(f"SELECT {counts}", {"traces": list(traces)})[0][0]


def count_old_rows_sql() -> str:
    """Return SQL for the number of rows written before `$before`, in nanoseconds."""
    return " + ".join(f"(SELECT count(*) FROM store.{name} WHERE time_ns < $before)" for name in EXPERIMENT_STREAMS)
