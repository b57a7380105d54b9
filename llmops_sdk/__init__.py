"""Run LLM applications in production: tracing, SQL over traces, retries, caching and guardrails, with no server.

Every public name is imported at its first use (PEP 562), so that `import llmops_sdk` costs next to nothing.

To pytest, which would rewrite the package's asserts because a plugin of its own comes with it: PYTEST_DONT_REWRITE.
"""

from __future__ import annotations

from llmops_sdk import _exit as _exit  # registers with atexit
from llmops_sdk._lazy import lazy_names
from llmops_sdk._version import __version__

TYPE_CHECKING = False  # as in `_lazy`
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
        CassetteError,
        CircuitOpenError,
        ConfigError,
        ContentFilterError,
        ContextWindowError,
        DatasetError,
        EmbeddingError,
        GuardrailViolation,
        IncompleteResponseError,
        JudgeRefusedError,
        LimitExceededError,
        LLMOpsError,
        MissingDependencyError,
        MissingScoreError,
        NotComparableError,
        NotFoundError,
        NotifierError,
        OtlpDecodeError,
        PermissionDeniedError,
        ProviderConnectionError,
        ProviderError,
        ProviderTimeoutError,
        QueryError,
        RateLimitError,
        RealCallBlockedError,
        RegressionError,
        ScriptError,
        ServerError,
        StoreError,
        StreamInterruptedError,
        ToolCallError,
        ValidationFailedError,
        VerdictError,
    )
    from llmops_sdk.evals.cases._eval_case import eval_case
    from llmops_sdk.guardrails import guard
    from llmops_sdk.providers import Attempt, Chunk, Embeddings, Response, ToolCall, Usage
    from llmops_sdk.providers._warm_up import warm_up
    from llmops_sdk.resilience import fallback, retry
    from llmops_sdk.resilience.breaker import breaker
    from llmops_sdk.resilience.budgets import budget
    from llmops_sdk.resilience.hedging import hedge
    from llmops_sdk.resilience.limits import limit
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
    from llmops_sdk.tracing.runtime._executor import Executor
    from llmops_sdk.tracing.runtime._sigterm import flush_on_sigterm

# The module of each public name; `settings` is `current` there.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "caching": "cache",
        "client": "LLM AsyncStream Stream achat aembed astream chat embed llm stream",
        "config": "Settings Timeout configure settings=current",
        "errors": """
            AuthenticationError BadRequestError BudgetExceededError CassetteError CircuitOpenError ConfigError
            ContentFilterError ContextWindowError DatasetError EmbeddingError GuardrailViolation
            IncompleteResponseError JudgeRefusedError LLMOpsError LimitExceededError MissingDependencyError
            MissingScoreError NotComparableError NotFoundError NotifierError OtlpDecodeError
            PermissionDeniedError ProviderConnectionError ProviderError ProviderTimeoutError QueryError RateLimitError
            RealCallBlockedError RegressionError ScriptError ServerError StoreError StreamInterruptedError ToolCallError
            ValidationFailedError VerdictError
        """,
        "evals.cases._eval_case": "eval_case",
        "guardrails": "guard",
        "providers": "Attempt Chunk Embeddings Response ToolCall Usage",
        "providers._warm_up": "warm_up",
        "resilience": "fallback retry",
        "resilience.breaker": "breaker",
        "resilience.budgets": "budget",
        "resilience.hedging": "hedge",
        "resilience.limits": "limit",
        "store": "Result aquery connect query",
        "tracing": """
            FlushReport Span add_redactor aflush context current_span extract flush inject register_encoder score
            shutdown span trace
        """,
        "tracing.runtime._executor": "Executor",
        "tracing.runtime._sigterm": "flush_on_sigterm",
    },
)

__all__ = [
    "LLM",
    "AsyncStream",
    "Attempt",
    "AuthenticationError",
    "BadRequestError",
    "BudgetExceededError",
    "CassetteError",
    "Chunk",
    "CircuitOpenError",
    "ConfigError",
    "ContentFilterError",
    "ContextWindowError",
    "DatasetError",
    "EmbeddingError",
    "Embeddings",
    "Executor",
    "FlushReport",
    "GuardrailViolation",
    "IncompleteResponseError",
    "JudgeRefusedError",
    "LLMOpsError",
    "LimitExceededError",
    "MissingDependencyError",
    "MissingScoreError",
    "NotComparableError",
    "NotFoundError",
    "NotifierError",
    "OtlpDecodeError",
    "PermissionDeniedError",
    "ProviderConnectionError",
    "ProviderError",
    "ProviderTimeoutError",
    "QueryError",
    "RateLimitError",
    "RealCallBlockedError",
    "RegressionError",
    "Response",
    "Result",
    "ScriptError",
    "ServerError",
    "Settings",
    "Span",
    "StoreError",
    "Stream",
    "StreamInterruptedError",
    "Timeout",
    "ToolCall",
    "ToolCallError",
    "Usage",
    "ValidationFailedError",
    "VerdictError",
    "__version__",
    "achat",
    "add_redactor",
    "aembed",
    "aflush",
    "aquery",
    "astream",
    "breaker",
    "budget",
    "cache",
    "chat",
    "configure",
    "connect",
    "context",
    "current_span",
    "embed",
    "eval_case",
    "extract",
    "fallback",
    "flush",
    "flush_on_sigterm",
    "guard",
    "hedge",
    "inject",
    "limit",
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
    "warm_up",
]
