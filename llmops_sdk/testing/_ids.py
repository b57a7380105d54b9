"""Ids that are the same in every run."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from itertools import count

from llmops_sdk.tracing.records import _ids

__all__ = ["sequential_ids"]


@contextmanager
def sequential_ids() -> Generator[None]:
    """Give traces and spans the ids 1, 2, 3, … in the order in which they begin, in every thread, while the block runs.

    Spans of other libraries keep the ids of their own provider. Two such runs must not share a store, which would take
    the spans of the second for those of the first.

    Example:
        >>> import llmops_sdk as llmops
        >>> from llmops_sdk.testing import sequential_ids
        >>> with sequential_ids(), llmops.span("outer") as outer, llmops.span("inner") as inner:
        ...     print(outer.trace_id, outer.span_id, inner.span_id)
        00000000000000000000000000000001 0000000000000001 0000000000000002
    """
    traces, spans = count(1), count(1)

    def draw(bits: int) -> int:
        return next(spans if bits == _ids.SPAN_BITS else traces)

    with _ids.ids_from(draw):
        yield
