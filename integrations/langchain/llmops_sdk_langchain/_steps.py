"""Make the span of a chain, tool or graph the current span inside it.

OpenInference's instrumentor does not make its spans current: a callback cannot restore the previous span reliably.
LangChain runs each step in its own copy of the context and drops the copy afterwards. In the copy, the step's span can
be current without being restored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import wrapt
from langchain_core.runnables import config as langchain_config
from opentelemetry import context, trace

if TYPE_CHECKING:
    from collections.abc import Callable

    from openinference.instrumentation.langchain import LangChainInstrumentor

__all__ = ["connect", "disconnect"]

# The function of LangChain that fills the copied context. It has no public name. Without it, spans inside a step stand
# below the span of the whole chain.
_FILL = "_set_config_context"


def connect(instrumentor: LangChainInstrumentor) -> None:
    """Make the span of each step the current one inside it."""

    def fill(wrapped: Callable[..., Any], _: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        filled = wrapped(*args, **kwargs)
        config: Any = args[0] if args else kwargs.get("config")
        run_id = getattr((config or {}).get("callbacks"), "parent_run_id", None)
        span = None if run_id is None else instrumentor.get_span(run_id)
        if span is not None:
            context.attach(trace.set_span_in_context(span))
        return filled

    original = getattr(langchain_config, _FILL, None)
    if original is not None:
        setattr(langchain_config, _FILL, wrapt.FunctionWrapper(original, fill))


def disconnect() -> None:
    """Stop changing the current span."""
    wrapper = getattr(langchain_config, _FILL, None)
    if isinstance(wrapper, wrapt.FunctionWrapper):
        setattr(langchain_config, _FILL, wrapper.__wrapped__)
