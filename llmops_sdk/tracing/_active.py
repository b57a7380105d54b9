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

__all__ = ["SPAN_KEY", "STAMP_KEY", "Activation", "Context", "ContextToken", "attach", "detach", "get", "reset"]

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


class Activation:
    """Makes a span the current one inside a `with` block."""

    __slots__ = ("_span", "_token")

    def __init__(self, span: Span) -> None:
        self._span = span

    def __enter__(self) -> Span:
        """Make it current."""
        context = get().copy()
        context[SPAN_KEY] = self._span
        self._token = attach(context)
        return self._span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put back the one before."""
        detach(self._token)
