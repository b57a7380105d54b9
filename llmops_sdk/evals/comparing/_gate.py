"""Gates: whether a change may go on, with an answer that does not flake."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from llmops_sdk._util._public import public
from llmops_sdk.errors import ConfigError
from llmops_sdk.evals.comparing._comparison import Comparison, ComparisonRow, beyond_margin
from llmops_sdk.evals.comparing._pairing import Pairs
from llmops_sdk.stats import EProcess

if TYPE_CHECKING:
    from llmops_sdk.evals.judges._calibration import JudgeReport

__all__ = ["GateResult", "GateRow", "Rule", "gate"]

Rule = Literal["regression", "non_inferiority", "sequential"]
Outcome = Literal["pass", "fail", "undecided"]
_EXIT = {"pass": 0, "fail": 1, "undecided": 2}
_TOLERANCE = 1e-9


@public("llmops_sdk.evals")
@dataclass(frozen=True, slots=True, kw_only=True)
class GateRow:
    """What a gate says about one row of a comparison.

    Attributes:
        scorer: The scorer's name.
        slice: The slice, or an empty text for all items.
        outcome: `pass`, `fail` or `undecided`.
        reason: Why, in a sentence.
    """

    scorer: str
    slice: str
    outcome: Outcome
    reason: str


@public("llmops_sdk.evals")
@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """Whether a change may go on.

    Attributes:
        outcome: `fail` if a row fails, else `undecided` if a row is, else `pass`.
        rows: What the gate says about each row.
        rule: The rule.
        margin: The loss that is acceptable.
        alpha: The chance that a change without any loss beyond the margin fails.
    """

    outcome: Outcome
    rows: tuple[GateRow, ...]
    rule: Rule
    margin: float
    alpha: float

    @property
    def exit_code(self) -> int:
        """Return 0 for `pass`, 1 for `fail`, 2 for `undecided`."""
        return _EXIT[self.outcome]


def gate(
    comparison: Comparison,
    *,
    rule: Rule = "regression",
    margin: float = 0.0,
    scorers: Iterable[str] | None = None,
    judges: Mapping[str, JudgeReport] | None = None,
    uncalibrated: Literal["refuse", "allow"] = "refuse",
    seed: int = 0,
) -> GateResult:
    """Decide about a change by a comparison of its scores with those of a baseline.

    The rules:

    - "regression": fails where a score is worse by more than the margin, beyond chance. It passes otherwise, and says
      which loss it would have missed. Use it where most changes are harmless.
    - "non_inferiority": passes only where a loss larger than the margin is ruled out; else it is undecided, or fails
      like "regression". It needs a margin above 0. Use it before a change that must do no harm.
    - "sequential": like "regression", by an e-process over the items in a shuffled order. Its chance of a false
      failure holds also if you run the gate again whenever more items are there. Scores lie between 0 and 1.

    A row without any pair is undecided, as nothing is known about it, and by the first two rules also one with fewer
    than two independent items.

    Args:
        comparison: The comparison of the baseline with the change.
        rule: One of the rules above.
        margin: The loss that is acceptable, in the unit of the scores; at least 0.
        scorers: The scorers that count; by default all of the comparison.
        judges: For scorers that are judges, their reports by `calibrate`. The row of a judge below the floors of
            `JudgeReport.refusal` is undecided.
        uncalibrated: Whether judges without a report decide: "refuse" leaves their rows undecided, "allow" does not.
        seed: Of the shuffled order.

    Returns:
        The outcome with a reason for each row.

    Raises:
        ConfigError: An argument is not valid, or no row counts.

    Example:
        >>> from llmops_sdk.evals import Comparison, ComparisonRow, gate
        >>> row = ComparisonRow(scorer="exact", n=200, difference=-0.01, p_adjusted=0.6, mde=0.05, clusters=200)
        >>> gate(Comparison(a="old", b="new", rows=(row,))).rows[0].reason
        'no loss beyond chance; a loss of 0.05 would have shown in 80 % of such comparisons'
    """
    _check(rule, margin)
    kept = _kept(comparison, scorers)
    alpha = comparison.alpha / _family(rule, kept)
    beyond = dict(zip(map(id, comparison.rows), beyond_margin(comparison, margin), strict=True))
    rows: list[GateRow] = []
    for row, pairs in kept:
        refused = _refusal(row.scorer, comparison, judges or {}, allowed=uncalibrated == "allow")
        if refused is not None:
            rows.append(_said(row, "undecided", f"the judge is refused as a gate: {refused}"))
        elif rule == "sequential" and row.n:
            rows.append(_sequential(row, pairs, margin, alpha, seed))
        else:
            rows.append(_decide(row, rule, margin, fails=beyond[id(row)]))
    return GateResult(outcome=_worst(rows), rows=tuple(rows), rule=rule, margin=margin, alpha=comparison.alpha)


def _worst(rows: Iterable[GateRow]) -> Outcome:
    outcomes = {row.outcome for row in rows}
    return "fail" if "fail" in outcomes else "undecided" if "undecided" in outcomes else "pass"


def _check(rule: str, margin: float) -> None:
    if rule not in ("regression", "non_inferiority", "sequential"):
        raise ConfigError(
            f"rule is {rule!r}: give 'regression', 'non_inferiority' or 'sequential'", key="rule", value=rule
        )
    if not 0 <= margin < math.inf or (rule == "non_inferiority" and not margin):
        least = "above 0 for this rule" if rule == "non_inferiority" else "0 or more"
        raise ConfigError(f"margin is {margin}: give a number {least}", key="margin", value=margin)


def _refusal(name: str, comparison: Comparison, judges: Mapping[str, JudgeReport], *, allowed: bool) -> str | None:
    """Return why a scorer must not decide, or None: only a judge can be refused."""
    report = judges.get(name)
    if report is not None:
        return report.refusal()
    if name in comparison.judges and not allowed:
        return "it is not calibrated; give judges= with its report by `calibrate`, or uncalibrated='allow'"
    return None


def _kept(comparison: Comparison, scorers: Iterable[str] | None) -> list[tuple[ComparisonRow, Pairs | None]]:
    """Return the rows that count, with their paired values."""
    chosen = None if scorers is None else set(scorers)
    pairs: Sequence[Pairs | None] = comparison.pairs or [None] * len(comparison.rows)
    kept = [each for each in zip(comparison.rows, pairs, strict=True) if chosen is None or each[0].scorer in chosen]
    if not kept:
        have = ", ".join(row.scorer for row in comparison.rows) or "none"
        raise ConfigError(f"no row counts for the gate: the scorers of the comparison are {have}", key="scorers")
    return kept


def _family(rule: Rule, kept: list[tuple[ComparisonRow, Pairs | None]]) -> int:
    # The other rules use p-values and intervals that the comparison has adjusted already.
    return len(kept) if rule == "sequential" else 1


def _decide(row: ComparisonRow, rule: Rule, margin: float, *, fails: bool) -> GateRow:
    if not row.n:
        return _said(row, "undecided", "no item has a score in both experiments")
    if row.p_adjusted is None:
        return _said(row, "undecided", "fewer than two independent items")
    interval = row.loss_interval
    if fails:
        return _said(row, "fail", f"worse by {row.loss:.4g}, adjusted p {row.p_adjusted:.2g}")
    if rule == "non_inferiority":
        if interval is None:
            return _said(row, "undecided", "fewer than two independent items")
        if interval.high < margin:
            return _said(row, "pass", f"a loss of {interval.high:.4g} or more is ruled out; the margin is {margin:g}")
        return _said(
            row, "undecided", f"a loss of up to {max(interval.high, 0):.4g} is possible; the margin is {margin:g}"
        )
    # A loss that is surely there, and not surely beyond the margin.
    within = f"worse by {row.loss:.4g}, within the margin of {margin:g}" if row.verdict == "worse" else None
    seen = "" if row.mde is None else f"; a loss of {row.mde:.2g} would have shown in 80 % of such comparisons"
    return _said(row, "pass", within or f"no loss beyond chance{seen}")


def _sequential(row: ComparisonRow, pairs: Pairs | None, margin: float, alpha: float, seed: int) -> GateRow:
    if pairs is None:
        raise ConfigError("the comparison has no paired values: make it with `compare`")
    losses = _losses(pairs, higher=row.higher_is_better)
    outside = [loss for loss in losses.values() if abs(loss) > 1 + _TOLERANCE]
    if outside:
        raise ConfigError(
            f"the sequential rule needs scores between 0 and 1: {row.scorer} has a difference of {outside[0]:g}; scale "
            "it, or use another rule",
            key="rule",
        )
    process = EProcess(null=margin, alternative="greater")
    for name in sorted(losses, key=lambda name: hashlib.sha256(f"{seed}\0{name}".encode()).digest()):
        process.update(min(1.0, max(-1.0, losses[name])))
    if process.rejects(alpha):
        return _said(row, "fail", f"worse by {row.loss:.4g}, e-value {min(process.e_value, 1e300):.3g}")
    return _said(row, "pass", f"no loss beyond chance so far: e-value {process.e_value:.3g} of {1 / alpha:.3g}")


def _losses(pairs: Pairs, *, higher: bool) -> dict[str, float]:
    """Return the loss of each independent group: items of one cluster count once."""
    groups: dict[str, list[float]] = {}
    clusters = pairs.ids if pairs.clusters is None else pairs.clusters
    for name, old, new in zip(clusters, pairs.a, pairs.b, strict=True):
        groups.setdefault(repr(name), []).append(old - new if higher else new - old)
    return {name: sum(values) / len(values) for name, values in groups.items()}


def _said(row: ComparisonRow, outcome: Outcome, reason: str) -> GateRow:
    return GateRow(scorer=row.scorer, slice=row.slice, outcome=outcome, reason=reason)
