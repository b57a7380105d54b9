"""The current span, kept in OpenTelemetry's own context under its own key.

So `opentelemetry.trace.get_current_span()`, propagators and other libraries' instrumentation see our spans, and ours
nest under theirs. What `llmops.context` stamps on spans lives in the same context under a key of ours: one read of a
context variable gives both.
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
    "get",
    "leave",
    "reset",
]

SPAN_KEY: str = propagation._SPAN_KEY  # pyright: ignore[reportPrivateUsage] - the API has no public name for it
STAMP_KEY: str = otel_context.create_key("llmops-stamp")

ContextToken: TypeAlias = Token[Context]


def _context_variable() -> ContextVar[Context] | None:
    # attach() and detach() of the API cost three times what setting the variable costs. Another runtime context may
    # be configured (OTEL_PYTHON_CONTEXT): then there is no such variable, and the API is used.
    runtime: object = getattr(otel_context, "_RUNTIME_CONTEXT", None)
    variable: object = getattr(runtime, "_current_context", None)
    return cast("ContextVar[Context]", variable) if isinstance(variable, ContextVar) else None


_variable = _context_variable()

# On the hot path a copy of the context is a plain dict, which takes a sixth of the time of a Context and has all that
# the API asks of one; nobody changes it once it is attached.
attach: Callable[[dict[str, object]], ContextToken]

if _variable is not None:
    get = _variable.get
    attach = cast("Any", _variable.set)
    reset = _variable.reset
else:
    get = otel_context.get_current
    attach = cast("Any", otel_context.attach)
    reset = otel_context.detach


def detach(token: ContextToken) -> None:
    """Put back the context from before `attach`."""
    try:
        reset(token)
    except (ValueError, RuntimeError):
        # The token is of another context: the event loop finalised a generator in a task of its own. That context
        # ends with the task, so there is nothing to put back. Or it has been used: a signal's handler raised between
        # that and the next step.
        return


def leave(token: ContextToken, inner: object) -> None:
    """End a block that made `inner` the context: put back the one from before.

    A generator that holds a block open may be closed anywhere, by the collector too. Then what is current has nothing
    to do with the block, or what was before it is over, and nothing is put back.
    """
    now = get()
    if now is inner or not _is_elsewhere(now, inner, token):
        detach(token)


def _is_elsewhere(now: Any, inner: Any, token: Any) -> bool:
    outer: object = getattr(token, "old_value", None)
    before = cast("dict[str, object]", outer).get(SPAN_KEY) if isinstance(outer, dict) else None
    if _is_over(before):
        return True
    own: object = getattr(inner.get(SPAN_KEY), "_trace_number", None)
    if own is None:
        return False
    current = now.get(SPAN_KEY)
    if current is None:
        return before is None
    # One of the same trace may be what the block itself has left behind.
    number: object = getattr(current, "_trace_number", None)
    return number is not None and number != own and not _is_over(current)


def _is_over(span: object) -> bool:
    return bool(getattr(span, "_ended", False) and getattr(span, "recording", False))


class Activation:
    """Makes a span the current one inside a `with` block."""

    __slots__ = ("_inner", "_span", "_token")

    def __init__(self, span: Span) -> None:
        self._span = span

    def __enter__(self) -> Span:
        """Make it current."""
        self._inner = get().copy()
        self._inner[SPAN_KEY] = self._span
        self._token = attach(self._inner)
        return self._span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put back the one before."""
        leave(self._token, self._inner)
