"""Types of strings that settings validate."""

from __future__ import annotations

import re
from typing import Annotated

from annotated_types import Le
from pydantic import AfterValidator, BeforeValidator

__all__ = ["DURATION", "ColumnName", "Duration", "Regex", "parse_duration"]

_UNITS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 7 * 86_400.0}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)([smhdw])")
_LONGEST = 10 * 366 * 86_400.0


def parse_duration(value: object) -> object:
    """Convert a duration such as "5m" or "30d" to seconds; return anything else unchanged.

    Args:
        value: A text of a number and one of the units s, m, h, d and w; or what is not a text.

    Example:
        >>> parse_duration("90s"), parse_duration("1.5h"), parse_duration(7)
        (90.0, 5400.0, 7.0)
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str):
        return value
    found = _DURATION.fullmatch(value.strip())
    return float(found[1]) * _UNITS[found[2]] if found else value


DURATION = BeforeValidator(parse_duration)
Duration = Annotated[float, DURATION, Le(_LONGEST)]
"""Seconds; a file may write "5m", "1h" or "30d"."""


def _regex(text: str) -> str:
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise ValueError(f"a regular expression ({error})") from None
    if pattern.match(""):
        raise ValueError("a regular expression that does not match the empty text")
    return text


Regex = Annotated[str, AfterValidator(_regex)]


def _identifier(name: str) -> str:
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", name):
        raise ValueError("a column name: lower-case letters, digits and _, not starting with a digit")
    return name


ColumnName = Annotated[str, AfterValidator(_identifier)]
