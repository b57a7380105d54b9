"""Convert our scores to the event `gen_ai.evaluation.result`: a log record on the scored span.

Source: OpenTelemetry's semantic conventions for generative AI, events. Only the exporting thread imports this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from llmops_sdk.tracing.interop._convert import own_scope, plain_text, sdk_resource
from llmops_sdk.tracing.records import _semconv as names
from llmops_sdk.tracing.records._records import ScoreRecord

__all__ = ["ScoreConverter"]

_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class ScoreConverter:
    """Converts scores for one backend; `content` tells whether comments are sent."""

    def __init__(self, *, content: bool, resource: Mapping[str, Any]) -> None:
        self._content = content
        self._resource = sdk_resource(resource)

    def __call__(self, score: ScoreRecord) -> ReadableLogRecord:
        """Return the score as the official exporters take it."""
        record = LogRecord(
            timestamp=score.time_ns,
            observed_timestamp=score.time_ns,
            context=_context(score),
            severity_number=SeverityNumber.INFO,
            event_name=names.EVENT_EVALUATION,
            attributes=self._attributes(score),
        )
        return ReadableLogRecord(log_record=record, resource=self._resource, instrumentation_scope=own_scope())

    def _attributes(self, score: ScoreRecord) -> dict[str, str | float]:
        made: dict[str, str | float] = {
            names.EVALUATION_NAME: plain_text(score.name),
            names.SCORE_SOURCE: plain_text(score.source),
        }
        if score.value is not None:
            made[names.EVALUATION_VALUE] = score.value
        if score.label is not None:
            made[names.EVALUATION_LABEL] = plain_text(score.label)
        if score.comment is not None and self._content:
            made[names.EVALUATION_EXPLANATION] = plain_text(score.comment)
        return made


def _context(score: ScoreRecord) -> Context:
    """Return a context in which the scored span is current; without a span id, only its trace."""
    trace_id, span_id = int(score.trace_id or "0", 16), int(score.span_id or "0", 16)
    scored = NonRecordingSpan(SpanContext(trace_id, span_id, is_remote=False, trace_flags=_SAMPLED))
    return set_span_in_context(scored, Context())
