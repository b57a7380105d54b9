"""The current span, stored in OpenTelemetry's context under OpenTelemetry's key.

`opentelemetry.trace.get_current_span()`, propagators and other libraries' instrumentation see our spans, and our spans
nest under theirs. The stamp of `llmops.context` is in the same context under our own key, so that one read of a context
variable gives both.

Another library that detaches its own span restores the context from before it, and so takes along a `llmops.context`
that was opened meanwhile and is still open. FastAPI does that around the dependencies of a request. So open blocks also
stand in a context variable of our own; `stamp_of` compares the two.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, TypeAlias, cast

from opentelemetry import context as otel_context
from opentelemetry.context.context import Context
from opentelemetry.trace import Span, propagation

__all__ = [
    "SPAN_KEY",
    "STAMP_KEY",
    "Activation",
    "Context",
    "ContextToken",
    "attach",
    "detach",
    "drop_stamp",
    "get",
    "held",
    "hold_stamp",
    "leave",
    "release_stamp",
    "reset",
    "stamp_of",
]

SPAN_KEY: str = propagation._SPAN_KEY  # pyright: ignore[reportPrivateUsage] - the API has no public name for it
STAMP_KEY: str = otel_context.create_key("llmops-stamp")

ContextToken: TypeAlias = Token[Context]


def _context_variable() -> ContextVar[Context] | None:
    # The API's attach() and detach() cost three times as much as setting the variable. If OTEL_PYTHON_CONTEXT
    # configures another runtime context, there is no such variable and we use the API.
    runtime: object = getattr(otel_context, "_RUNTIME_CONTEXT", None)
    variable: object = getattr(runtime, "_current_context", None)
    return cast("ContextVar[Context]", variable) if isinstance(variable, ContextVar) else None


_variable = _context_variable()

# On the hot path a copy of the context is a plain dict: it takes a sixth of the time of a Context and has the methods
# that the API calls. Nothing changes it once it is attached.
attach: Callable[[dict[str, object]], ContextToken]

if _variable is not None:
    get = _variable.get
    attach = cast("Any", _variable.set)
    reset = _variable.reset
else:
    get = otel_context.get_current
    attach = cast("Any", otel_context.attach)
    reset = otel_context.detach


class _HeldStamp:
    """The stamp of an open `llmops.context` block, and that of the block around it."""

    __slots__ = ("closed", "closed_early", "outer", "stamp", "token")

    token: Token[_HeldStamp | None]

    def __init__(self, stamp: object, outer: _HeldStamp | None) -> None:
        self.stamp = stamp
        self.outer = outer
        self.closed = False
        self.closed_early = False  # before a block inside it


held: ContextVar[_HeldStamp | None] = ContextVar("llmops-held-stamp", default=None)


def hold_stamp(stamp: object) -> _HeldStamp:
    """Note that a block with this stamp is open; `release_stamp` ends it."""
    block = _HeldStamp(stamp, _innermost())
    block.token = held.set(block)
    return block


def release_stamp(block: _HeldStamp) -> None:
    """End a block, also from another context, as when a generator is collected there."""
    block.closed = True
    inside = held.get()
    if inside is block:
        try:
            held.reset(block.token)
        except ValueError:  # a copy of the context in which the block began
            held.set(_innermost())
        return
    while inside is not None and inside is not block:
        inside = inside.outer
    block.closed_early = inside is block


def drop_stamp(block: _HeldStamp) -> None:
    """Remove the stamp of a block that has ended here, if it is still in the current context.

    It is if the block could not restore the context from before, or if an outer block had ended first. A copy of the
    context, as of a task that outlives the block, keeps its stamp.
    """
    now = get()
    stamp = now.get(STAMP_KEY)
    if stamp is None:
        return
    ended: _HeldStamp | None = block
    while ended is not None and (ended.stamp is not stamp or not (ended is block or ended.closed_early)):
        ended = ended.outer
    if ended is None:
        return
    after = now.copy()
    del after[STAMP_KEY]
    innermost = _innermost()
    if innermost is not None:
        after[STAMP_KEY] = innermost.stamp
    attach(after)


def _innermost() -> _HeldStamp | None:
    block = held.get()
    while block is not None and block.closed:
        block = block.outer
    return block


def stamp_of(context: Context) -> Any:
    """Return the stamp in a context, or that of the innermost open block if the context lost it; None without one."""
    stamp = context.get(STAMP_KEY)
    innermost = block = _innermost()
    if innermost is None or stamp is None:
        return stamp if innermost is None else innermost.stamp
    # A stamp of no open block comes from a context that somebody attached on purpose.
    while block is not None and block.stamp is not stamp:
        block = block.outer
    return stamp if block is None else innermost.stamp


def detach(token: ContextToken) -> None:
    """Restore the context from before `attach`."""
    try:
        reset(token)
    except (ValueError, RuntimeError):
        # The token belongs to another context: the event loop finalised a generator in a task of its own, and that
        # context ends with the task. Or the token was used already: a signal handler raised right after that.
        return


def leave(token: ContextToken, inner: object) -> None:
    """End a block that made `inner` the context: restore the context from before.

    A generator that holds a block open may be closed anywhere, even by the garbage collector. If the current context
    has nothing to do with the block, or the span from before has ended, `leave` restores nothing.
    """
    now = get()
    if now is inner:
        _restore(token)
    elif not _is_elsewhere(now, inner, token):
        detach(token)


def _restore(token: ContextToken) -> None:
    try:
        reset(token)
    except ValueError:
        # The block began in another context, and a framework put the values of that one here. Flask and Django do so
        # around async hooks and views under WSGI. What is left here would reach the thread's next request.
        before: object = token.old_value
        attach(cast("dict[str, object]", before) if isinstance(before, dict) else {})
    except RuntimeError:  # used already
        return


def _is_elsewhere(now: Any, inner: Any, token: Any) -> bool:
    outer: object = getattr(token, "old_value", None)
    before = cast("dict[str, object]", outer).get(SPAN_KEY) if isinstance(outer, dict) else None
    if _is_over(before):
        return True
    own: object = getattr(inner.get(SPAN_KEY), "trace_number", None)
    if own is None:
        return False
    current = now.get(SPAN_KEY)
    if current is None:
        return before is None
    # A span of the same trace may be left over from the block itself.
    number: object = getattr(current, "trace_number", None)
    return number is not None and number != own and not _is_over(current)


def _is_over(span: object) -> bool:
    if getattr(span, "end_time", None) is not None:  # another library's span, of OpenTelemetry's SDK
        return True
    return bool(getattr(span, "recording", False)) and not cast("Span", span).is_recording()


class Activation:
    """Makes a span current inside a `with` block."""

    __slots__ = ("_inner", "_span", "_token")

    def __init__(self, span: Span) -> None:
        self._span = span

    def __enter__(self) -> Span:
        self._inner = get().copy()
        self._inner[SPAN_KEY] = self._span
        self._token = attach(self._inner)
        return self._span

    def __exit__(
        self, cls: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        leave(self._token, self._inner)
