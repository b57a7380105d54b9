"""The sink for everything that leaves the process: spans, scores as events, metrics of model calls.

To the pipeline it is one sink, with one part for each destination. Each part has its own bounded queue and thread, so
that a backend that is away delays no other. At the end they share one time limit.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from llmops_sdk._util._guard import guarded
from llmops_sdk.export._destinations import Destination, find_destination, find_destinations
from llmops_sdk.export._filter import filter_of
from llmops_sdk.export._span_sink import OtlpSink
from llmops_sdk.export.metrics._sink import MetricsSink
from llmops_sdk.tracing.records._losses import record_loss
from llmops_sdk.tracing.records._outbox import Outbox
from llmops_sdk.tracing.records._records import Record, RecordedSpan
from llmops_sdk.tracing.records._resource import process_resource

if TYPE_CHECKING:
    from llmops_sdk.config import Settings

__all__ = ["ExportSink", "open_sink"]

_Part: TypeAlias = OtlpSink | MetricsSink


def open_sink(settings: Settings) -> ExportSink | None:
    """Return the sink for all configured destinations, or None without any."""
    export, tracing = settings.export, settings.tracing
    resource = partial(_resource, settings)
    console = Destination(
        endpoint="stdout",
        protocol="console",
        headers={},
        content=export.content,
        allow_attributes=export.allow_attributes,
        passes=filter_of(export.filter),
    )
    found = [
        *find_destinations(settings),
        console if export.enabled and "console" in export.exporters else None,
        find_destination(settings, "logs", resource),
    ]
    parts: list[_Part] = [
        OtlpSink(destination, max_spans=tracing.queue_spans, max_bytes=tracing.queue_bytes)
        for destination in found
        if destination is not None
    ]
    if export.enabled and export.metrics.exporters:
        # Even without a backend: the application may set up a meter provider of its own, now or later.
        parts.append(MetricsSink(find_destination(settings, "metrics", resource), max_calls=tracing.queue_spans))
    return ExportSink(parts) if parts else None


def _resource(settings: Settings) -> Mapping[str, Any]:
    """Return the attributes of this process, without secrets, as on spans."""
    attributes = process_resource(settings)
    if not settings.redaction.enabled:
        return attributes
    from llmops_sdk.tracing.privacy._hash_key import hash_key
    from llmops_sdk.tracing.privacy._redaction_stage import RedactionStage

    blank = RecordedSpan(
        name="", kind="chain", trace_id=0, span_id=0, start_ns=0, duration_ns=0, status="unset", resource=attributes
    )
    stage = RedactionStage(settings.redaction.patterns, record_loss, hash_key(settings.redaction))
    redacted = stage([blank])[0]
    return redacted.resource if isinstance(redacted, RecordedSpan) else {}


class ExportSink:
    """Hands each batch to every part: the sinks of the destinations, each with its own thread."""

    name = "otlp"
    is_local = False

    def __init__(self, parts: Sequence[_Part]) -> None:
        self._parts = parts

    @property
    def exported(self) -> int:
        """Return how many spans the backends have accepted."""
        return sum(part.exported for part in self._span_backends())

    @property
    def pending(self) -> int:
        """Return how many spans are unsent."""
        return sum(part.pending for part in self._span_backends())

    def _span_backends(self) -> list[OtlpSink]:
        return [part for part in self._parts if isinstance(part, OtlpSink) and part.is_span_backend]

    def use_outboxes(self, outboxes: Mapping[str, Outbox]) -> None:
        """Use the store's outboxes; called once, before the first batch."""
        for part in self._span_backends():
            part.use_outboxes(outboxes)

    def write(self, batch: Sequence[Record]) -> int:
        """Hand a batch to every part; return the largest number of spans that a part has taken."""
        counts = [guarded(f"the sink {part.name}", 0, part.write, batch) for part in self._parts]
        parts = zip(self._parts, counts, strict=True)
        return max((count for part, count in parts if isinstance(part, OtlpSink) and part.takes_spans), default=0)

    def flush(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds until every part has sent its queue; return whether all have."""
        deadline = time.monotonic() + timeout
        for part in self._parts:
            guarded(f"flushing the sink {part.name}", False, part.flush, 0.0)  # all start before the first wait
        done = [
            guarded(f"flushing the sink {part.name}", False, part.flush, max(deadline - time.monotonic(), 0.0))
            for part in self._parts
        ]
        return all(done)

    def close(self, timeout: float) -> None:
        """Close every part within `timeout` seconds; they all send at the same time."""
        deadline = time.monotonic() + timeout
        for part in self._parts:
            guarded(f"closing the sink {part.name}", None, part.begin_close)
        for part in self._parts:
            guarded(f"closing the sink {part.name}", None, part.close, max(deadline - time.monotonic(), 0.1))

    def after_fork(self) -> None:
        """Start every part again in a forked child."""
        for part in self._parts:
            guarded(f"the sink {part.name} after a fork", None, part.after_fork)
