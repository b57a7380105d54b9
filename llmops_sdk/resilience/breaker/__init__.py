"""Stop calling what has failed several times in a row: the circuit breaker, as a policy and as a decorator."""

from llmops_sdk.resilience.breaker._decorator import breaker

__all__ = ["breaker"]
