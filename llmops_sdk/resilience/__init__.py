"""Calls that fail and are made again: within a number of attempts, a total deadline, and what the server asks."""

from llmops_sdk.resilience._decorator import retry
from llmops_sdk.resilience._policy import backoff, retryable
from llmops_sdk.resilience._provider import RetryProvider

__all__ = ["RetryProvider", "backoff", "retry", "retryable"]
