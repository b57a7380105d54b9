"""Run a case as often as its verdict needs: a stable one once, one that flickers as often as allowed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from llmops_sdk._util._public import public
from llmops_sdk.errors import ConfigError
from llmops_sdk.evals._types import ItemResult
from llmops_sdk.stats import Interval, wilson_interval

__all__ = ["CaseOutcome", "CaseRun", "CaseVerdict", "checked_repeats", "repeat_case", "verdict_of"]

CaseOutcome: TypeAlias = Literal["pass", "fail", "undecided"]
_MOST_REPEATS = 1_000


@public("llmops_sdk.evals")
@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRun:
    """One run of a case.

    Attributes:
        passed: Whether it passed.
        values: The value of each score that has one.
        reason: Why it did not pass, in a sentence.
        cost: USD of its calls to models, or None where unknown.
        trace_id: Its trace, or None.
        result: The input, the output and the scores, or None.
    """

    passed: bool
    values: dict[str, float]
    reason: str = ""
    cost: float | None = None
    trace_id: str | None = None
    result: ItemResult | None = None


@public("llmops_sdk.evals")
@dataclass(frozen=True, slots=True, kw_only=True)
class CaseVerdict:
    """What the runs of a case say together.

    Attributes:
        outcome: `pass` or `fail` where all runs agree; `undecided` where some passed and some did not.
        runs: The runs, in their order.
        pass_rate: The share of runs that passed.
        interval: The 95 % Wilson interval of the pass rate.
    """

    outcome: CaseOutcome
    runs: tuple[CaseRun, ...]
    pass_rate: float
    interval: Interval

    @property
    def summary(self) -> str:
        """Return the verdict in a line, with the values of each score over the runs."""
        names = list(dict.fromkeys(name for run in self.runs for name in run.values))
        values = "; ".join(
            f"{name} {', '.join(f'{run.values[name]:.3g}' for run in self.runs if name in run.values)}"
            for name in names
        )
        passed = sum(run.passed for run in self.runs)
        rate = f"{passed} of {len(self.runs)} runs passed ({self.interval.low:.2f} to {self.interval.high:.2f})"
        reason = next((run.reason for run in self.runs if not run.passed and run.reason), "")
        return ". ".join(part for part in (rate, values, reason) if part)


def checked_repeats(repeats: object) -> int:
    """Return a number of repeats.

    Raises:
        ConfigError: It is no whole number from 1 to 1,000.
    """
    if not isinstance(repeats, int) or isinstance(repeats, bool) or not 1 <= repeats <= _MOST_REPEATS:
        raise ConfigError(
            f"repeats is {repeats!r:.50}: give a number from 1 to {_MOST_REPEATS}", key="repeats", value=repeats
        )
    return repeats


def repeat_case(
    run: Callable[[int], CaseRun], *, repeats: int, known: bool | None = None, thorough: bool = False
) -> CaseVerdict:
    """Run a case until its verdict is clear.

    The first run is enough where it agrees with what the case has always done. Without such a history two runs that
    agree are enough. Where runs disagree, all repeats run, and the verdict is undecided: averaging would hide that the
    case flickers, and the last run alone would be a draw of the lot.

    Args:
        run: Runs the case; it gets the number of the run, from 0.
        repeats: The most runs, at least 1.
        known: The outcome of all earlier executions of the case, or None.
        thorough: Whether to run all repeats even if the first ones agree, as for a case that has flickered before.
    """
    runs = [run(0)]
    while len(runs) < repeats and (thorough or not _is_clear(runs, known)):
        runs.append(run(len(runs)))
    return verdict_of(runs)


def _is_clear(runs: Sequence[CaseRun], known: bool | None) -> bool:
    if known is None:
        return len(runs) == 2 and runs[0].passed == runs[1].passed
    return len(runs) == 1 and runs[0].passed == known


def verdict_of(runs: Sequence[CaseRun]) -> CaseVerdict:
    """Return what runs of one case say together.

    Args:
        runs: At least one run.
    """
    passed = sum(one.passed for one in runs)
    outcome: CaseOutcome = "pass" if passed == len(runs) else "undecided" if passed else "fail"
    return CaseVerdict(
        outcome=outcome, runs=tuple(runs), pass_rate=passed / len(runs), interval=wilson_interval(passed, len(runs))
    )
