"""The tracing runtime: the settings that a span needs, and the pipeline that takes ended spans."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry.context import Context

from llmops_sdk._util._guard import guarded
from llmops_sdk.tracing.capture._bounds import Bounds
from llmops_sdk.tracing.capture._deferrable import MIN_BYTES_TO_DEFER
from llmops_sdk.tracing.records._records import FlushReport, LossRecord, Recordable, ScoreRecord
from llmops_sdk.tracing.records._resource import process_resource
from llmops_sdk.tracing.spans._sampling import Sampler, sampler_from_environment

if TYPE_CHECKING:
    from llmops_sdk.config import Settings

__all__ = ["RecordPipeline", "Runtime", "SpanStarter", "current", "set_factory", "start"]


class RecordPipeline(Protocol):
    """Takes records to the sinks. `runtime._pipeline.Pipeline` documents each method."""

    def put(self, record: ScoreRecord | LossRecord | Recordable, size: int) -> None: ...
    def record_loss(self, what: str, reason: str, count: int = 1, bytes: int = 0) -> None: ...  # noqa: A002
    def flush(self, timeout: float, *, local_only: bool = False) -> FlushReport: ...
    def shut_down(self, timeout: float) -> FlushReport: ...
    def before_fork(self) -> None: ...
    def after_fork_in_parent(self) -> None: ...
    def after_fork(self, ends_without_hook: bool = False) -> None: ...


class SpanStarter(Protocol):
    """Starts spans in a way of its own, for a runtime that has one; see `_start_span.start_child`."""

    def start_child(self, runtime: Runtime, context: Context, name: str, kind: str, otel_kind: str) -> Any:
        """Return a new span below the current one of `context`, not made current; None for the default way."""
        ...


class Runtime:
    """What a span needs to know. A change of the configuration replaces the whole object.

    Attributes:
        enabled: False when the SDK is off: calls run, nothing is recorded.
        content: Whether arguments, results, prompts and answers are captured.
        bounds: How much of a value is captured.
        defers_encoding: Whether the pipeline's thread encodes small values that cannot change.
        resource: The resource's attributes.
        sampler: Decides which root spans are recorded; None records all.
        span_starter: Starts spans if the application has its own tracer provider or the SDK is off, else None.
    """

    __slots__ = (
        "bounds",
        "content",
        "defers_encoding",
        "enabled",
        "pipeline",
        "put",
        "resource",
        "sampler",
        "settings",
        "span_starter",
    )

    def __init__(self, settings: Settings, pipeline: RecordPipeline) -> None:
        self.settings = settings
        self.pipeline = pipeline
        self.put: Callable[[ScoreRecord | LossRecord | Recordable, int], None] = pipeline.put
        self.enabled = settings.enabled
        capture = settings.capture
        self.content = capture.content
        self.bounds = Bounds(capture.max_bytes, capture.max_depth, capture.max_items, capture.max_blob_bytes)
        self.defers_encoding = capture.content and capture.max_bytes >= MIN_BYTES_TO_DEFER
        self.resource = process_resource(settings)
        self.span_starter: SpanStarter | None = None
        self.sampler: Sampler | None = guarded("reading OTEL_TRACES_SAMPLER", None, sampler_from_environment)

    def record_loss(self, what: str, reason: str, count: int = 1, bytes: int = 0) -> None:  # noqa: A002 - as in the record
        """Count something that was dropped, truncated or redacted."""
        self.pipeline.record_loss(what, reason, count, bytes)


current: Runtime | None = None
_factory: Callable[[], Runtime] | None = None


def set_factory(factory: Callable[[], Runtime]) -> None:
    """Set the function that starts tracing; `runtime._start` calls this when the package is imported."""
    global _factory
    _factory = factory


def start() -> Runtime:
    """Return the current runtime; the first call creates it."""
    assert _factory is not None  # `runtime._start` has set it
    return _factory()
