"""What a user can get wrong on the command line, besides what typer checks itself."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

__all__ = ["UsageError", "parse_age"]

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class UsageError(ValueError):
    """The command line is wrong: exit status 2."""


def parse_age(text: str | None) -> datetime | None:
    """The moment that lies `text` ago, as naive UTC like the store's times; None for None.

    Raises:
        UsageError: `text` is not a number with one of the units s, m, h, d, w, or lies before year 1.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text.strip())
    if match is None:
        raise UsageError(f'"{text}" is no age: write a number and a unit, as in 90s, 30m, 2h, 7d or 4w')
    try:
        return datetime.now(UTC).replace(tzinfo=None) - timedelta(**{_UNITS[match[2]]: float(match[1])})
    except OverflowError as error:
        raise UsageError(f'"{text}" lies too far back') from error
