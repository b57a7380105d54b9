"""Read the rate-limit headers of OpenAI, Azure and the many servers that copy them, and of Anthropic."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import astuple
from datetime import UTC, datetime

from llmops_sdk.providers.traffic import RateLimits

__all__ = ["read_rate_limits"]

_MAX_TEXT = 40
_MOST = 1e12
_LONGEST_SECONDS = 86_400.0

_DURATION = re.compile(
    r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6}(?:\.\d{1,12})?)s)?(?:(\d{1,9}(?:\.\d{1,12})?)ms)?"
)
_UNITS = (86_400.0, 3_600.0, 60.0, 1.0, 0.001)


def read_rate_limits(headers: Mapping[str, str], now: float) -> RateLimits | None:
    """Return what the headers say, or None if they say nothing. Malformed values count as absent.

    Args:
        headers: The response's headers; the names are in lower case or looked up without regard to case.
        now: Seconds since the epoch, to compare with a reset that is a time.

    Example:
        >>> from llmops_sdk.providers.litellm.wire._rate_limits import read_rate_limits
        >>> found = read_rate_limits({"x-ratelimit-remaining-tokens": "9", "x-ratelimit-reset-tokens": "1m0.5s"}, 0.0)
        >>> found.tokens_left, found.tokens_reset_s
        (9.0, 60.5)
    """
    found = RateLimits(
        requests_limit=_amount(headers, "x-ratelimit-limit-requests", "anthropic-ratelimit-requests-limit"),
        requests_left=_amount(headers, "x-ratelimit-remaining-requests", "anthropic-ratelimit-requests-remaining"),
        requests_reset_s=_reset(headers, now, "x-ratelimit-reset-requests", "anthropic-ratelimit-requests-reset"),
        tokens_limit=_amount(headers, "x-ratelimit-limit-tokens", "anthropic-ratelimit-tokens-limit"),
        tokens_left=_amount(headers, "x-ratelimit-remaining-tokens", "anthropic-ratelimit-tokens-remaining"),
        tokens_reset_s=_reset(headers, now, "x-ratelimit-reset-tokens", "anthropic-ratelimit-tokens-reset"),
    )
    return None if astuple(found) == (None,) * 6 else found


def _amount(headers: Mapping[str, str], *names: str) -> float | None:
    for name in names:
        if (text := headers.get(name)) is not None and len(text) <= _MAX_TEXT:
            return _number(text, _MOST)
    return None


def _reset(headers: Mapping[str, str], now: float, *names: str) -> float | None:
    for name in names:
        if (text := headers.get(name)) is not None and len(text) <= _MAX_TEXT:
            return _seconds(text.strip(), now)
    return None


def _seconds(text: str, now: float) -> float | None:
    """Return the seconds of "6m0s", "120ms", "1.5" or of an RFC 3339 time."""
    plain = _number(text, math.inf)
    if plain is None and text and (match := _DURATION.fullmatch(text)) is not None:
        plain = sum(float(part) * unit for part, unit in zip(match.groups(), _UNITS, strict=True) if part)
    if plain is None:
        try:
            moment = datetime.fromisoformat(text)
            plain = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now
        except (ValueError, OverflowError):
            return None
    return min(max(plain, 0.0), _LONGEST_SECONDS)


def _number(text: str, most: float) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return min(value, most) if 0.0 <= value < math.inf else None
