"""Compare the outputs of two experiments pair by pair with a judge."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from llmops_sdk._util._public import public
from llmops_sdk.evals._blocking import run_blocking
from llmops_sdk.evals._types import Case, ItemResult, Results, results_of
from llmops_sdk.evals.judges._pairs import PairJudge, Preference
from llmops_sdk.stats import Interval, wilson_interval

if TYPE_CHECKING:
    from llmops_sdk.evals.judges._calibration import JudgeReport

__all__ = ["PairwiseResult", "apairwise", "pairwise", "preferences_result"]

_CHANCE = 0.5
_ALPHA = 0.05


@public("llmops_sdk.evals")
@dataclass(frozen=True, slots=True, kw_only=True)
class PairwiseResult:
    """How often a judge prefers the outputs of one experiment to those of another.

    Attributes:
        judge: The judge's name.
        n: Pairs with a verdict.
        win_rate: The mean of 1 for a win of b, 0.5 for a tie and 0 for a win of a; None without a verdict.
        interval: Its 95 % interval, from 0 to 1, or None with fewer than two items.
        p_value: Two-sided, against a win rate of 0.5, or None with fewer than two items.
        verdict: `better` or `worse` for b where the interval is on one side of 0.5 and the p-value is at most 0.05;
            else `undecided`.
        wins, ties, losses: Pairs that b won, tied and lost.
        garbage: Pairs without a verdict that can be read.
        failed: Pairs for which the judge's model could not be called.
        order_consistency: Share of the pairs with the same winner in both orders, or None.
        first_share: Of the verdicts that name a winner, the share for the output that stood first; 0.5 without bias.
        only_in_a, only_in_b: Ids of the items that only one experiment has an output for.
        preferences: The preferences, one a pair.
    """

    judge: str
    n: int
    win_rate: float | None
    interval: Interval | None
    p_value: float | None
    verdict: Literal["better", "worse", "undecided"]
    wins: int
    ties: int
    losses: int
    garbage: int
    failed: int
    order_consistency: float | None
    first_share: float | None
    only_in_a: tuple[str, ...]
    only_in_b: tuple[str, ...]
    preferences: tuple[Preference, ...]

    def calibrate(self, people: Mapping[str, str]) -> JudgeReport:
        """Compare the preferences with those of people.

        Args:
            people: `a`, `b` or `tie` by item id.

        Raises:
            ValueError: No pair has a label.
        """
        from llmops_sdk.evals.judges._calibration import calibrate

        known = [one for one in self.preferences if one.item_id in people and one.error_type in (None, "VerdictError")]
        return calibrate(
            [one.winner for one in known],
            [people[one.item_id] for one in known],
            judge=self.judge,
            consistent=[one.consistent for one in self.preferences],
        )


async def apairwise(a: Results, b: Results, judge: PairJudge, *, concurrency: int = 8) -> PairwiseResult:
    """Let a judge compare the outputs of two experiments, item by item.

    A pair is an item and a repeat for which both have an output. A judge that fails on one pair does not stop the rest.

    Args:
        a: The one experiment or its results, such as the old version.
        b: The other.
        judge: The judge.
        concurrency: How many pairs are judged at once.

    Returns:
        The win rate of b with its interval, the judge's consistency, and every preference.
    """
    if concurrency < 1:
        raise ValueError(f"concurrency is {concurrency}: give at least 1")
    first, second = (
        {(one.item_id, one.repeat): one for one in results if one.status == "ok"}
        for results in (results_of(a), results_of(b))
    )
    slots = asyncio.Semaphore(concurrency)

    async def prefer(key: tuple[str, int]) -> Preference:
        async with slots:
            return await judge.prefer(_case(first[key]), _case(second[key]))

    keys = [key for key in first if key in second]
    # One failing call is a row, not the end of the comparison.
    answers = await asyncio.gather(*map(prefer, keys), return_exceptions=True)
    found = [_answered(judge, key, answer) for key, answer in zip(keys, answers, strict=True)]
    only = [tuple(dict.fromkeys(key[0] for key in mine if key not in other))
            for mine, other in ((first, second), (second, first))]  # fmt: skip
    return preferences_result(judge.name, found, only_in_a=only[0], only_in_b=only[1])


def _answered(judge: PairJudge, key: tuple[str, int], answer: Preference | BaseException) -> Preference:
    if isinstance(answer, Preference):
        return answer
    if not isinstance(answer, Exception):
        raise answer
    return Preference(
        item_id=key[0], repeat=key[1], winner=None, value=None, first=judge.first_of(*key), verdicts=(),
        consistent=None, error_type=type(answer).__name__, error=str(answer),
    )  # fmt: skip


def pairwise(a: Results, b: Results, judge: PairJudge, *, concurrency: int = 8) -> PairwiseResult:
    """Let a judge compare the outputs of two experiments, item by item; `apairwise` for synchronous code.

    Args:
        a: The one experiment or its results, such as the old version.
        b: The other.
        judge: The judge.
        concurrency: How many pairs are judged at once.

    Returns:
        The win rate of b with its interval, the judge's consistency, and every preference.

    Example:
        >>> from llmops_sdk.evals import ItemResult, PairJudge, pairwise
        >>> from llmops_sdk.testing import ScriptedProvider, use_provider
        >>> old, new = ([ItemResult(item_id="1", status="ok", input="2 + 2?", output=text)] for text in ("5", "4"))
        >>> with use_provider(ScriptedProvider(["Verdict: tie"], repeat=True)):
        ...     result = pairwise(old, new, PairJudge())
        >>> result.ties, result.verdict
        (1, 'undecided')
    """
    return run_blocking(lambda: apairwise(a, b, judge, concurrency=concurrency))


def preferences_result(
    judge: str, found: Sequence[Preference], *, only_in_a: Sequence[str] = (), only_in_b: Sequence[str] = ()
) -> PairwiseResult:
    """Return the result of preferences that were gathered in whatever way.

    Args:
        judge: The judge's name.
        found: The preferences. Repeats of one item count as one cluster.
        only_in_a: Ids of items without a partner.
        only_in_b: Ids of items without a partner.
    """
    from llmops_sdk.evals.stats import paired_difference

    given = [one for one in found if one.value is not None]
    values = [one.value for one in given if one.value is not None]
    clusters = [one.item_id for one in given]
    repeated = len(set(clusters)) < len(clusters)
    interval = p_value = None
    if len(set(clusters)) > 1:
        against = paired_difference([_CHANCE] * len(values), values, clusters if repeated else None)
        interval = Interval(*(min(1.0, max(0.0, _CHANCE + end)) for end in against.interval))
        p_value = against.p_value
        if len(set(values)) == 1:
            # Equal values have no spread to take an interval from, and are no proof that the next one is equal.
            items = len(set(clusters))
            interval = wilson_interval(values[0] * items, items)
    orders = [one.consistent for one in given if one.consistent is not None]
    named = [(winner, order) for one in found for winner, order in _orders(one)]
    winners = [one.winner for one in given]
    return PairwiseResult(
        judge=judge,
        n=len(given),
        win_rate=sum(values) / len(values) if values else None,
        interval=interval,
        p_value=p_value,
        verdict=_verdict(interval, p_value),
        wins=winners.count("b"),
        ties=winners.count("tie"),
        losses=winners.count("a"),
        garbage=sum(one.error_type == "VerdictError" for one in found),
        failed=sum(one.error_type not in (None, "VerdictError") for one in found),
        order_consistency=sum(orders) / len(orders) if orders else None,
        first_share=sum(winner == order for winner, order in named) / len(named) if named else None,
        only_in_a=tuple(only_in_a),
        only_in_b=tuple(only_in_b),
        preferences=tuple(found),
    )


def _verdict(interval: Interval | None, p_value: float | None) -> Literal["better", "worse", "undecided"]:
    if interval is None or p_value is None or p_value > _ALPHA or interval.low <= _CHANCE <= interval.high:
        return "undecided"
    return "better" if interval.low > _CHANCE else "worse"


def _orders(one: Preference) -> list[tuple[str, str]]:
    """Return each winner that a verdict names, with the output that stood first then."""
    orders = (one.first, "a" if one.first == "b" else "b")
    return [(winner, order) for winner, order in zip(one.verdicts, orders, strict=False) if winner in ("a", "b")]


def _case(result: ItemResult) -> Case:
    return Case(
        item_id=result.item_id, input=result.input, output=result.output, expected=result.expected,
        metadata=result.metadata, repeat=result.repeat, trace_id=result.trace_id,
    )  # fmt: skip
