"""The tracing in force: what the settings mean to a span, and where it goes when it ends."""

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

__all__ = ["RecordPipeline", "Runtime", "SpanStarter", "current", "set_starter", "start"]


class RecordPipeline(Protocol):
    """Takes records to the sinks; `runtime._pipeline.Pipeline` documents each method."""

    def put(self, record: ScoreRecord | LossRecord | Recordable, size: int) -> None: ...
    def record_loss(self, what: str, reason: str, count: int = 1, bytes: int = 0) -> None: ...  # noqa: A002
    def flush(self, timeout: float) -> FlushReport: ...
    def shut_down(self, timeout: float) -> FlushReport: ...
    def before_fork(self) -> None: ...
    def after_fork_in_parent(self) -> None: ...
    def after_fork(self) -> None: ...


class SpanStarter(Protocol):
    """Starts spans in place of `_begin.begin`, where a runtime has one; the ordinary way costs nothing for it."""

    def begin(self, runtime: Runtime, context: Context, name: str, kind: str, otel_kind: str) -> Any:
        """Return a new `Span` below the current one of `context`, not made current; None for the ordinary way."""
        ...


class Runtime:
    """What a span needs to know; replaced as a whole when the configuration changes.

    Attributes:
        enabled: False when the SDK is off: calls run, nothing is recorded.
        content: Whether arguments, results, prompts and answers are kept.
        bounds: How much of a value is kept.
        waits: Whether small values that cannot change may be kept as they are, and encoded later.
        resource: The resource's attributes.
        sampler: Decides at a root span, None for all.
        host: Begins spans where the application has a tracer provider of its own, None where it has none; see `_host`.
    """

    __slots__ = ("bounds", "content", "enabled", "host", "pipeline", "put", "resource", "sampler", "settings", "waits")

    def __init__(self, settings: Settings, pipeline: RecordPipeline) -> None:
        self.settings = settings
        self.pipeline = pipeline
        self.put: Callable[[ScoreRecord | LossRecord | Recordable, int], None] = pipeline.put
        self.enabled = settings.enabled
        capture = settings.capture
        self.content = capture.content
        self.bounds = Bounds(capture.max_bytes, capture.max_depth, capture.max_items, capture.max_blob_bytes)
        self.waits = capture.content and capture.max_bytes >= MIN_BYTES_TO_DEFER
        self.resource = process_resource(settings)
        self.host: SpanStarter | None = None
        self.sampler: Sampler | None = guarded("reading OTEL_TRACES_SAMPLER", None, sampler_from_environment)

    def record_loss(self, what: str, reason: str, count: int = 1, bytes: int = 0) -> None:  # noqa: A002 - as in the record
        """Count something that was dropped, truncated or redacted."""
        self.pipeline.record_loss(what, reason, count, bytes)


current: Runtime | None = None
_starter: Callable[[], Runtime] | None = None


def set_starter(starter: Callable[[], Runtime]) -> None:
    """Say how tracing starts: `runtime._start` does when the package is imported."""
    global _starter
    _starter = starter


def start() -> Runtime:
    """Return the runtime in force; the first use makes it."""
    assert _starter is not None  # the package imports what sets it
    return _starter()
