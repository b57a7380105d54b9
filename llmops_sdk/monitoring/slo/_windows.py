"""The pairs of windows that watch an error budget, and whether they can ever fire."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from llmops_sdk.errors import ConfigError

__all__ = ["BurnWindow", "burn_windows", "check_reachable", "exhaustion", "time_to_fire"]

_DAY = 86_400
_REFERENCE = 30 * _DAY
# Share of the budget, long window, short window, severity.
_PAIRS: tuple[tuple[float, int, int, Literal["page", "ticket"]], ...] = (
    (0.02, 3_600, 300, "page"),
    (0.05, 21_600, 1_800, "page"),
    (0.10, 86_400, 7_200, "ticket"),
    (0.10, 259_200, 21_600, "ticket"),
)
_ALPHA = {"page": 1e-3, "ticket": 1e-2}


@dataclass(frozen=True, slots=True)
class BurnWindow:
    """A pair of windows.

    Attributes:
        budget: The share of the period's budget that an alert stands for.
        long: Seconds of the long window.
        short: Seconds of the short window, which ends the alert soon after the fault.
        burn: The burn rate that both must reach: bad share / (1 - objective).
        severity: "page" or "ticket".
        alpha: The chance up to which so many failures at the objective's own rate count as surprising.
    """

    budget: float
    long: int
    short: int
    burn: float
    severity: Literal["page", "ticket"]
    alpha: float


def burn_windows(period: float) -> tuple[BurnWindow, ...]:
    """Return the windows for a period, the most urgent first.

    A period of less than a week has shorter windows. A window of more than an eighth of the period is left out: its
    alert would come when the budget is nearly used.

    Args:
        period: The period of the objective, in seconds.

    Example:
        >>> [round(one.burn, 4) for one in burn_windows(28 * 86_400)]
        [13.44, 5.6, 2.8, 0.9333]

    Source: B. Beyer and others, "The Site Reliability Workbook" (2018), chapter 5.
    """
    scale = 1.0 if period >= 7 * _DAY else period / _REFERENCE
    found: list[BurnWindow] = []
    for budget, long, short, severity in _PAIRS:
        long_s = max(round(long * scale / 60) * 60, 300)
        short_s = max(round(short * scale / 60) * 60, 60)
        if long_s * 8 <= period or not found:
            found.append(BurnWindow(budget, long_s, short_s, budget * period / long_s, severity, _ALPHA[severity]))
    return tuple(found)


def check_reachable(name: str, objective: float, windows: tuple[BurnWindow, ...]) -> None:
    """Refuse an objective whose windows can never fire: even if all calls fail, the burn rate is 1 / (1 - objective).

    Args:
        name: The objective's name.
        objective: The share of good calls.
        windows: The windows.

    Raises:
        ConfigError: A window can never fire; the message says what to do.
    """
    most = 1 / (1 - objective)
    for one in windows:
        if one.burn >= most - 1e-9:
            least = 1 - 1 / one.burn
            raise ConfigError(
                f'slo.{name}: the window of {one.long // 60} minutes can never fire: it needs a burn rate of '
                f"{one.burn:.3g}, and with objective = {objective:g} even an outage has {most:.3g}. "
                f'Set basis = "events" in [slo.{name}], or an objective above {least:.3f}; '
                "`llmops alerts test --fix` prints the table",
                key=f"slo.{name}.objective", value=objective,
            )  # fmt: skip


def time_to_fire(window: BurnWindow, objective: float, bad_share: float) -> float:
    """Return the seconds from the start of a fault until the long window reaches its burn rate.

    Args:
        window: The window.
        objective: The share of good calls.
        bad_share: The share of bad calls during the fault.

    Example:
        >>> round(time_to_fire(burn_windows(30 * 86_400)[0], 0.999, 1.0) / 60, 3)
        0.864
    """
    return window.burn * (1 - objective) * window.long / bad_share


def exhaustion(period: float, objective: float, bad_share: float) -> float:
    """Return the seconds until a whole budget is used at a constant share of bad calls.

    Args:
        period: The period, in seconds.
        objective: The share of good calls.
        bad_share: The share of bad calls, above 0.

    Example:
        >>> round(exhaustion(30 * 86_400, 0.999, 1.0) / 3_600, 3)
        0.72
    """
    return period * (1 - objective) / bad_share
