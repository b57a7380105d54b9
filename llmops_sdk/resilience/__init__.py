"""Make failed calls again within attempts, a budget and a deadline, then fall back to another model.

Doors for other packages: `_budget`.
"""

from llmops_sdk.resilience._decorator import retry
from llmops_sdk.resilience._fallback import Candidate, FallbackProvider
from llmops_sdk.resilience._fallback_decorator import fallback
from llmops_sdk.resilience._policy import avoidable, backoff, retryable
from llmops_sdk.resilience._provider import RetryProvider

__all__ = ["Candidate", "FallbackProvider", "RetryProvider", "avoidable", "backoff", "fallback", "retry", "retryable"]
