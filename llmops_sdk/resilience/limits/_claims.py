"""What a call claims from the shared state, by the settings of its limits."""

from __future__ import annotations

from llmops_sdk.config import LimitSettings
from llmops_sdk.shared._state import Bucket, Claim, Slots

__all__ = ["Claims"]

_BURST = 0.1


class Claims:
    """The slots and buckets of one limiter.

    A bucket holds a burst of a tenth of a minute's amount, and fills so much more slowly that no window of 60 seconds
    passes more than the limit, the first one included. A call with more tokens than the burst may pass when the bucket
    is full; the rest is a debt that the next calls wait for.

    Args:
        name: The deployment or function.
        settings: The limits.
        concurrency: The limit on concurrency in force, or None.

    Attributes:
        slots: The slots, or None.
        requests: What one request takes, or None.
        tokens: The bucket of tokens, for no tokens, or None.
        fixed: What every call claims.
    """

    __slots__ = ("fixed", "requests", "slots", "tokens")

    def __init__(self, name: str, settings: LimitSettings, concurrency: int | None) -> None:
        self.slots = None if concurrency is None else Slots(f"limit/{name}/concurrency", concurrency)
        self.requests = _bucket(f"limit/{name}/requests_per_minute", 1.0, settings.requests_per_minute)
        self.tokens = _bucket(f"limit/{name}/tokens_per_minute", 0.0, settings.tokens_per_minute)
        self.fixed: tuple[Claim, ...] = tuple(one for one in (self.slots, self.requests) if one is not None)

    def of_call(self, tokens: float) -> tuple[Claim, ...]:
        """Return what a call with these tokens claims."""
        if self.tokens is None or tokens <= 0:
            return self.fixed
        return (*self.fixed, self.of_tokens(min(tokens, self.tokens.capacity)))

    def of_tokens(self, tokens: float) -> Bucket:
        """Return an amount of tokens: to claim, or as a correction."""
        assert self.tokens is not None
        return Bucket(self.tokens.key, tokens, self.tokens.rate, self.tokens.capacity)

    def debt(self, tokens: float) -> Bucket:
        """Return what a call with more tokens than the bucket holds takes from those that come back later."""
        assert self.tokens is not None
        return self.of_tokens(self.tokens.capacity - tokens)


def _bucket(key: str, amount: float, per_minute: float | None) -> Bucket | None:
    if per_minute is None:
        return None
    capacity = 1.0 + _BURST * max(per_minute - 1.0, 0.0)
    # In less than 60 seconds pass at most capacity + 60·rate, and the one of the window's first instant counts once.
    return Bucket(key, amount, (per_minute - capacity + 1.0) / 60.0, capacity)
