"""The calls of Anthropic's library in the local traces of llmops-sdk.

`instrument()` turns OpenInference's instrumentor on for the pipeline of llmops-sdk: each call becomes a span below the
current one, a row of `llm_calls` like every other, with what `llmops.context` says.
"""

from __future__ import annotations

import threading

from openinference.instrumentation.anthropic import AnthropicInstrumentor
from opentelemetry.instrumentation.dependencies import DependencyConflictError

from llmops_sdk import LLMOpsError
from llmops_sdk.tracing import tracer_provider

__all__ = ["VendorMissingError", "instrument", "uninstrument"]

_lock = threading.Lock()
_ours = False


class VendorMissingError(LLMOpsError, ImportError):
    """The library `anthropic` is not installed, or not in a version that can be instrumented."""


def instrument() -> None:
    """Record every call of Anthropic's library from now on, by clients that exist already too.

    Calling it again changes nothing. Where the application turned the same instrumentor on itself, that stays as it is.

    Raises:
        VendorMissingError: `anthropic` is not installed, or not in a version that can be instrumented.

    Example:
        >>> import llmops_sdk_anthropic
        >>> llmops_sdk_anthropic.instrument()
        >>> llmops_sdk_anthropic.uninstrument()
    """
    global _ours
    with _lock:
        instrumentor = AnthropicInstrumentor()
        if instrumentor.is_instrumented_by_opentelemetry:
            return
        try:
            instrumentor.instrument(tracer_provider=tracer_provider(), raise_exception_on_conflict=True)
        except DependencyConflictError as error:
            raise VendorMissingError(
                f'anthropic cannot be instrumented ({error}): pip install "llmops-sdk-anthropic[anthropic]"'
            ) from error
        _ours = True


def uninstrument() -> None:
    """Record no further calls. What the application turned on itself stays on; calling it again changes nothing.

    Example:
        >>> import llmops_sdk_anthropic
        >>> llmops_sdk_anthropic.uninstrument()
    """
    global _ours
    with _lock:
        if _ours:
            AnthropicInstrumentor().uninstrument()
            _ours = False
