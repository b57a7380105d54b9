"""The pairs of windows that watch an error budget.

Source: B. Beyer and others, "The Site Reliability Workbook" (2018), chapter 5.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BurnWindow", "burn_windows"]

_DAY = 86_400
_REFERENCE = 30 * _DAY
_PAIRS = (
    (0.02, 3_600, 300, "page"),
    (0.05, 21_600, 1_800, "page"),
    (0.10, 86_400, 7_200, "ticket"),
    (0.10, 259_200, 21_600, "ticket"),
)
"""Share of the budget, long window, short window, severity."""


@dataclass(frozen=True, slots=True)
class BurnWindow:
    """A pair of windows: an alert fires when the burn rate of both is at least `burn`."""

    budget: float
    long: int
    short: int
    burn: float
    severity: str


def burn_windows(period: float) -> tuple[BurnWindow, ...]:
    """Return the windows for a period in seconds, the most urgent first.

    Example:
        >>> [round(one.burn, 4) for one in burn_windows(28 * 86_400)]
        [13.44, 5.6, 2.8, 0.9333]
    """
    scale = 1.0 if period >= 7 * _DAY else period / _REFERENCE
    found: list[BurnWindow] = []
    for budget, long, short, severity in _PAIRS:
        long_s = max(round(long * scale / 60) * 60, 300)
        short_s = max(round(short * scale / 60) * 60, 60)
        if long_s * 8 <= period or not found:
            found.append(BurnWindow(budget, long_s, short_s, budget * period / long_s, severity))
    return tuple(found)
