"""Ranking metrics over the queries of a run."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from llmops_sdk._util._public import public
from llmops_sdk.evals.metrics.ranking import _measures as ranking_metrics
from llmops_sdk.evals.metrics.ranking._judged import Ranking, Relevance, cutoff

__all__ = ["RunScores", "evaluate_run"]

_DEFAULT = ("average_precision", "mean_reciprocal_rank", "ndcg@10", "precision_at@5", "recall_at@100")
_WITH_CUTOFF = {
    "average_precision": ranking_metrics.average_precision,
    "mean_reciprocal_rank": ranking_metrics.mean_reciprocal_rank,
    "ndcg": ranking_metrics.ndcg,
    "precision_at": ranking_metrics.precision_at,
    "recall_at": ranking_metrics.recall_at,
    "success_at": ranking_metrics.success_at,
}
_WITHOUT_CUTOFF = {"bpref": ranking_metrics.bpref, "r_precision": ranking_metrics.r_precision}


@public("llmops_sdk.evals.metrics")
@dataclass(frozen=True, kw_only=True)
class RunScores:
    """The metrics of a run.

    Attributes:
        means: The mean of each metric over the queries of `per_query`; None if there are none.
        per_query: The metrics of each query.
        not_judged: The queries of the run that have no judgments; they do not count.
        not_answered: The queries that have judgments and no ranking. They count as 0 if `count_missing` was given,
            otherwise they do not count, as in trec_eval.
    """

    means: dict[str, float | None]
    per_query: dict[str, dict[str, float]]
    not_judged: tuple[str, ...]
    not_answered: tuple[str, ...]


def evaluate_run(
    run: Mapping[str, Ranking],
    judgments: Mapping[str, Relevance],
    metrics: Iterable[str] = _DEFAULT,
    *,
    count_missing: bool = False,
) -> RunScores:
    """Return the metrics of a whole run, with the number of queries that were skipped.

    Args:
        run: The ranking of each query.
        judgments: The relevance of each query.
        metrics: The names of ranking metrics, each with an optional cutoff: "ndcg@10", "bpref".
        count_missing: Whether a query without a ranking counts as 0, as with trec_eval's option `-c`.

    Raises:
        TypeError: An id is no string.
        ValueError: There is no such metric, or a score or a gain is not finite.

    Example:
        >>> from llmops_sdk.evals.metrics import evaluate_run
        >>> found = evaluate_run({"q1": ["a", "b"], "q2": ["c"]}, {"q1": {"b"}, "q3": {"d"}}, ["mean_reciprocal_rank"])
        >>> found.means, found.not_judged, found.not_answered
        ({'mean_reciprocal_rank': 0.5}, ('q2',), ('q3',))
    """
    wanted = {name: _metric(name) for name in metrics}
    per_query: dict[str, dict[str, float]] = {}
    not_judged: list[str] = []
    for query, ranking in run.items():
        ids = _kept(ranking)
        values = {name: metric(ids, judgments.get(query, ())) for name, metric in wanted.items()}
        known = {name: value for name, value in values.items() if value is not None}
        if len(known) < len(values):
            not_judged.append(query)
        else:
            per_query[query] = known
    missing = [query for query in judgments if query not in run]
    if count_missing:
        for query in missing:
            values = {name: metric([], judgments[query]) for name, metric in wanted.items()}
            if all(value is not None for value in values.values()):
                per_query[query] = {name: value or 0.0 for name, value in values.items()}
    means = {
        name: math.fsum(one[name] for one in per_query.values()) / len(per_query) if per_query else None
        for name in wanted
    }
    return RunScores(means=means, per_query=per_query, not_judged=tuple(not_judged), not_answered=tuple(missing))


def _kept(ranking: Ranking) -> Ranking:
    """Return a ranking that each metric can read again."""
    return cast("Ranking", ranking) if isinstance(ranking, Mapping) else list(ranking)


def _metric(name: str) -> Callable[[Ranking, Relevance], float | None]:
    plain, mark, number = name.partition("@")
    if not mark and (found := _WITHOUT_CUTOFF.get(plain)):
        return found
    metric = _WITH_CUTOFF.get(plain)
    if metric is None or (mark and not number.isdecimal()):
        names = ", ".join(sorted({*_WITH_CUTOFF, *_WITHOUT_CUTOFF}))
        raise ValueError(f'there is no ranking metric {name!r}: give one of {names}, as in "ndcg" or "ndcg@10"')
    return functools.partial(metric, k=cutoff(int(number))) if mark else metric
