"""Run LLM applications in production: tracing, SQL over traces, retries, caching and guardrails, with no server.

Every public name is imported at its first use (PEP 562), so that `import llmops_sdk` costs next to nothing.

To pytest, which would rewrite the package's asserts because a plugin of its own comes with it: PYTEST_DONT_REWRITE.
"""

from __future__ import annotations

import atexit
import sys
from typing import TYPE_CHECKING, Any

from llmops_sdk._version import __version__

if TYPE_CHECKING:
    from llmops_sdk.caching import cache
    from llmops_sdk.client import (
        LLM,
        AsyncStream,
        Stream,
        achat,
        aembed,
        astream,
        chat,
        embed,
        llm,
        stream,
    )
    from llmops_sdk.config import Settings, Timeout, configure
    from llmops_sdk.config import current as settings
    from llmops_sdk.errors import (
        AuthenticationError,
        BadRequestError,
        BudgetExceededError,
        CircuitOpenError,
        ConfigError,
        ContentFilterError,
        ContextWindowError,
        GuardrailViolation,
        IncompleteResponseError,
        LimitExceededError,
        LLMOpsError,
        NotFoundError,
        PermissionDeniedError,
        ProviderConnectionError,
        ProviderError,
        ProviderTimeoutError,
        QueryError,
        RateLimitError,
        ServerError,
        StoreError,
        StreamInterruptedError,
        ValidationFailedError,
    )
    from llmops_sdk.guardrails import guard
    from llmops_sdk.providers import Attempt, Chunk, Embeddings, Response, ToolCall, Usage
    from llmops_sdk.resilience import fallback, retry
    from llmops_sdk.store import Result, aquery, connect, query
    from llmops_sdk.tracing import (
        FlushReport,
        Span,
        add_redactor,
        aflush,
        context,
        current_span,
        extract,
        flush,
        inject,
        register_encoder,
        score,
        shutdown,
        span,
        trace,
    )
    from llmops_sdk.tracing._executor import Executor
    from llmops_sdk.tracing._sigterm import flush_on_sigterm

# Where each public name lives, and its name there where that differs.
_HOMES: dict[str, str] = {
    **dict.fromkeys(("cache",), "caching"),
    **dict.fromkeys(
        ("LLM", "AsyncStream", "Stream", "achat", "aembed", "astream", "chat", "embed", "llm", "stream"), "client"
    ),
    **dict.fromkeys(("Settings", "Timeout", "configure", "settings"), "config"),
    **dict.fromkeys(
        (
            "AuthenticationError",
            "BadRequestError",
            "BudgetExceededError",
            "CircuitOpenError",
            "ConfigError",
            "ContentFilterError",
            "ContextWindowError",
            "GuardrailViolation",
            "IncompleteResponseError",
            "LLMOpsError",
            "LimitExceededError",
            "NotFoundError",
            "PermissionDeniedError",
            "ProviderConnectionError",
            "ProviderError",
            "ProviderTimeoutError",
            "QueryError",
            "RateLimitError",
            "ServerError",
            "StoreError",
            "StreamInterruptedError",
            "ValidationFailedError",
        ),
        "errors",
    ),
    **dict.fromkeys(("guard",), "guardrails"),
    **dict.fromkeys(("Attempt", "Chunk", "Embeddings", "Response", "ToolCall", "Usage"), "providers"),
    **dict.fromkeys(("fallback", "retry"), "resilience"),
    **dict.fromkeys(("Result", "aquery", "connect", "query"), "store"),
    **dict.fromkeys(
        (
            "FlushReport",
            "Span",
            "add_redactor",
            "aflush",
            "context",
            "current_span",
            "extract",
            "flush",
            "inject",
            "register_encoder",
            "score",
            "shutdown",
            "span",
            "trace",
        ),
        "tracing",
    ),
    # By themselves: what they import is for those who use them.
    "Executor": "tracing._executor",
    "flush_on_sigterm": "tracing._sigterm",
}
_RENAMED = {"settings": "current"}

__all__ = [
    "LLM",
    "AsyncStream",
    "Attempt",
    "AuthenticationError",
    "BadRequestError",
    "BudgetExceededError",
    "Chunk",
    "CircuitOpenError",
    "ConfigError",
    "ContentFilterError",
    "ContextWindowError",
    "Embeddings",
    "Executor",
    "FlushReport",
    "GuardrailViolation",
    "IncompleteResponseError",
    "LLMOpsError",
    "LimitExceededError",
    "NotFoundError",
    "PermissionDeniedError",
    "ProviderConnectionError",
    "ProviderError",
    "ProviderTimeoutError",
    "QueryError",
    "RateLimitError",
    "Response",
    "Result",
    "ServerError",
    "Settings",
    "Span",
    "StoreError",
    "Stream",
    "StreamInterruptedError",
    "Timeout",
    "ToolCall",
    "Usage",
    "ValidationFailedError",
    "__version__",
    "achat",
    "add_redactor",
    "aembed",
    "aflush",
    "aquery",
    "astream",
    "cache",
    "chat",
    "configure",
    "connect",
    "context",
    "current_span",
    "embed",
    "extract",
    "fallback",
    "flush",
    "flush_on_sigterm",
    "guard",
    "inject",
    "llm",
    "query",
    "register_encoder",
    "retry",
    "score",
    "settings",
    "shutdown",
    "span",
    "stream",
    "trace",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(f"{__name__}.{home}"), _RENAMED.get(name, name))
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


def _at_exit() -> None:
    runtime = sys.modules.get(f"{__name__}.tracing._runtime")
    if runtime is not None:
        runtime.end_process()


# At the import, not at the first use: `atexit` calls the latest first, so that what an application registers after it
# has imported this package comes before it, be it the first use of all.
atexit.register(_at_exit)
