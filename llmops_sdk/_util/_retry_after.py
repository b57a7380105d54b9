"""Read from response headers how long to wait before a retry."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from math import inf

__all__ = ["retry_after_seconds"]


def retry_after_seconds(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that `retry-after-ms` or `Retry-After` ask to wait: 0 for a past date, None without a request.

    Malformed headers never raise.

    Args:
        headers: The response's headers, by their names in lower case.
        now: Seconds since the epoch, to compare with a date in Retry-After.

    Example:
        >>> from llmops_sdk._util._retry_after import retry_after_seconds
        >>> retry_after_seconds({"retry-after": "1.5"}, now=0), retry_after_seconds({"retry-after-ms": "250"}, now=0)
        (1.5, 0.25)
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1_000
    header = headers.get("retry-after", "")
    seconds = _number(header)
    return _seconds_until(header, now) if seconds is None else seconds


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < inf else None


def _seconds_until(text: str, now: float) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
        # RFC 9110: an HTTP date is in GMT, even without a zone.
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(0.0, moment.timestamp() - now)
    except (ValueError, OverflowError):  # not a date, or a time zone or year out of range
        return None
