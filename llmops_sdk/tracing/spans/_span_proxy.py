"""A proxy that gives another library's span the methods of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace import SpanContext, Status, StatusCode

from llmops_sdk.tracing.capture._bounds import DEFAULT_BOUNDS
from llmops_sdk.tracing.capture._encode import encode
from llmops_sdk.tracing.records import _semconv
from llmops_sdk.tracing.spans import _active, _runtime
from llmops_sdk.tracing.spans._attributes import attribute_values
from llmops_sdk.tracing.spans._usage_and_scores import UsageAndScores

__all__ = ["SpanProxy"]


class SpanProxy(UsageAndScores):
    """Passes everything on to another library's span. Without a span it does nothing."""

    def __init__(self, inner: OtelSpan) -> None:
        self._inner = inner
        found = inner.get_span_context()
        self.trace_id = f"{found.trace_id:032x}"
        self.span_id = f"{found.span_id:016x}"
        self.recording = inner.is_recording()
        self.name = str(getattr(inner, "name", ""))
        self.kind = "chain"

    @property
    def status(self) -> str:
        """Return "unset": other libraries' spans do not show their status."""
        return "unset"

    @property
    def input(self) -> Any:
        """Return None: other libraries' spans do not show their content."""
        return None

    @input.setter
    def input(self, value: object) -> None:
        self._set_content("input.value", value)

    @property
    def output(self) -> Any:
        """Return None: other libraries' spans do not show their content."""
        return None

    @output.setter
    def output(self, value: object) -> None:
        self._set_content("output.value", value)

    def _set_content(self, key: str, value: object) -> None:
        # The application exports this span: content goes on it only if the application asked for that.
        runtime = _runtime.current
        if self.recording and runtime is not None and runtime.content and runtime.settings.export.host_content:
            self._inner.set_attribute(key, encode(value, runtime.bounds).decode())

    def activate(self) -> _active.Activation:
        """Return a context manager that makes this the current span."""
        return _active.Activation(self._inner)

    def fail(self, error: BaseException) -> None:
        """Record the exception and set the status. The owner of the span ends it."""
        self.record_exception(error)
        self.set_status(StatusCode.ERROR)

    def get_span_context(self) -> SpanContext:
        """Return the ids as OpenTelemetry has them."""
        return self._inner.get_span_context()

    def is_recording(self) -> bool:
        """Return whether the span still takes changes."""
        return self._inner.is_recording()

    def set_attribute(self, key: str, value: Any) -> None:
        """Set one attribute. Content is left out: it goes only on spans of ours."""
        if self.recording and key not in _semconv.CONTENT_ATTRIBUTES:
            self._inner.set_attributes(_plain({key: value}))

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Set several attributes."""
        for key, value in attributes.items():
            self.set_attribute(key, value)

    def add_event(self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None) -> None:
        """Add an event."""
        if self.recording:
            self._inner.add_event(name, _plain(attributes or {}), timestamp)

    def add_link(self, context: SpanContext, attributes: Mapping[str, Any] | None = None) -> None:
        """Link to a span of this or another trace."""
        self._inner.add_link(context, _plain(attributes or {}))

    def update_name(self, name: str) -> None:
        """Rename the span."""
        self._inner.update_name(name)

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Set the status."""
        self._inner.set_status(status, description)

    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Add an `exception` event."""
        self._inner.record_exception(exception, dict(attributes or {}), timestamp, escaped)

    def end(self, end_time: int | None = None) -> None:
        """End the span."""
        self._inner.end(end_time)


def _plain(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes that every version of OpenTelemetry takes: structured values become text."""
    kept = attribute_values(attributes, DEFAULT_BOUNDS)
    return {
        key: value.decode() if isinstance(value, bytes) else value for key, value in kept.items() if value is not None
    }
