"""Traced generators: one span from the first item to the end, current only while the body runs."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Any, cast

from llmops_sdk._util._asyncgen import first_step
from llmops_sdk.tracing import _active, _runtime, _semconv
from llmops_sdk.tracing._plan import Plan
from llmops_sdk.tracing._span import Span

__all__ = ["trace_async_generator", "trace_generator"]

_JOINED_ITEMS = 1_000
_TEXT = {str}
_new = object.__new__
_perf = time.perf_counter_ns


class _Inside:
    """A generator's span, made current for each step of the body, and what was yielded, for its output."""

    __slots__ = ("_context", "_first", "_inner", "count", "items", "span")

    span: Span
    items: list[object]
    count: int
    _context: _active.Context | None

    @classmethod
    def of(cls, span: Span) -> _Inside:
        """Made without a call of the class, which takes three times as long."""
        self = _new(cls)
        self.span = span
        self.items = []
        self.count = 0
        self._context = None
        return self

    def enter(self) -> _active.ContextToken:
        """Make the span current, in the context of whoever takes the next item."""
        context = _active.get()
        if context is not self._context:
            self._context = context
            self._inner = context.copy()
            self._inner[_active.SPAN_KEY] = self.span
        return _active.attach(self._inner)

    def add(self, item: object) -> None:
        if not self.count:
            self._first = _perf()
        self.count += 1
        if self.count <= _JOINED_ITEMS:
            self.items.append(item)

    def end(self, plan: Plan, error: BaseException | None) -> None:
        span = self.span
        if not span.recording:
            return
        if plan.capture_output:
            output: Any = self.items
            if set(map(type, output)) == _TEXT:
                output = "".join(output)
            shown = output if plan.show_output is None else plan.shown(span, output)
            span._keep(shown, self.items if shown is output else (shown,))  # pyright: ignore[reportPrivateUsage] - a friend
        said: dict[str, Any] = {"llmops.stream.items": self.count}
        if self.count:
            said[_semconv.TIME_TO_FIRST_CHUNK] = (self._first - span._started) / 1e9  # pyright: ignore[reportPrivateUsage] - a friend
        span._add_plain(said)  # pyright: ignore[reportPrivateUsage] - a friend
        if error is None:
            span.end()
        else:
            span.fail(error)


def trace_generator(plan: Plan, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        runtime = _runtime.current or _runtime.start()
        generator = function(*args, **kwargs)
        if not runtime.enabled:
            return cast("Any", (yield from generator))
        # The span begins with the first next(), as the body does, and is current only while the body runs.
        inside = _Inside.of(plan.start(runtime, _active.get(), args, kwargs))
        step, given = generator.send, None
        try:
            while True:
                token = inside.enter()
                try:
                    item = step(given)
                finally:
                    _active.detach(token)
                inside.add(item)
                step, given = generator.send, None
                try:
                    given = yield item
                except GeneratorExit as left:
                    with _active.Activation(inside.span):
                        value = generator.close()
                    if value is None:
                        raise
                    inside.end(plan, left)
                    return value  # Python 3.13 gives it to whoever closes
                except BaseException as thrown:  # noqa: BLE001 - it is thrown into the body, whose it is
                    step, given = generator.throw, thrown
        except StopIteration as stop:
            inside.end(plan, None)
            return stop.value
        except BaseException as error:
            inside.end(plan, error)
            raise
        finally:
            del given  # an exception would keep this frame, which keeps it

    return call


def trace_async_generator(plan: Plan, function: Callable[..., Any]) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        runtime = _runtime.current or _runtime.start()
        generator: AsyncGenerator[Any, Any] = function(*args, **kwargs)
        inside = _Inside.of(plan.start(runtime, _active.get(), args, kwargs))
        step: Awaitable[Any] = first_step(generator)
        try:
            while True:
                # Awaited in the consumer's own task, so that its time-outs and cancellation reach the body.
                token = inside.enter()
                try:
                    item = await step
                finally:
                    _active.detach(token)
                inside.add(item)
                try:
                    given = yield item
                except GeneratorExit:
                    with _active.Activation(inside.span):
                        await generator.aclose()
                    raise
                except BaseException as thrown:  # noqa: BLE001 - it is thrown into the body, whose it is
                    step = generator.athrow(thrown)
                else:
                    step = generator.asend(given)
        except StopAsyncIteration:
            inside.end(plan, None)
        except BaseException as error:
            inside.end(plan, error)
            raise
        finally:
            del step  # as above

    return call
