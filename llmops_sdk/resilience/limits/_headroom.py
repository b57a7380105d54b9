"""What a provider's rate-limit headers leave."""

from __future__ import annotations

from llmops_sdk.providers import RateLimits

__all__ = ["Headroom"]

_LONGEST_SECONDS = 60.0
"""A reset later than this is that of an hour or a day: after this time one call finds out whether it still holds."""

_SOON = 1e-3
"""Seconds: a shorter time until the reset has no rate that makes sense."""


class _Remaining:
    """An amount that the provider says is left, and that comes back steadily until it says something else."""

    __slots__ = ("_at", "_left", "_most", "_rate", "_until")

    def __init__(self, left: float, most: float | None, reset_s: float, now: float) -> None:
        self._left = left
        self._at = now
        self._until = now + min(reset_s, _LONGEST_SECONDS)
        # A reset is the time until everything is there again. Without the whole amount, nothing comes back before it.
        self._rate = 0.0 if most is None or reset_s < _SOON else max(most - left, 0.0) / reset_s
        self._most = most

    def wait(self, amount: float, now: float) -> float:
        """Return the seconds until the amount is there; 0.0 when it is."""
        if now >= self._until:
            return 0.0
        missing = (amount if self._most is None else min(amount, self._most)) - self._level(now)
        if missing <= 0.0:
            return 0.0
        rest = self._until - now
        return min(missing / self._rate, rest) if self._rate else rest

    def take(self, amount: float, now: float) -> None:
        """Count an amount as used."""
        self._left, self._at = self._level(now) - amount, now

    def _level(self, now: float) -> float:
        return self._left + (now - self._at) * self._rate


class Headroom:
    """Hold calls back that the provider would throttle, by the headers of its latest answer.

    Calls that other processes make count there, too, so this needs no shared state. Requests and tokens are separate.

    Example:
        >>> from llmops_sdk.providers import RateLimits
        >>> from llmops_sdk.resilience.limits._headroom import Headroom
        >>> headroom = Headroom()
        >>> headroom.observe(RateLimits(requests_limit=60, requests_left=1, requests_reset_s=59), now=0.0)
        >>> headroom.take(100.0, now=0.0)
        >>> headroom.wait(100.0, now=0.0)
        ('requests_per_minute', 1.0)
    """

    __slots__ = ("_requests", "_tokens")

    def __init__(self) -> None:
        self._requests: _Remaining | None = None
        self._tokens: _Remaining | None = None

    def observe(self, limits: RateLimits, now: float) -> None:
        """Take the headers of an answer into account; a later answer replaces an earlier one."""
        if limits.requests_left is not None and limits.requests_reset_s is not None:
            self._requests = _Remaining(limits.requests_left, limits.requests_limit, limits.requests_reset_s, now)
        if limits.tokens_left is not None and limits.tokens_reset_s is not None:
            self._tokens = _Remaining(limits.tokens_left, limits.tokens_limit, limits.tokens_reset_s, now)

    def wait(self, tokens: float, now: float) -> tuple[str, float] | None:
        """Return the limit that a call has to wait for, and the seconds; None if it may pass."""
        if self._requests is not None and (seconds := self._requests.wait(1.0, now)):
            return "requests_per_minute", seconds
        if self._tokens is not None and (seconds := self._tokens.wait(max(tokens, 1.0), now)):
            return "tokens_per_minute", seconds
        return None

    def take(self, tokens: float, now: float) -> None:
        """Count a call."""
        if self._requests is not None:
            self._requests.take(1.0, now)
        if self._tokens is not None:
            self._tokens.take(tokens, now)
