"""Trace generators: one span from the first item to the end, current only while the body runs."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Any, cast

from llmops_sdk._util._asyncgen import first_anext_unhooked
from llmops_sdk.tracing.decorators._plan import CallPlan
from llmops_sdk.tracing.records import _semconv
from llmops_sdk.tracing.spans import _active, _runtime
from llmops_sdk.tracing.spans._content import join_texts
from llmops_sdk.tracing.spans._span import Span

__all__ = ["trace_async_generator", "trace_generator"]

_JOINED_ITEMS = 1_000
_ITEMS = "llmops.stream.items"
_FIRST = _semconv.TIME_TO_FIRST_CHUNK
_perf = time.perf_counter_ns


def _context_with(span: Span, context: _active.Context) -> dict[str, object]:
    """Return a copy of the consumer's context with the span as the current one."""
    inner = context.copy()
    inner[_active.SPAN_KEY] = span
    return inner


def _restore(inner: object, context: _active.Context, token: _active.ContextToken | None) -> None:
    """Restore the context from before a step that an exception ended.

    A signal handler can raise before the step stores its token, or after it used the token: compare the contexts.
    """
    if token is not None:
        _active.detach(token)
    if _active.get() is inner:
        _active.attach(context)


def _end_span(
    plan: CallPlan, span: Span, items: list[Any], count: int, first: int, error: BaseException | None
) -> None:
    """End the span of a generator.

    Args:
        plan: The generator's plan.
        span: Its span.
        items: The first yielded items.
        count: The number of yielded items.
        first: The time of the first item by `time.perf_counter_ns`.
        error: The exception that ended it, or None.
    """
    if not span.is_recording():
        return
    if plan.capture_output:
        if plan.output_filter is None:
            span.capture_items(items)
        else:
            span.capture_output(plan.captured_result(span, join_texts(items)))
    if not count:
        span.add_plain_attributes({_ITEMS: 0})
    else:
        span.add_plain_attributes({_ITEMS: count, _FIRST: span.seconds_until(first)})
    if error is None:
        span.return_result(None, captured=False)
    else:
        span.fail(error)


# The loops below inline both halves of a step: a stream has many steps, and helper calls doubled the cost of each.


def trace_generator(plan: CallPlan, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        runtime = _runtime.current or _runtime.start()
        generator = function(*args, **kwargs)
        if not runtime.enabled:
            return cast("Any", (yield from generator))
        # Like the body, the span begins at the first next().
        context = _active.get()
        span = plan.start(runtime, context, args, kwargs)
        inner = context.copy()
        inner[_active.SPAN_KEY] = span
        items: list[Any] = []
        count = first = 0
        token: _active.ContextToken | None = None
        inside = False
        send = step = generator.send
        sent = None
        try:
            while True:
                now = _active.get()
                if now is not context:
                    context, inner = now, _context_with(span, now)
                inside = True
                token = _active.attach(inner)
                item = step(sent)
                # Unlike in an async generator, the token is of this context: a step is one call.
                _active.reset(token)
                inside = False
                if not count:
                    first = _perf()
                count += 1
                if count <= _JOINED_ITEMS:
                    items.append(item)
                step, sent = send, None
                try:
                    sent = yield item
                except GeneratorExit as exiting:
                    with _active.Activation(span):
                        value = generator.close()
                    if value is None:
                        raise
                    _end_span(plan, span, items, count, first, exiting)
                    return value  # Python 3.13 returns it from close()
                except BaseException as thrown:  # noqa: BLE001 - the body gets it
                    step, sent = generator.throw, thrown
        except StopIteration as stop:
            # Raised by the step, so the token is set: no need for `_restore`.
            if inside and token is not None:
                _active.reset(token)
            _end_span(plan, span, items, count, first, None)
            return stop.value
        except BaseException as error:
            if inside:
                _restore(inner, context, token)
            _end_span(plan, span, items, count, first, error)
            raise
        finally:
            del sent  # else a thrown exception and this frame keep each other alive

    return call


def trace_async_generator(plan: CallPlan, function: Callable[..., Any]) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        runtime = _runtime.current or _runtime.start()
        generator: AsyncGenerator[Any, Any] = function(*args, **kwargs)
        context = _active.get()
        span = plan.start(runtime, context, args, kwargs)
        inner = _context_with(span, context)
        items: list[Any] = []
        count = first = 0
        token: _active.ContextToken | None = None
        inside = False
        step: Awaitable[Any] = first_anext_unhooked(generator)
        try:
            while True:
                # Await in the consumer's own task, so that its timeouts and cancellation reach the body.
                now = _active.get()
                if now is not context:
                    context, inner = now, _context_with(span, now)
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
                    sent = yield item
                except GeneratorExit:
                    with _active.Activation(span):
                        await generator.aclose()
                    raise
                except BaseException as thrown:  # noqa: BLE001 - the body gets it
                    step = generator.athrow(thrown)
                else:
                    step = generator.asend(sent)
        except StopAsyncIteration:
            if inside:
                _restore(inner, context, token)
            _end_span(plan, span, items, count, first, None)
        except BaseException as error:
            if inside:
                _restore(inner, context, token)
            _end_span(plan, span, items, count, first, error)
            raise
        finally:
            del step  # as above

    return call
