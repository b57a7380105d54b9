"""Retry failed calls within attempts, a budget and a deadline, then fall back to another model.

Each kind of traffic control has a room: `balance`, `breaker`, `budgets`, `hedging`, `limits` and `traffic`.

Doors for other packages: `_budget`, `_open_scopes`.
"""

from llmops_sdk.resilience._decorator import retry
from llmops_sdk.resilience._error_classes import retryable, should_fall_back
from llmops_sdk.resilience._fallback import Candidate, FallbackProvider
from llmops_sdk.resilience._fallback_decorator import fallback
from llmops_sdk.resilience._provider import RetryProvider
from llmops_sdk.resilience._retry_waits import backoff

__all__ = [
    "Candidate",
    "FallbackProvider",
    "RetryProvider",
    "backoff",
    "fallback",
    "retry",
    "retryable",
    "should_fall_back",
]
