"""Measure a judge against people: how often it is right, how far it agrees beyond chance, and whether it may gate."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from llmops_sdk._util._public import public
from llmops_sdk.errors import JudgeRefusedError
from llmops_sdk.evals._types import results_of
from llmops_sdk.evals.stats import PPIEstimate, agreement, ppi
from llmops_sdk.stats import Interval, wilson_interval

if TYPE_CHECKING:
    from llmops_sdk.evals._types import ComparableRun, Results

__all__ = ["CorrectedMean", "JudgeReport", "calibrate", "calibrate_by_scores", "corrected_mean", "human_scores"]

ACCURACY_FLOOR = 0.7
CONSISTENCY_FLOOR = 0.8
_FEWEST = 30  # labelled verdicts below which nothing is said about a judge
_GARBAGE = "no verdict"  # a category of its own: it agrees with no label
_SCORES = """SELECT trace_id, value, label
FROM scores WHERE name = $1 AND source = $2 AND trace_id IS NOT NULL ORDER BY time"""


@public("llmops_sdk.evals")
@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeReport:
    """What a judge's verdicts are worth, by labels of people.

    Attributes:
        judge: Its name.
        n: Labelled cases that it judged.
        garbage: How many of them got no verdict that can be read.
        accuracy: Share of the cases with the label that people gave; a case without a verdict is wrong.
        accuracy_interval: The 95 % Wilson interval of the accuracy.
        valid_accuracy: The share among the cases with a verdict, or None without any.
        kappa: Cohen's kappa of judge and people, with `no verdict` as a label, or None where chance explains all.
        pairs: Pairs that the judge saw in both orders.
        order_consistency: Share of these with the same winner in both orders, or None without any.
        confusion: How often people gave the first label and the judge the second.
    """

    judge: str
    n: int
    garbage: int
    accuracy: float
    accuracy_interval: Interval
    valid_accuracy: float | None
    kappa: float | None
    pairs: int
    order_consistency: float | None
    confusion: Mapping[tuple[str, str], int]

    def refusal(self, *, accuracy: float = ACCURACY_FLOOR, order_consistency: float = CONSISTENCY_FLOOR) -> str | None:
        """Return why the judge must not decide about a change, or None if it may.

        High consistency does not mean right, so both floors count. The accuracy is taken at the lower end of its
        interval: few labels are no evidence.

        Args:
            accuracy: The least accuracy.
            order_consistency: The least share of pairs with the same winner in both orders.
        """
        if self.n < _FEWEST:
            return f"{self.n} labelled cases are too few to measure it: label at least {_FEWEST}"
        low = self.accuracy_interval.low
        if low < accuracy:
            return (
                f"its accuracy is {self.accuracy:.3f} on {self.n} labelled cases, at least {low:.3f} with 95 % "
                f"confidence: {accuracy:.2f} are needed"
            )
        if self.order_consistency is not None and self.order_consistency < order_consistency:
            return (
                f"it names the same winner in both orders for {self.order_consistency:.3f} of {self.pairs} pairs: "
                f"{order_consistency:.2f} are needed"
            )
        return None

    def check(self, *, accuracy: float = ACCURACY_FLOOR, order_consistency: float = CONSISTENCY_FLOOR) -> None:
        """Raise if the judge must not decide about a change.

        Args:
            accuracy: As in `refusal`.
            order_consistency: As in `refusal`.

        Raises:
            JudgeRefusedError: A floor is not reached; the message says which, and by how much.
        """
        reason = self.refusal(accuracy=accuracy, order_consistency=order_consistency)
        if reason is not None:
            raise JudgeRefusedError(f"the judge {self.judge} is refused as a gate: {reason}", judge=self.judge)


def calibrate(
    verdicts: Sequence[Hashable | None],
    labels: Sequence[Hashable],
    *,
    judge: str = "judge",
    consistent: Iterable[bool | None] = (),
) -> JudgeReport:
    """Compare a judge's verdicts with the labels that people gave to the same cases.

    Args:
        verdicts: The judge's label of each case; None where it gave no verdict that can be read.
        labels: The label of people for each case, in the same order.
        judge: The judge's name.
        consistent: For pairs, whether both orders had the same winner; None where that is unknown.

    Raises:
        ValueError: The lengths differ, or there is no case.

    Example:
        >>> from llmops_sdk.evals import calibrate
        >>> report = calibrate(["good", "bad", None] * 20, ["good", "bad", "bad"] * 20)
        >>> report.garbage, round(report.accuracy, 3)
        (20, 0.667)
        >>> report.refusal()
        'its accuracy is 0.667 on 60 labelled cases, at least 0.541 with 95 % confidence: 0.70 are needed'
    """
    if len(verdicts) != len(labels) or not labels:
        raise ValueError(
            f"there are {len(verdicts)} verdicts and {len(labels)} labels: give one label for each verdict"
        )
    given = [_GARBAGE if verdict is None else str(verdict) for verdict in verdicts]
    right = [str(label) for label in labels]
    hits = sum(map(str.__eq__, given, right))
    valid = len(given) - given.count(_GARBAGE)
    orders = [one for one in consistent if one is not None]
    confusion: dict[tuple[str, str], int] = {}
    for pair in zip(right, given, strict=True):
        confusion[pair] = confusion.get(pair, 0) + 1
    return JudgeReport(
        judge=judge,
        n=len(given),
        garbage=len(given) - valid,
        accuracy=hits / len(given),
        accuracy_interval=wilson_interval(hits, len(given)),
        valid_accuracy=hits / valid if valid else None,
        kappa=agreement(right, given).kappa,
        pairs=len(orders),
        order_consistency=sum(orders) / len(orders) if orders else None,
        confusion=confusion,
    )


@public("llmops_sdk.evals")
@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectedMean:
    """The mean of a judge's scores, corrected by the labels that people gave to some of the items.

    Attributes:
        scorer: The judge's name.
        corrected: The estimate, with its interval (PPI++).
        failed: Results without a score of the judge; they are left out.
    """

    scorer: str
    corrected: PPIEstimate
    failed: int


class _Judged(NamedTuple):
    """The verdicts on the repeats of one item, and those with a label of people."""

    verdicts: list[float]
    labelled: list[float]
    labels: list[float]


def corrected_mean(results: Results, scorer: str, people: Mapping[str, float]) -> CorrectedMean:
    """Return the mean that people would give, from a judge's scores of all items and labels of some.

    Repeats of an item are averaged: they are not independent, and a label by item id is one label. The items with
    labels must be a random sample of all, or at least not chosen by how good their output is.

    Args:
        results: An experiment or its results.
        scorer: The name of the judge.
        people: The value that people gave, by trace id or item id, on the judge's scale; `human_scores` reads them
            from the store.

    Raises:
        ValueError: Fewer than two items have both a score and a label.
    """
    items: dict[str, _Judged] = {}
    failed = 0
    for result in results_of(results):
        scored = result.scores.get(scorer)
        if scored is None or scored.value is None:
            failed += 1
            continue
        item = items.setdefault(result.item_id, _Judged([], [], []))
        item.verdicts.append(scored.value)
        label = people.get(result.trace_id or "", people.get(result.item_id))
        if label is not None:
            item.labels.append(label)
            item.labelled.append(scored.value)
    known = [item for item in items.values() if item.labels]
    labels = [fmean(item.labels) for item in known]
    verdicts = [fmean(item.labelled) for item in known]
    others = [fmean(item.verdicts) for item in items.values() if not item.labels]
    if len(labels) < 2:
        raise ValueError(
            f"{len(labels)} items have both a score of {scorer} and a label: give labels of people to at least two "
            "(better 50), for instance with llmops.score(name, value, trace_id=...)"
        )
    return CorrectedMean(scorer=scorer, corrected=ppi(labels, verdicts, others), failed=failed)


def human_scores(name: str, *, source: str = "user", path: Any = None) -> dict[str, float]:
    """Return the values that people gave with `llmops.score`, by trace id; the latest of several on one trace.

    Args:
        name: The score's name.
        source: Who gave it; "user" by default.
        path: The store's folder; the configured one by default.

    Raises:
        StoreError: The store cannot be read.
    """
    from llmops_sdk.store import query

    rows = query(_SCORES, [name, source], path=path).rows()
    return {trace_id: value for trace_id, value, _ in rows if value is not None}


def calibrate_by_scores(
    runs: ComparableRun | Iterable[ComparableRun], scorer: str, name: str, *, source: str = "user", path: Any = None
) -> JudgeReport:
    """Compare the verdicts of a judge in experiments with the scores that people gave to the same traces.

    Labels are compared where both sides have one, and else values.

    Args:
        runs: An experiment, or several.
        scorer: The judge's name.
        name: The name of the scores of people, as in `llmops.score(name, value, trace_id=...)`.
        source: Who gave them.
        path: The store's folder; the configured one by default.

    Raises:
        JudgeRefusedError: Nobody has scored a trace that the judge has judged.
        StoreError: The store cannot be read.

    Example:
        >>> import llmops_sdk as llmops
        >>> from llmops_sdk.evals import calibrate_by_scores, evaluate
        >>> judged = evaluate(str.upper, [{"input": text} for text in "ab"], "not_empty", name="u", progress=False)
        >>> for result in judged.results:
        ...     llmops.score("helpful", 1.0, trace_id=result.trace_id)
        >>> _ = llmops.flush()
        >>> calibrate_by_scores(judged, "not_empty", "helpful").accuracy
        1.0
    """
    from llmops_sdk.store import query

    people = {trace: (value, label) for trace, value, label in query(_SCORES, [name, source], path=path).rows()}
    verdicts: list[Hashable | None] = []
    labels: list[Hashable] = []
    several = cast("Iterable[ComparableRun]", [runs] if hasattr(runs, "results") else runs)
    for result in (result for run in several for result in run.results):
        found = result.scores.get(scorer)
        given = people.get(result.trace_id) if result.trace_id is not None else None
        if found is None or given is None or found.status in ("skipped", "not_run"):
            continue
        value, label = given
        by_label = label is not None and (found.label is not None or found.status != "ok")
        labels.append(label if by_label else value)
        verdicts.append(None if found.status != "ok" else found.label if by_label else found.value)
    if not labels:
        raise JudgeRefusedError(
            f"the judge {scorer} is refused as a gate: no trace that it judged has a score {name} of source {source}; "
            "give some with llmops.score(name, value, trace_id=...)",
            judge=scorer,
        )
    return calibrate(verdicts, labels, judge=scorer)
