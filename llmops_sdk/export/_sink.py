"""All that leaves the process: spans to a backend and to the console, scores as events, metrics of calls to models.

One sink to the pipeline, made of one for each destination. Each has a bounded queue and a thread of its own, so that
one that is away holds up no other, and at the end they share one patience.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from llmops_sdk._util._guard import guarded
from llmops_sdk.export._destinations import Destination, find_destination, find_destinations
from llmops_sdk.export._filter import filter_of
from llmops_sdk.export._span_sink import OtlpSink
from llmops_sdk.export.metrics._sink import MetricsSink
from llmops_sdk.tracing.records._losses import record_loss
from llmops_sdk.tracing.records._outbox import Outbox
from llmops_sdk.tracing.records._records import Record, RecordedSpan, Sink
from llmops_sdk.tracing.records._resource import process_resource

if TYPE_CHECKING:
    from llmops_sdk.config import Settings

__all__ = ["ExportSink", "open_sink"]


class _Part(Sink, Protocol):
    """A sink that can be told that the end is near."""

    def begin_close(self) -> None:
        """Send what waits at once; the patience of `close` counts from here."""
        ...


def open_sink(settings: Settings) -> ExportSink | None:
    """The sink for every configured destination, or None when there is none.

    Args:
        settings: The settings in force.
    """
    export, tracing = settings.export, settings.tracing
    resource = partial(_resource, settings)
    console = Destination(
        endpoint="stdout", protocol="console", headers={}, content=export.content, passes=filter_of(export.filter)
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
        # Also without a backend: the application may set up a meter provider of its own, now or later.
        parts.append(MetricsSink(find_destination(settings, "metrics", resource), max_calls=tracing.queue_spans))
    return ExportSink(parts) if parts else None


def _resource(settings: Settings) -> Mapping[str, Any]:
    """The attributes of this process, without secrets, as spans bear them."""
    attributes = process_resource(settings)
    if not settings.redaction.enabled:
        return attributes
    from llmops_sdk.tracing.privacy._redaction_stage import RedactionStage

    blank = RecordedSpan(
        name="", kind="chain", trace_id=0, span_id=0, start_ns=0, duration_ns=0, status="unset", resource=attributes
    )
    redacted = RedactionStage(settings.redaction.patterns, record_loss)([blank])[0]
    return redacted.resource if isinstance(redacted, RecordedSpan) else {}


class ExportSink:
    """Hands each batch to every part.

    Args:
        parts: The sinks, each with a thread of its own.
    """

    def __init__(self, parts: Sequence[_Part]) -> None:
        self._parts = parts

    @property
    def name(self) -> str:
        """The sink's name in the counts."""
        return "otlp"

    @property
    def exported(self) -> int:
        """Spans that the backend has taken."""
        return sum(part.exported for part in self._spans())

    @property
    def pending(self) -> int:
        """Spans on their way to the backend."""
        return sum(part.pending for part in self._spans())

    def _spans(self) -> list[OtlpSink]:
        return [part for part in self._parts if isinstance(part, OtlpSink) and part.name == "otlp"]

    def use_outboxes(self, outboxes: Mapping[str, Outbox]) -> None:
        """Rely on the store's outboxes; called once, before the first batch."""
        for part in self._spans():
            part.use_outboxes(outboxes)

    def write(self, batch: Sequence[Record]) -> int:
        """Hand a batch to every part; how many spans the one that took most has taken."""
        taken = {part.name: guarded(f"the sink {part.name}", 0, part.write, batch) for part in self._parts}
        return max(taken.get("otlp", 0), taken.get("console", 0))

    def flush(self, timeout: float) -> bool:
        """Wait until every part is done with what it has, `timeout` seconds at most; whether all are."""
        deadline = time.monotonic() + timeout
        for part in self._parts:
            guarded(f"flushing the sink {part.name}", False, part.flush, 0.0)  # all begin before any is waited for
        done = [
            guarded(f"flushing the sink {part.name}", False, part.flush, max(deadline - time.monotonic(), 0.0))
            for part in self._parts
        ]
        return all(done)

    def close(self, timeout: float) -> None:
        """Close every part within `timeout` seconds: all of them send at the same time."""
        deadline = time.monotonic() + timeout
        for part in self._parts:
            guarded(f"closing the sink {part.name}", None, part.begin_close)
        for part in self._parts:
            guarded(f"closing the sink {part.name}", None, part.close, max(deadline - time.monotonic(), 0.1))

    def after_fork(self) -> None:
        """In a forked child: every part begins anew."""
        for part in self._parts:
            guarded(f"the sink {part.name} after a fork", None, part.after_fork)
