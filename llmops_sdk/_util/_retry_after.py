"""What a server asks to wait, from the headers of its answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from math import inf

__all__ = ["seconds_asked"]


def seconds_asked(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that `retry-after-ms` or `Retry-After` ask to wait, 0 for a past date; None when they ask for nothing.

    Whatever a server writes there, nothing is raised.

    Args:
        headers: The response's headers, by their names in lower case.
        now: Seconds since the epoch, for a Retry-After that is a date.

    Example:
        >>> from llmops_sdk._util._retry_after import seconds_asked
        >>> seconds_asked({"retry-after": "1.5"}, now=0), seconds_asked({"retry-after-ms": "250"}, now=0)
        (1.5, 0.25)
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1_000
    asked = headers.get("retry-after", "")
    seconds = _number(asked)
    return _seconds_until(asked, now) if seconds is None else seconds


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < inf else None


def _seconds_until(text: str, now: float) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
        # RFC 9110: an HTTP date is in GMT also where it does not say so.
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(0.0, moment.timestamp() - now)
    except (ValueError, OverflowError):  # no date, or a time zone or a year beyond what there can be
        return None
