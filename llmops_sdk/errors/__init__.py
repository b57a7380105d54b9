"""Define all errors that the SDK raises.

The tree::

    LLMOpsError
    ├── ConfigError                      a setting is unknown, of the wrong type, or unreadable
    ├── ProviderError                    a call to a model failed
    │   ├── AuthenticationError          401: the key is missing or wrong
    │   ├── PermissionDeniedError        402, 403: the key may not do this
    │   ├── RateLimitError               429: too many requests or tokens
    │   ├── BadRequestError              400, 422: the request can never succeed unchanged
    │   │   ├── ContextWindowError       the prompt is longer than the model takes
    │   │   └── ContentFilterError       the provider refused the content
    │   ├── NotFoundError                404: no such model or endpoint
    │   ├── ServerError                  5xx, 529: the provider failed
    │   ├── ProviderConnectionError      no connection, or it was reset
    │   ├── ProviderTimeoutError         (also a TimeoutError) a deadline passed
    │   └── StreamInterruptedError       a stream broke after its first chunk; `.partial`
    │       └── IncompleteResponseError  a stream ended cleanly but without a finish reason
    ├── CircuitOpenError                 the breaker of this model is open
    ├── BudgetExceededError              a spending limit is reached
    ├── LimitExceededError               a rate or concurrency limit is reached
    ├── GuardrailViolation               a guard blocked the input or the output
    ├── ValidationFailedError            the answer does not fit the type asked for
    ├── ToolCallError                    a model's tool call has no function, or its arguments are not valid
    ├── DatasetError                     a data set cannot be made, found, saved or written
    ├── EmbeddingError                   vectors are not usable
    ├── VerdictError                     a judge gave no verdict that can be read
    ├── JudgeRefusedError                a judge is not good enough to decide about a change
    ├── RegressionError                  (also an AssertionError) a change made a score worse
    ├── MissingScoreError                (also a ValueError) a statistic got a missing score
    ├── NotComparableError               two windows were measured in different ways, or have too few samples
    ├── NotifierError                    a notification of an alert could not be sent
    ├── StoreError                       the local store cannot be read or written
    ├── QueryError                       the SQL of a query is not valid or not allowed
    ├── OtlpDecodeError                  a request or a file is not valid OTLP
    ├── MissingDependencyError           (also an ImportError) an optional library is not installed
    ├── CassetteError                    a cassette has no recording of a request, or its file is unreadable
    ├── ScriptError                      a scripted provider in a test has no answer for a call
    └── RealCallBlockedError             a test called a real model inside `block_real_calls()`

All of them pickle, so that they can cross process pools and task queues.
"""

from __future__ import annotations

from llmops_sdk.errors._base import LLMOpsError
from llmops_sdk.errors._base import _rebuild as _rebuild  # pyright: ignore[reportPrivateUsage] - older pickles name it
from llmops_sdk.errors._checks import (
    ConfigError,
    GuardrailViolation,
    MissingDependencyError,
    ToolCallError,
    ValidationFailedError,
)
from llmops_sdk.errors._data import (
    CassetteError,
    DatasetError,
    EmbeddingError,
    MissingScoreError,
    OtlpDecodeError,
    QueryError,
    RealCallBlockedError,
    ScriptError,
    StoreError,
)
from llmops_sdk.errors._evaluation import JudgeRefusedError, RegressionError, VerdictError
from llmops_sdk.errors._monitoring import NotComparableError, NotifierError
from llmops_sdk.errors._provider import (
    AuthenticationError,
    BadRequestError,
    ContentFilterError,
    ContextWindowError,
    IncompleteResponseError,
    NotFoundError,
    PermissionDeniedError,
    ProviderConnectionError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
)
from llmops_sdk.errors._traffic import BudgetExceededError, CircuitOpenError, LimitExceededError

__all__ = [
    "AuthenticationError",
    "BadRequestError",
    "BudgetExceededError",
    "CassetteError",
    "CircuitOpenError",
    "ConfigError",
    "ContentFilterError",
    "ContextWindowError",
    "DatasetError",
    "EmbeddingError",
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
    "ScriptError",
    "ServerError",
    "StoreError",
    "StreamInterruptedError",
    "ToolCallError",
    "ValidationFailedError",
    "VerdictError",
]

for _name in __all__:
    # Tracebacks and pickles name this package, whatever module a class is in.
    globals()[_name].__module__ = __name__
