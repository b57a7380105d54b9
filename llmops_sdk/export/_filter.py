"""Decide which spans a destination gets; the decision is the same in every process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from llmops_sdk.tracing.records import _semconv as names
from llmops_sdk.tracing.records._records import LossRecord, Record, ScoreRecord, SpanRecord

if TYPE_CHECKING:
    from llmops_sdk.config import ExportFilter

__all__ = ["filter_of", "select_records"]

_RANDOM = 1 << 64
"""The lower half of a trace id is random; the upper half may hold the time."""


def filter_of(wanted: ExportFilter) -> Callable[[SpanRecord], float | None] | None:
    """Return the filter that the settings ask for, or None if every span passes.

    The filter returns the share of similar spans that are sent, 1.0 for a span that is always sent, or None for a span
    that is not sent.
    """
    kinds, patterns = frozenset(wanted.kinds), wanted.names
    if not kinds and not patterns and wanted.sample >= 1.0:
        return None
    slow_ns = None if wanted.keep_slower_than is None else wanted.keep_slower_than * 1e9

    def passes(span: SpanRecord) -> float | None:
        if kinds and span.kind not in kinds:
            return None
        if patterns and not any(fnmatchcase(span.name, pattern) for pattern in patterns):
            return None
        if wanted.sample >= 1.0 or (wanted.keep_errors and span.status == "error"):
            return 1.0
        if slow_ns is not None and span.duration_ns > slow_ns:
            return 1.0
        if wanted.keep_costlier_than is not None and _cost(span) > wanted.keep_costlier_than:
            return 1.0
        return wanted.sample if span.trace_id % _RANDOM < wanted.sample * _RANDOM else None

    return passes


def select_records(
    batch: Sequence[Record], *, scores: bool, passes: Callable[[SpanRecord], float | None] | None
) -> list[SpanRecord | ScoreRecord]:
    """Return the scores of a batch, or the spans of a batch that pass the filter and whose caller is sampled."""
    found: list[SpanRecord | ScoreRecord] = []
    for record in batch:
        if isinstance(record, (LossRecord, ScoreRecord)):
            if scores and isinstance(record, ScoreRecord):
                found.append(record)
        elif record.attributes and record.attributes.get(names.UNSAMPLED) is True:
            continue
        elif not scores and (passes is None or passes(record) is not None):
            found.append(record)
    return found


def _cost(span: SpanRecord) -> float:
    cost = (span.attributes or {}).get(names.COST)
    return cost if isinstance(cost, (int, float)) else 0.0
