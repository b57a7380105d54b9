"""`Comparison`: what changed between two experiments, a row a scorer and slice."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from llmops_sdk._util._public import public
from llmops_sdk.errors import ConfigError, RegressionError
from llmops_sdk.evals._text_table import as_html, text_table
from llmops_sdk.evals._types import ComparableRun, ItemResult
from llmops_sdk.evals.comparing._order import order_warnings
from llmops_sdk.evals.comparing._pairing import TASK_FAILED, ClusterBy, Pairs, cluster_function, pair_scores
from llmops_sdk.evals.comparing._slicing import slice_results
from llmops_sdk.stats import Interval, benjamini_hochberg, holm, minimum_detectable_effect, paired_difference

__all__ = ["Comparison", "ComparisonRow", "Correction", "beyond_margin", "compare"]

Verdict: TypeAlias = Literal["better", "worse", "undecided"]
Correction: TypeAlias = Literal["holm", "bh", "none"]
Method: TypeAlias = Literal["auto", "mcnemar", "t", "bootstrap", "permutation"]

_FEWEST = 2  # pairs, for an interval
_MOST_IDS = 10  # that a warning lists
_ADJUST = {"holm": holm, "bh": benjamini_hochberg}


@public("llmops_sdk.evals")
@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRow:
    """How one score changed from the first experiment to the second.

    Attributes:
        scorer: The scorer's name.
        slice: The part of the data, as in `language=de`, or an empty text for all items.
        n: Items with a value in both.
        n_a_only, n_b_only: Items that both ran and that have a value in one only; they are in no mean.
        failed_a, failed_b: Repeats without a value because the task or the scorer failed.
        mean_a, mean_b: The means over the `n` items, or None without any.
        difference: `mean_b - mean_a`, or None.
        interval: Its confidence interval, or None with fewer than two items.
        p_value: Two-sided, against no difference, or None.
        p_adjusted: The p-value adjusted for the number of rows, or None.
        verdict: `better` or `worse` where the adjusted p-value is at most alpha; else `undecided`.
        mde: The smallest difference that so many items of this spread show with 80 % power, or None.
        clusters: The number of independent groups; `n` without groups.
        method: What gave the interval and the p-value.
        worst_case: The range of differences that the failed repeats could hide, or None.
        higher_is_better: Whether a positive difference is an improvement.
    """

    scorer: str
    slice: str = ""
    n: int
    n_a_only: int = 0
    n_b_only: int = 0
    failed_a: int = 0
    failed_b: int = 0
    mean_a: float | None = None
    mean_b: float | None = None
    difference: float | None = None
    interval: Interval | None = None
    p_value: float | None = None
    p_adjusted: float | None = None
    verdict: Verdict = "undecided"
    mde: float | None = None
    clusters: int = 0
    method: str = ""
    worst_case: Interval | None = None
    higher_is_better: bool = True

    @property
    def loss(self) -> float | None:
        """Return how much worse the second experiment is, in the score's unit; negative where it is better."""
        if self.difference is None:
            return None
        return -self.difference if self.higher_is_better else self.difference

    @property
    def loss_interval(self) -> Interval | None:
        """Return the interval of `loss`."""
        if self.interval is None:
            return None
        low, high = self.interval
        return Interval(-high, -low) if self.higher_is_better else self.interval


@public("llmops_sdk.evals")
@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What changed from a first experiment to a second one, on the items that both have.

    Attributes:
        a, b: The names of the experiments, as in `answers/4f2c…`.
        rows: A row a scorer and slice.
        only_in_a, only_in_b: Ids of the items that only one experiment has. They are in no row.
        warnings: What a reader must know, such as an order of the items that carries information.
        alpha: The chance of any false verdict among the rows.
        correction: How the p-values were adjusted for their number.
        judges: The scorers that are judges.
        pairs: The paired values by row, for plots and sequential gates.
    """

    a: str
    b: str
    rows: tuple[ComparisonRow, ...]
    only_in_a: tuple[str, ...] = ()
    only_in_b: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    alpha: float = 0.05
    correction: Correction = "holm"
    judges: tuple[str, ...] = ()
    pairs: tuple[Pairs, ...] = ()

    def __iter__(self) -> Any:
        return iter(self.rows)

    def __repr__(self) -> str:
        """Return what is compared, and the verdicts."""
        return f"Comparison({self.a} -> {self.b}: {', '.join(f'{_title(row)} {row.verdict}' for row in self.rows)})"

    def __str__(self) -> str:
        """Return the rows as a table, with the warnings."""
        names = ("n", "mean_a", "mean_b", "difference", "interval", "p_adjusted", "verdict", "mde")
        columns = ("scorer", *names)
        rows = [(_title(row), *(getattr(row, name) for name in names)) for row in self.rows]
        return f"{self.a} -> {self.b}\n{text_table(columns, rows, self.warnings)}"

    def _repr_html_(self) -> str:
        """Return the rows for a notebook."""
        return as_html(str(self))

    def row(self, scorer: str, slice: str = "") -> ComparisonRow:  # noqa: A002 - the field's word
        """Return the row of a scorer.

        Args:
            scorer: The scorer's name.
            slice: The slice, or an empty text for all items.

        Raises:
            KeyError: There is no such row.
        """
        for row in self.rows:
            if (row.scorer, row.slice) == (scorer, slice):
                return row
        known = ", ".join(sorted({row.scorer for row in self.rows})) or "none"
        raise KeyError(f"the comparison has no row of {scorer!r} for slice {slice!r}; its scorers are {known}")

    def regressions(self, margin: float = 0.0) -> list[ComparisonRow]:
        """Return the rows that became worse by more than the margin, beyond chance.

        Args:
            margin: The loss that is acceptable, in the score's unit; at least 0.
        """
        if not 0 <= margin < math.inf:
            raise ConfigError(f"margin is {margin}: give 0 or more", key="margin", value=margin)
        return [row for row, beyond in zip(self.rows, beyond_margin(self, margin), strict=True) if beyond]

    def assert_no_regression(self, margin: float = 0.0) -> None:
        """Raise if a score became worse by more than the margin, beyond chance.

        Without any real change it raises in at most the share alpha of all comparisons, however many scorers and
        slices there are. It does not prove that nothing became worse: a row may be undecided, and `mde` says how large
        a loss it could have missed. `gate` with `rule="non_inferiority"` asks for that proof.

        Args:
            margin: The loss that is acceptable, in the score's unit; at least 0.

        Raises:
            RegressionError: At least one row became worse; the message has them. It is an `AssertionError`, too.
            ConfigError: No item has a score in both experiments.
        """
        if not any(row.n for row in self.rows):
            raise ConfigError(f"{self.a} and {self.b} have no item with a score in both: there is nothing to compare")
        found = self.regressions(margin)
        if not found:
            return
        lines = [
            f"{_title(row)}: {row.mean_a:.4g} -> {row.mean_b:.4g}, difference {row.difference:+.4g} "
            f"[{row.interval.low:+.4g}, {row.interval.high:+.4g}], adjusted p {row.p_adjusted:.2g}, n {row.n}"
            for row in found
            if row.interval is not None
        ]
        raise RegressionError(
            f"{self.b} is worse than {self.a}" + (f" by more than {margin:g}" if margin else "") + ":\n  "
            + "\n  ".join(lines),
            scorers=tuple(dict.fromkeys(row.scorer for row in found)),
        )  # fmt: skip


def beyond_margin(comparison: Comparison, margin: float) -> list[bool]:
    """Return for each row whether it became worse by more than the margin, beyond chance.

    The p-values against a loss of the margin are adjusted for the number of rows, as those against no loss are: else
    one of many scores that lost just what is acceptable would soon be found worse.

    Args:
        comparison: The comparison.
        margin: The loss that is acceptable, at least 0.
    """
    found = [
        row.verdict == "worse" and (not margin or (row.loss_interval is not None and row.loss_interval.low > margin))
        for row in comparison.rows
    ]
    if not margin or not any(found) or not comparison.pairs:
        return found
    p_values = [
        1.0 if row.p_value is None else _margin_p_value(row, pairs, margin)
        for row, pairs in zip(comparison.rows, comparison.pairs, strict=True)
    ]
    adjust = _ADJUST.get(comparison.correction)
    adjusted = p_values if adjust is None else adjust(p_values)
    return [one and p_value <= comparison.alpha for one, p_value in zip(found, adjusted, strict=True)]


def _margin_p_value(row: ComparisonRow, pairs: Pairs, margin: float) -> float:
    shift = -margin if row.higher_is_better else margin
    p_value = paired_difference([value + shift for value in pairs.a], pairs.b, pairs.clusters).p_value
    return p_value if row.loss is not None and row.loss > margin else 1.0


def _title(row: ComparisonRow) -> str:
    return f"{row.scorer} ({row.slice})" if row.slice else row.scorer


def compare(
    a: ComparableRun,
    b: ComparableRun,
    *,
    by: ClusterBy = None,
    slices: Iterable[str] = (),
    alpha: float = 0.05,
    correction: Correction = "holm",
    method: Method = "auto",
    scorers: Iterable[str] | None = None,
    seed: int = 0,
) -> Comparison:
    """Compare two experiments, item by item.

    Args:
        a: The first experiment, the baseline.
        b: The second one.
        by: What items share that are not independent: a metadata key, or a function of a result. By default the key
            `cluster`, if every item has it.
        slices: Metadata keys; each of their values gives rows of its own.
        alpha: The chance of any false verdict among all rows.
        correction: "holm" keeps that chance for all rows together; "bh" bounds the share of false verdicts among the
            verdicts; "none" leaves the p-values.
        method: As in `stats.paired_difference`.
        scorers: The scorers to compare; by default those that both have.
        seed: For "bootstrap" and "permutation".

    Where a task failed there is also a row `task_failed`, the share of its runs that failed.

    Raises:
        ConfigError: The experiments have no scorer in common, an item lacks a key, or an argument is not valid.
    """
    if not 0 < alpha < 1:
        raise ConfigError(f"alpha is {alpha}: give a number above 0 and below 1", key="alpha", value=alpha)
    chosen = _scorers(a, b, scorers)
    old_ids, new_ids = ({result.item_id: None for result in each.results} for each in (a, b))
    shared = [result for result in a.results if result.item_id in new_ids]
    other = [result for result in b.results if result.item_id in old_ids]
    cluster = cluster_function(by, shared)
    if scorers is None and any(result.status in ("error", "timeout") for result in (*shared, *other)):
        chosen.append(TASK_FAILED)
    parts = slice_results(shared, other, slices, scorers=len(chosen))
    paired = [(scorer, title, pair_scores(scorer, old, new, cluster)) for title, old, new in parts for scorer in chosen]
    rows = [
        _row(scorer, title, pairs, higher=_higher(scorer, b), alpha=alpha, method=method, seed=seed)
        for scorer, title, pairs in paired
    ]
    return Comparison(
        a=f"{a.name}/{a.id[:8]}",
        b=f"{b.name}/{b.id[:8]}",
        rows=tuple(_adjusted(rows, correction, alpha)),
        only_in_a=tuple(item for item in old_ids if item not in new_ids),
        only_in_b=tuple(item for item in new_ids if item not in old_ids),
        warnings=tuple(_warnings(a, b, shared, other, paired[0][2], clustered=cluster is not None)),
        alpha=alpha,
        correction=correction,
        judges=tuple(name for name in chosen if b.scorers.get(name, {}).get("kind") == "judge"),
        pairs=tuple(pairs for _, _, pairs in paired),
    )


def _higher(scorer: str, run: ComparableRun) -> bool:
    return scorer != TASK_FAILED and bool(run.scorers.get(scorer, {}).get("higher_is_better", True))


def _scorers(a: ComparableRun, b: ComparableRun, asked: Iterable[str] | None) -> list[str]:
    for each in (a, b):
        if not hasattr(each, "results"):
            raise ConfigError(f"{each!r:.100} is no experiment: read a stored one with Experiment.load(name_or_id)")
    common = [scorer for scorer in a.scorers if scorer in b.scorers]
    if isinstance(asked, str):
        raise ConfigError(f"scorers is {asked!r}: give a list of names", key="scorers", value=asked)
    chosen = common if asked is None else list(asked)
    unknown = [scorer for scorer in chosen if scorer not in common]
    if unknown or not chosen:
        have = "; ".join(f"{each.name} has {', '.join(each.scorers) or 'none'}" for each in (a, b))
        missing = f"{unknown[0]!r} is not a scorer of both" if unknown else "no scorer is in both experiments"
        raise ConfigError(f"{missing}: {have}", key="scorers", value=unknown)
    return chosen


def _row(
    scorer: str, title: str, pairs: Pairs, *, higher: bool, alpha: float, method: Method, seed: int
) -> ComparisonRow:
    n = len(pairs.ids)
    row = ComparisonRow(
        scorer=scorer, slice=title, n=n, n_a_only=len(pairs.only_a), n_b_only=len(pairs.only_b),
        failed_a=pairs.failed_a, failed_b=pairs.failed_b, clusters=n, worst_case=pairs.worst_case,
        higher_is_better=higher,
    )  # fmt: skip
    if not n:
        return row
    mean_a, mean_b = sum(pairs.a) / n, sum(pairs.b) / n
    row = replace(row, mean_a=mean_a, mean_b=mean_b, difference=mean_b - mean_a)
    groups = n if pairs.clusters is None else len(set(pairs.clusters))
    if groups < _FEWEST:
        return replace(row, clusters=groups)
    found = paired_difference(pairs.a, pairs.b, pairs.clusters, method=method, confidence=1 - alpha, seed=seed)
    spread = found.standard_error * n**0.5
    return replace(
        row,
        interval=found.interval,
        p_value=found.p_value,
        mde=minimum_detectable_effect(n, sd=spread, alpha=alpha) if spread > 0 else None,
        clusters=found.clusters,
        method=found.method,
    )


def _adjusted(rows: Sequence[ComparisonRow], correction: Correction, alpha: float) -> list[ComparisonRow]:
    if correction not in ("holm", "bh", "none"):
        raise ConfigError(f"correction is {correction!r}: give 'holm', 'bh' or 'none'", key="correction")
    p_values = [row.p_value for row in rows if row.p_value is not None]
    adjust = _ADJUST.get(correction)
    adjusted = iter(adjust(p_values) if adjust is not None and p_values else p_values)
    found: list[ComparisonRow] = []
    for row in rows:
        if row.p_value is None or row.difference is None:
            found.append(row)
            continue
        p_adjusted = next(adjusted)
        verdict: Verdict = "undecided"
        if p_adjusted <= alpha and row.difference:
            verdict = "better" if (row.difference > 0) == row.higher_is_better else "worse"
        found.append(replace(row, p_adjusted=p_adjusted, verdict=verdict))
    return found


def _warnings(
    a: ComparableRun,
    b: ComparableRun,
    shared: Sequence[ItemResult],
    other: Sequence[ItemResult],
    whole: Pairs,
    *,
    clustered: bool,
) -> list[str]:
    found: list[str] = []
    if not shared:
        found.append("the experiments have no item in common: items are the same if their ids are")
    elif a.dataset_version != b.dataset_version:
        found.append("the data sets differ: only the items that both have are compared")
    found += _edited(shared, other)
    found += [
        f"{each.name}/{each.id[:8]} is {each.status} ({each.reason}): it lacks items"
        for each in (a, b)
        if each.status != "completed"
    ]
    changed = [name for name in a.scorers if name in b.scorers and dict(a.scorers[name]) != dict(b.scorers[name])]
    if changed:
        found.append(f"scorers that changed between the experiments: {', '.join(changed)}; their values do not compare")
    if not clustered:
        first = {result.item_id: result.expected for result in shared}
        differences = [new - old for old, new in zip(whole.a, whole.b, strict=True)]
        found += order_warnings(list(first.values()), differences)
    return found


def _edited(shared: Sequence[ItemResult], other: Sequence[ItemResult]) -> list[str]:
    """Return a warning of the items whose content is another one in the second experiment."""
    # A run that was stored without content has None.
    content = {result.item_id: (result.input, result.expected) for result in shared if result.input is not None}
    ids = [
        one.item_id
        for one in {result.item_id: result for result in other if result.input is not None}.values()
        if one.item_id in content and content[one.item_id] != (one.input, one.expected)
    ]
    if not ids:
        return []
    more = f" and {len(ids) - _MOST_IDS} more" if len(ids) > _MOST_IDS else ""
    listed = ", ".join(ids[:_MOST_IDS]) + more
    return [f"{len(ids)} of the items have another input or expected output in the second experiment: {listed}"]
