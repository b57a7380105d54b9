"""The first input and the last output of traces that a list shows.

The view `traces` takes messages where a span has no input. To read messages means to unpack the widest column of the
store, and most roots have an input of their own: the columns are read one after the other, each for the traces that
still lack a text.
"""
# ruff: noqa: S608 - statements are put together from the schema; ids are quoted, the rest are numbers

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from llmops_sdk.store.reading._latest import TraceKey, known_traces, spans_of
from llmops_sdk.store.reading._query import run_query
from llmops_sdk.store.schema._user_columns import current_views

__all__ = ["TraceTexts", "trace_texts"]

_OWN = ("input", "output")
_WITH_MESSAGES = ("coalesce(input, input_messages)", "coalesce(output, output_messages)")


class TraceTexts(NamedTuple):
    """The beginnings of a trace's texts."""

    input: str | None = None
    output: str | None = None


def trace_texts(folder: Path, keys: Sequence[TraceKey], chars: int) -> dict[str, TraceTexts]:
    """Return the texts that the view `traces` gives, cut, by the id of the trace.

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
    for said, answered in (_OWN, _WITH_MESSAGES):
        if lacking:
            sql = f"""SELECT trace_id, arg_min(left({said}, {chars:d}), start_ns),
                arg_max(left({answered}, {chars:d}), start_ns + duration_ns)
                FROM {spans_of(lacking)} WHERE parent_span_id IS NULL GROUP BY trace_id"""
            found |= {row[0]: TraceTexts(*row[1:]) for row in run_query(sql, None, folder, None, views).rows()}
            lacking = [key for key in lacking if None in found.get(key.trace_id, (None,))]
    # No root says it: any span may. A trace that failed has no output, so that this is not rare.
    columns = f"trace_id, left(input, {chars:d}), left(output, {chars:d})"
    return found | {row[0]: TraceTexts(*row[1:]) for row in known_traces(folder, lacking, columns)}
