"""The run of a task on one item, or of one scorer on its output: its trace, its time, its calls, and how it ended."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

from llmops_sdk._util._guard import Caught
from llmops_sdk.client.serving._watched_calls import WATCHED, WatchedCall
from llmops_sdk.errors import BudgetExceededError
from llmops_sdk.store._own_traces import EVAL_TAG
from llmops_sdk.tracing import Span, context, start_span
from llmops_sdk.tracing.spans import _active

__all__ = ["Scope", "describe_error"]

_MAX_ERROR = 2_000  # characters

ScopeStatus = Literal["ok", "error", "timeout", "budget"]


class Scope:
    """One run in a context of its own. Nothing that the run raises leaves it.

    Args:
        name: The span's name.
        kind: The span's kind.
        attributes: The span's attributes.
        span_input: What the span records as its input.
        traced: Whether to open a span; without one, each call of the run begins a trace.
    """

    def __init__(
        self, name: str, kind: str, attributes: Mapping[str, Any], span_input: Any, *, traced: bool = True
    ) -> None:
        self._name = name
        self._kind = kind
        self._attributes = attributes
        self._input = span_input
        self._traced = traced
        self.calls: list[WatchedCall] = []
        self.status: ScopeStatus = "ok"
        self.value: Any = None
        self.error_type: str | None = None
        self.error: str | None = None
        self.trace_id: str | None = None
        self._started = 0.0
        self._ended: float | None = None
        self._span: Span | None = None

    @property
    def duration_ms(self) -> float:
        """Return milliseconds since the run began, or of the whole run."""
        return ((self._ended or time.perf_counter()) - self._started) * 1000.0

    def run(self, function: Callable[[], Any]) -> Scope:
        """Run a function to its end, and return the scope."""
        # Also SystemExit and the like: they are the item's failure.
        with Caught(BaseException) as caught, context(tags=(EVAL_TAG,)):
            try:
                self._enter()
                self._finish(function())
            except GeneratorExit as error:
                self._fail(error)
        if caught.error is not None:
            self._fail(caught.error)
        return self

    async def arun(self, function: Callable[[], Awaitable[Any]]) -> Scope:
        """Await a function's result, and return the scope."""
        # A cancelled run has nobody who reads its outcome.
        with Caught(BaseException) as caught, context(tags=(EVAL_TAG,)):
            try:
                self._enter()
                self._finish(await function())
            except GeneratorExit as error:
                self._fail(error)
        if caught.error is not None:
            self._fail(caught.error)
        return self

    def expire(self) -> None:
        """Note that the run took too long. It may go on, but nothing more of it counts."""
        self.status = "timeout"
        self.error_type = "TimeoutError"
        self.error = "it took longer than the time-out"

    def _enter(self) -> None:
        self._started = time.perf_counter()
        WATCHED.set(self.calls)
        # Each run is a trace, wherever `evaluate` was called; the stamp of `llmops.context` stays.
        outer = {key: value for key, value in _active.get().items() if key != _active.SPAN_KEY}
        _active.attach(outer)
        if not self._traced:
            return
        self._span = span = start_span(self._name, kind=self._kind, attributes=self._attributes)
        if span.recording:
            self.trace_id = span.trace_id
            span.input = self._input
        _active.attach({**outer, _active.SPAN_KEY: span})

    def _finish(self, value: Any) -> None:
        self._ended = time.perf_counter()
        self.value = value
        if self._span is not None:
            self._span.end()

    def note_output(self, output: Any) -> None:
        """Record the output on the span."""
        if self._span is not None and self._span.recording:
            self._span.output = output

    def _fail(self, error: BaseException) -> None:
        self._ended = time.perf_counter()
        if self._span is not None:
            self._span.fail(error)
        if self.status == "timeout":
            return
        self.status = "budget" if isinstance(error, BudgetExceededError) else "error"
        self.error_type, self.error = describe_error(error)


def describe_error(error: BaseException) -> tuple[str, str]:
    """Return the class and the message of an error, bounded.

    Args:
        error: The error; its `__str__` may fail.
    """
    message = "(its message cannot be shown)"
    with Caught():
        message = str(error)
    return type(error).__qualname__, message[:_MAX_ERROR]
