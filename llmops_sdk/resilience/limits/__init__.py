"""Limit concurrency and rates: fair queues, limiters over any shared state, and limits that adapt."""

from llmops_sdk.resilience.limits._decorator import limit

__all__ = ["limit"]
