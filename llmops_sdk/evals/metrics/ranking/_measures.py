"""Metrics of one ranking, with the values of trec_eval.

All take `ranking, relevance, k=None`. They return None if nothing was judged for the query, so that a caller can count
what was skipped; trec_eval leaves such queries out. If something was judged and nothing is relevant, they return 0, as
trec_eval. An id that a ranking repeats keeps its place, and counts where it stands first (trec_eval refuses it).
"""

from __future__ import annotations

import math

from llmops_sdk.evals.metrics.ranking._judged import Judged, Ranking, Relevance, cutoff, judge

__all__ = [
    "average_precision",
    "bpref",
    "mean_reciprocal_rank",
    "ndcg",
    "precision_at",
    "r_precision",
    "recall_at",
    "success_at",
]


def precision_at(ranking: Ranking, relevance: Relevance, k: int | None = None) -> float | None:
    """Return the share of the first `k` places that have a relevant id, from 0 to 1.

    A ranking with fewer ids is filled up with what is not relevant, as in trec_eval's P_k.

    Args:
        ranking: The ids, the best first; or a mapping of ids to scores, sorted by score and equal scores by id, both
            from the largest down. Scores are compared in single precision.
        relevance: A mapping of ids to gains, where 0 is judged and not relevant; or the relevant ids.
        k: How many places to look at; None takes as many as the ranking has.

    Raises:
        TypeError: An id is no string, or `k` is no integer.
        ValueError: A score or a gain is not finite, or `k` is below 1.

    Source: trec_eval, P and set_P.

    Example:
        >>> from llmops_sdk.evals.metrics import precision_at
        >>> precision_at(["a", "b", "c"], {"a", "c"}, 2)
        0.5
    """
    limit, judged = cutoff(k), judge(ranking, relevance)
    if judged is None:
        return None
    places = len(judged.gains) if limit is None else limit
    return sum(judged.hits[:places]) / places if places else 0.0


def recall_at(ranking: Ranking, relevance: Relevance, k: int | None = None) -> float | None:
    """Return the share of the relevant ids that are among the first `k`, from 0 to 1.

    Args:
        ranking: The ids, the best first; or a mapping of ids to scores, sorted by score and equal scores by id, both
            from the largest down. Scores are compared in single precision.
        relevance: A mapping of ids to gains, where 0 is judged and not relevant; or the relevant ids.
        k: How many places to look at; None takes the whole ranking.

    Raises:
        TypeError: An id is no string, or `k` is no integer.
        ValueError: A score or a gain is not finite, or `k` is below 1.

    Source: trec_eval, recall and set_recall.

    Example:
        >>> from llmops_sdk.evals.metrics import recall_at
        >>> recall_at(["a", "b", "c"], {"a", "c"}, 2)
        0.5
    """
    limit, judged = cutoff(k), judge(ranking, relevance)
    if judged is None:
        return None
    return sum(judged.hits[:limit]) / len(judged.ideal) if judged.ideal else 0.0


def mean_reciprocal_rank(ranking: Ranking, relevance: Relevance, k: int | None = None) -> float | None:
    """Return one divided by the rank of the first relevant id, or 0 if there is none.

    The mean is that of `evaluate_run` over queries; this function takes one.

    Args:
        ranking: The ids, the best first; or a mapping of ids to scores, sorted by score and equal scores by id, both
            from the largest down. Scores are compared in single precision.
        relevance: A mapping of ids to gains, where 0 is judged and not relevant; or the relevant ids.
        k: How many places to look at; None takes the whole ranking.

    Raises:
        TypeError: An id is no string, or `k` is no integer.
        ValueError: A score or a gain is not finite, or `k` is below 1.

    Source: trec_eval, recip_rank.

    Example:
        >>> from llmops_sdk.evals.metrics import mean_reciprocal_rank
        >>> mean_reciprocal_rank(["b", "a"], {"a"})
        0.5
    """
    limit, judged = cutoff(k), judge(ranking, relevance)
    if judged is None:
        return None
    return next((1 / rank for rank, hit in enumerate(judged.hits[:limit], 1) if hit), 0.0)


def ndcg(ranking: Ranking, relevance: Relevance, k: int | None = None) -> float | None:
    """Return the normalised discounted cumulative gain, from 0 to 1.

    The gain is linear, and divided by the logarithm to base 2 of the rank plus one. The ideal is cut at `k` too.

    Args:
        ranking: The ids, the best first; or a mapping of ids to scores, sorted by score and equal scores by id, both
            from the largest down. Scores are compared in single precision.
        relevance: A mapping of ids to gains, where 0 is judged and not relevant; or the relevant ids.
        k: How many places to look at; None takes the whole ranking.

    Raises:
        TypeError: An id is no string, or `k` is no integer.
        ValueError: A score or a gain is not finite, or `k` is below 1.

    Source: Järvelin and Kekäläinen, 2002; trec_eval, ndcg and ndcg_cut.

    Example:
        >>> from llmops_sdk.evals.metrics import ndcg
        >>> round(ndcg(["a", "b", "c"], {"a": 1, "b": 0, "c": 2}), 4)
        0.7602
    """
    limit, judged = cutoff(k), judge(ranking, relevance)
    if judged is None:
        return None
    ideal = _discounted(judged.ideal[:limit])
    return _discounted([gain or 0.0 for gain in judged.gains[:limit]]) / ideal if ideal else 0.0


def average_precision(ranking: Ranking, relevance: Relevance, k: int | None = None) -> float | None:
    """Return the mean, over all relevant ids, of the precision at the place of each; 0 for those not found.

    Args:
        ranking: The ids, the best first; or a mapping of ids to scores, sorted by score and equal scores by id, both
            from the largest down. Scores are compared in single precision.
        relevance: A mapping of ids to gains, where 0 is judged and not relevant; or the relevant ids.
        k: How many places to look at; None takes the whole ranking.

    Raises:
        TypeError: An id is no string, or `k` is no integer.
        ValueError: A score or a gain is not finite, or `k` is below 1.

    Source: trec_eval, map and map_cut.

    Example:
        >>> from llmops_sdk.evals.metrics import average_precision
        >>> round(average_precision(["a", "b", "c"], {"a", "c"}), 4)
        0.8333
    """
    limit, judged = cutoff(k), judge(ranking, relevance)
    if judged is None:
        return None
    found = 0
    parts: list[float] = []
    for rank, hit in enumerate(judged.hits[:limit], 1):
        if hit:
            found += 1
            parts.append(found / rank)
    return math.fsum(parts) / len(judged.ideal) if judged.ideal else 0.0


def success_at(ranking: Ranking, relevance: Relevance, k: int | None = None) -> float | None:
    """Return 1.0 if a relevant id is among the first `k`, else 0.0.

    Args:
        ranking: The ids, the best first; or a mapping of ids to scores, sorted by score and equal scores by id, both
            from the largest down. Scores are compared in single precision.
        relevance: A mapping of ids to gains, where 0 is judged and not relevant; or the relevant ids.
        k: How many places to look at; None takes the whole ranking.

    Raises:
        TypeError: An id is no string, or `k` is no integer.
        ValueError: A score or a gain is not finite, or `k` is below 1.

    Source: trec_eval, success.

    Example:
        >>> from llmops_sdk.evals.metrics import success_at
        >>> success_at(["b", "a"], {"a"}, 1)
        0.0
    """
    limit, judged = cutoff(k), judge(ranking, relevance)
    return None if judged is None else float(any(judged.hits[:limit]))


def r_precision(ranking: Ranking, relevance: Relevance) -> float | None:
    """Return the precision after as many places as there are relevant ids.

    Args:
        ranking: The ids, the best first; or a mapping of ids to scores, sorted by score and equal scores by id, both
            from the largest down. Scores are compared in single precision.
        relevance: A mapping of ids to gains, where 0 is judged and not relevant; or the relevant ids.

    Raises:
        TypeError: An id is no string.
        ValueError: A score or a gain is not finite.

    Source: trec_eval, Rprec.

    Example:
        >>> from llmops_sdk.evals.metrics import r_precision
        >>> r_precision(["a", "b", "c"], {"a", "c"})
        0.5
    """
    judged = judge(ranking, relevance)
    if judged is None:
        return None
    return sum(judged.hits[: len(judged.ideal)]) / len(judged.ideal) if judged.ideal else 0.0


def bpref(ranking: Ranking, relevance: Relevance) -> float | None:
    """Return how rarely ids that were judged and are not relevant stand above relevant ones, from 0 to 1.

    What was not judged does not count, so it suits incomplete judgments. It needs gains of 0 in `relevance`.

    Args:
        ranking: The ids, the best first; or a mapping of ids to scores, sorted by score and equal scores by id, both
            from the largest down. Scores are compared in single precision.
        relevance: A mapping of ids to gains, where 0 is judged and not relevant; or the relevant ids.

    Raises:
        TypeError: An id is no string.
        ValueError: A score or a gain is not finite.

    Source: Buckley and Voorhees, 2004; trec_eval, bpref.

    Example:
        >>> from llmops_sdk.evals.metrics import bpref
        >>> bpref(["a", "b", "c"], {"a": 1, "b": 0, "c": 1, "d": 0})
        0.75
    """
    judged = judge(ranking, relevance)
    if judged is None:
        return None
    return _bpref(judged) if judged.ideal else 0.0


def _discounted(gains: list[float]) -> float:
    return math.fsum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))


def _bpref(judged: Judged) -> float:
    relevant = len(judged.ideal)
    bound = min(relevant, judged.not_relevant)
    above = 0
    parts: list[float] = []
    for gain in judged.gains:
        if gain is None:
            continue
        if gain > 0:
            parts.append(1 - min(above, relevant) / bound if above else 1.0)
        else:
            above += 1
    return math.fsum(parts) / relevant
