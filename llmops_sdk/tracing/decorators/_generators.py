"""Traced generators: one span from the first item to the end, current only while the body runs."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Any, cast

from llmops_sdk._util._asyncgen import first_step
from llmops_sdk.tracing.decorators._plan import Plan
from llmops_sdk.tracing.records import _semconv
from llmops_sdk.tracing.spans import _active, _runtime
from llmops_sdk.tracing.spans._content import join_texts
from llmops_sdk.tracing.spans._span import Span

__all__ = ["trace_async_generator", "trace_generator"]

_JOINED_ITEMS = 1_000
_ITEMS = "llmops.stream.items"
_FIRST = _semconv.TIME_TO_FIRST_CHUNK
_perf = time.perf_counter_ns


def _inside(span: Span, context: _active.Context) -> dict[str, object]:
    """The context of whoever takes the next item, with the span as the current one."""
    inner = context.copy()
    inner[_active.SPAN_KEY] = span
    return inner


def _leave(inner: object, context: _active.Context, token: _active.ContextToken | None) -> None:
    """Put back the context from before a step that an exception ended, perhaps one of a signal's handler.

    That may come before the step's token is kept, or after it is used: the context tells.
    """
    if token is not None:
        _active.detach(token)
    if _active.get() is inner:
        _active.attach(context)


def _end(plan: Plan, span: Span, items: list[Any], count: int, first: int, error: BaseException | None) -> None:
    """End the span of a generator.

    Args:
        plan: The generator's.
        span: Its span.
        items: The first of what it yielded.
        count: How many it yielded.
        first: When the first came, by `time.perf_counter_ns`.
        error: What ended it, None for its own end.
    """
    if not span.is_recording():
        return
    if plan.capture_output:
        if plan.show_output is None:
            span.capture_items(items)
        else:
            span.capture_output(plan.shown(span, join_texts(items)))
    if not count:
        span.add_plain_attributes({_ITEMS: 0})
    else:
        span.add_plain_attributes({_ITEMS: count, _FIRST: span.seconds_until(first)})
    if error is None:
        span.return_result(None, captured=False)
    else:
        span.fail(error)


# The loops below keep all of a step in their own frame: a stream has many, and a call for each half of one took as
# long as the rest.


def trace_generator(plan: Plan, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        runtime = _runtime.current or _runtime.start()
        generator = function(*args, **kwargs)
        if not runtime.enabled:
            return cast("Any", (yield from generator))
        # The span begins with the first next(), as the body does, and is current only while the body runs.
        context = _active.get()
        span = plan.start(runtime, context, args, kwargs)
        inner = context.copy()
        inner[_active.SPAN_KEY] = span
        items: list[Any] = []
        count = first = 0
        token: _active.ContextToken | None = None
        inside = False
        send = step = generator.send
        given = None
        try:
            while True:
                now = _active.get()
                if now is not context:
                    context, inner = now, _inside(span, now)
                inside = True
                token = _active.attach(inner)
                item = step(given)
                # Never of another context, as it may be in an async generator: a step is one call.
                _active.reset(token)
                inside = False
                if not count:
                    first = _perf()
                count += 1
                if count <= _JOINED_ITEMS:
                    items.append(item)
                step, given = send, None
                try:
                    given = yield item
                except GeneratorExit as left:
                    with _active.Activation(span):
                        value = generator.close()
                    if value is None:
                        raise
                    _end(plan, span, items, count, first, left)
                    return value  # Python 3.13 gives it to whoever closes
                except BaseException as thrown:  # noqa: BLE001 - it is thrown into the body, whose it is
                    step, given = generator.throw, thrown
        except StopIteration as stop:
            # Of the step, with its token in hand: no call is needed.
            if inside and token is not None:
                _active.reset(token)
            _end(plan, span, items, count, first, None)
            return stop.value
        except BaseException as error:
            if inside:
                _leave(inner, context, token)
            _end(plan, span, items, count, first, error)
            raise
        finally:
            del given  # an exception would keep this frame, which keeps it

    return call


def trace_async_generator(plan: Plan, function: Callable[..., Any]) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        runtime = _runtime.current or _runtime.start()
        generator: AsyncGenerator[Any, Any] = function(*args, **kwargs)
        context = _active.get()
        span = plan.start(runtime, context, args, kwargs)
        inner = _inside(span, context)
        items: list[Any] = []
        count = first = 0
        token: _active.ContextToken | None = None
        inside = False
        step: Awaitable[Any] = first_step(generator)
        try:
            while True:
                # Awaited in the consumer's own task, so that its time-outs and cancellation reach the body.
                now = _active.get()
                if now is not context:
                    context, inner = now, _inside(span, now)
                inside = True
                token = _active.attach(inner)
                item = await step
                _active.detach(token)
                inside = False
                if not count:
                    first = _perf()
                count += 1
                if count <= _JOINED_ITEMS:
                    items.append(item)
                try:
                    given = yield item
                except GeneratorExit:
                    with _active.Activation(span):
                        await generator.aclose()
                    raise
                except BaseException as thrown:  # noqa: BLE001 - it is thrown into the body, whose it is
                    step = generator.athrow(thrown)
                else:
                    step = generator.asend(given)
        except StopAsyncIteration:
            if inside:
                _leave(inner, context, token)
            _end(plan, span, items, count, first, None)
        except BaseException as error:
            if inside:
                _leave(inner, context, token)
            _end(plan, span, items, count, first, error)
            raise
        finally:
            del step  # as above

    return call
