"""When an output passes: by thresholds, or by what the scorers say themselves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from llmops_sdk.errors import ConfigError
from llmops_sdk.evals._types import ItemResult, ScoreResult
from llmops_sdk.evals.cases._repeats import CaseRun

__all__ = ["PassRule", "checked_threshold"]

_LONGEST = 500  # characters of a reason


def checked_threshold(threshold: object) -> float | dict[str, float] | None:
    """Return a threshold for all scores, or one by scorer.

    Raises:
        ConfigError: It is neither a finite number nor a mapping of names to such numbers.
    """
    if threshold is None:
        return None
    if isinstance(threshold, Mapping):
        return {str(name): _number(value) for name, value in cast("Mapping[Any, Any]", threshold).items()}
    return _number(threshold)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(
            f"threshold is {value!r:.50}: give a number, or a number for each scorer", key="threshold", value=value
        )
    return float(value)


@dataclass(frozen=True, slots=True)
class PassRule:
    """Decides whether a result passes.

    Attributes:
        threshold: The value from which on a score passes, for all scorers or by name; None leaves it to the scorers.
        higher_is_better: By scorer; a scorer that is missing counts as True.
    """

    threshold: float | Mapping[str, float] | None = None
    higher_is_better: Mapping[str, bool] = field(default_factory=dict[str, bool])

    def check_names(self, names: Iterable[str]) -> None:
        """Check that each threshold is for a scorer.

        Args:
            names: The scorers' names.

        Raises:
            ConfigError: One is for another name.
        """
        known = list(names)
        if isinstance(self.threshold, Mapping):
            unknown = next((name for name in self.threshold if name not in known), None)
            if unknown is not None:
                raise ConfigError(
                    f"threshold names {unknown!r:.100}: the scorers are {', '.join(known) or 'none'}",
                    key="threshold",
                    value=unknown,
                )

    def run_of(self, result: ItemResult) -> CaseRun:
        """Return the run of a result: it passes where the task returned and no score is below its threshold.

        A scorer that fails does not pass. One that does not apply has no say. Where a case has scorers, one of them
        must decide.

        Args:
            result: The result, with its scores.
        """
        values = {name: one.value for name, one in result.scores.items() if one.value is not None}
        costs = [cost for cost in (result.cost, *(one.cost for one in result.scores.values())) if cost is not None]
        reason = self._reason(result)
        return CaseRun(
            passed=not reason,
            values=values,
            reason=reason[:_LONGEST],
            cost=math.fsum(costs) if costs else None,
            trace_id=result.trace_id,
            result=result,
        )

    def _reason(self, result: ItemResult) -> str:
        if result.status != "ok":
            return f"{result.error_type}: {result.error}" if result.error_type else f"the task ended as {result.status}"
        found = [self._problem(one) for one in result.scores.values()]
        problems = [one for one in found if one]
        if problems:
            return "; ".join(problems)
        if result.scores and all(one is None for one in found):
            return f"nothing decides whether it passes ({', '.join(result.scores)}): give a threshold"
        return ""

    def limit_of(self, scorer: str) -> float | None:
        """Return the threshold of a scorer, or None.

        Args:
            scorer: Its name.
        """
        return self.threshold.get(scorer) if isinstance(self.threshold, Mapping) else self.threshold

    def _problem(self, score: ScoreResult) -> str | None:
        """Return why a score does not pass, an empty text if it passes, or None if it has no say."""
        if score.status == "skipped":
            return None
        if score.status != "ok":
            return f"{score.scorer} failed: {score.error_type}: {score.error}"
        limit = self.limit_of(score.scorer)
        if limit is not None and score.value is not None:
            higher = self.higher_is_better.get(score.scorer, True)
            if score.value >= limit if higher else score.value <= limit:
                return ""
            return f"{score.scorer} {score.value:.4g} is {'below' if higher else 'above'} {limit:g}{_said(score)}"
        if score.passed is None:
            return None
        shown = score.label if score.value is None else f"{score.value:.4g}"
        return "" if score.passed else f"{score.scorer} {shown} does not pass{_said(score)}"


def _said(score: ScoreResult) -> str:
    return f" ({score.comment[:200]})" if score.comment else ""
