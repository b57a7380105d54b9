"""Write figures in reasons, the same way everywhere."""

from __future__ import annotations

__all__ = ["duration", "number", "share"]


def number(value: float) -> str:
    """Return a number with at most four significant digits, without an exponent where that is short."""
    if value == int(value) and abs(value) < 1e12:
        return f"{int(value):,}"
    return f"{value:,.4g}" if abs(value) < 1e6 else f"{value:,.0f}"


def share(value: float) -> str:
    """Return a share as a percentage.

    Example:
        >>> share(0.0312)
        '3.12 %'
    """
    return f"{value * 100:.3g} %"


def duration(seconds: float) -> str:
    """Return a time span in its largest whole unit.

    Example:
        >>> duration(21_600), duration(90)
        ('6h', '90s')
    """
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size and seconds % size == 0:
            return f"{int(seconds // size)}{unit}"
    return f"{seconds:g}s"
