"""What a provider says of its rate limits."""

from __future__ import annotations

from dataclasses import dataclass

from llmops_sdk._util._public import public

__all__ = ["RateLimits"]


@public("llmops_sdk.providers")
@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimits:
    """What the provider's rate-limit headers say, as of one answer. Each field is None if no header says it.

    Attributes:
        requests_limit: The most requests, as a rule a minute.
        requests_left: The requests that are left.
        requests_reset_s: Seconds until all of them are there again.
        tokens_limit: The most tokens, as a rule a minute.
        tokens_left: The tokens that are left.
        tokens_reset_s: Seconds until all of them are there again.
    """

    requests_limit: float | None = None
    requests_left: float | None = None
    requests_reset_s: float | None = None
    tokens_limit: float | None = None
    tokens_left: float | None = None
    tokens_reset_s: float | None = None
