"""The errors of limits, breakers and budgets."""

from __future__ import annotations

from llmops_sdk.errors._base import LLMOpsError

__all__ = ["BudgetExceededError", "CircuitOpenError", "LimitExceededError"]


class CircuitOpenError(LLMOpsError):
    """The circuit breaker of a model is open, or the model is cooling down after its Retry-After.

    Attributes:
        retry_at: Seconds until the next call is allowed, or None.
        deployment: The model's deployment, or None; with several, the one that is back first.
    """

    def __init__(self, message: str, *, retry_at: float | None = None, deployment: str | None = None) -> None:
        super().__init__(message)
        self.retry_at = retry_at
        self.deployment = deployment


class BudgetExceededError(LLMOpsError):
    """A spending limit is reached.

    Attributes:
        budget: The budget's name.
        per: Who has the budget: "all", "model", "user", "session", "tag" or "run".
        model: The model whose calls alone count, or None for all models.
        key: Whose it is: the user, the session and so on; "" for "all".
        unit: "usd" or "tokens".
        limit: The limit, in that unit.
        left: How much is left, in that unit.
        resets_at: When it starts at zero again, in seconds since the epoch; None for never.
    """

    def __init__(
        self,
        message: str,
        *,
        budget: str | None = None,
        per: str = "all",
        model: str | None = None,
        key: str = "",
        unit: str = "usd",
        limit: float | None = None,
        left: float | None = None,
        resets_at: float | None = None,
    ) -> None:
        super().__init__(message)
        self.budget = budget
        self.per = per
        self.model = model
        self.key = key
        self.unit = unit
        self.limit = limit
        self.left = left
        self.resets_at = resets_at


class LimitExceededError(LLMOpsError):
    """A rate or concurrency limit is reached, and its queue is full or the wait would take too long.

    Attributes:
        limit: The limit: "concurrency", "requests_per_minute" or "tokens_per_minute".
        deployment: The model's deployment, or the name of the decorated function's limit.
        retry_after: Seconds after which a call may pass, or None if unknown.
        waited: Seconds that the call waited in the queue.
    """

    def __init__(
        self,
        message: str,
        *,
        limit: str | None = None,
        deployment: str | None = None,
        retry_after: float | None = None,
        waited: float = 0.0,
    ) -> None:
        super().__init__(message)
        self.limit = limit
        self.deployment = deployment
        self.retry_after = retry_after
        self.waited = waited
