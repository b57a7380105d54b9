"""Span records for tests of sinks."""

from __future__ import annotations

from typing import Any

from llmops_sdk.tracing.records._ids import new_span_id, new_trace_id
from llmops_sdk.tracing.records._records import RecordedSpan

__all__ = ["RESOURCE", "sample_span"]

RESOURCE = {"service.name": "tests", "deployment.environment.name": "ci"}


def sample_span(**changes: Any) -> RecordedSpan:
    """Return an ended span with default values."""
    fields: dict[str, Any] = {
        "name": "work",
        "kind": "chain",
        "trace_id": new_trace_id(1_790_000_000_000_000_000),
        "span_id": new_span_id(),
        "start_ns": 1_790_000_000_000_000_000,
        "duration_ns": 1_500_000,
        "status": "ok",
        "resource": RESOURCE,
    }
    return RecordedSpan(**{**fields, **changes})
