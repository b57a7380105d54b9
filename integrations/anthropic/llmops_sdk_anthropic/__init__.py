"""Record the calls of Anthropic's library in the local traces of llmops-sdk.

`instrument()` turns OpenInference's instrumentor on for llmops-sdk. Each call becomes a span below the current span,
with the values of `llmops.context`, and a row of `llm_calls`.
"""

from __future__ import annotations

import threading

from openinference.instrumentation.anthropic import AnthropicInstrumentor
from opentelemetry.instrumentation.dependencies import DependencyConflictError

from llmops_sdk import LLMOpsError
from llmops_sdk.tracing import tracer_provider

__all__ = ["VendorMissingError", "instrument", "uninstrument"]

_lock = threading.Lock()
_turned_on = False


class VendorMissingError(LLMOpsError, ImportError):
    """`anthropic` is not installed, or the instrumentor does not support its version."""


def instrument() -> None:
    """Record every call of Anthropic's library from now on, including calls of existing clients.

    Further calls change nothing. If the application has already turned the same instrumentor on, it stays in charge.

    Raises:
        VendorMissingError: `anthropic` is not installed, or the instrumentor does not support its version.

    Example:
        >>> import llmops_sdk_anthropic
        >>> llmops_sdk_anthropic.instrument()
        >>> llmops_sdk_anthropic.uninstrument()
    """
    global _turned_on
    with _lock:
        instrumentor = AnthropicInstrumentor()
        if instrumentor.is_instrumented_by_opentelemetry:
            return
        try:
            instrumentor.instrument(tracer_provider=tracer_provider(), raise_exception_on_conflict=True)
        except DependencyConflictError as error:
            raise VendorMissingError(
                f"anthropic is missing or has an unsupported version ({error}): "
                'run pip install "llmops-sdk-anthropic[anthropic]"'
            ) from error
        _turned_on = True


def uninstrument() -> None:
    """Stop recording calls. An instrumentor that the application turned on stays on. Further calls change nothing.

    Example:
        >>> import llmops_sdk_anthropic
        >>> llmops_sdk_anthropic.uninstrument()
    """
    global _turned_on
    with _lock:
        if _turned_on:
            AnthropicInstrumentor().uninstrument()
            _turned_on = False
