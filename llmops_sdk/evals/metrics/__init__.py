"""Pure metrics of texts, rankings, contexts and formats: no model is asked, nothing is stored.

Metrics of texts take `predictions` and `references` of the same length and return the mean over the pairs, or with
`each=True` a list with one value a pair. Two strings are one pair. A reference may be a list of strings: all of them
are right. What is missing (None) is a TypeError, and an empty list a ValueError: no mean is ever NaN.

The extra `evals` installs sacrebleu, rouge-score, rapidfuzz, google-re2 and numpy; each is imported at its first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_sdk._lazy import lazy_names

if TYPE_CHECKING:
    from llmops_sdk.evals.metrics._contexts import context_precision, context_recall
    from llmops_sdk.evals.metrics._corpus import bleu, chrf, ter
    from llmops_sdk.evals.metrics._edits import levenshtein
    from llmops_sdk.evals.metrics._formats import json_valid, matches, matches_schema
    from llmops_sdk.evals.metrics._groundedness import Groundedness, Unsupported, groundedness
    from llmops_sdk.evals.metrics._rouge import RougeScore, rouge
    from llmops_sdk.evals.metrics._words import exact_match, squad_normalised, token_f1
    from llmops_sdk.evals.metrics.ranking._measures import (
        average_precision,
        bpref,
        mean_reciprocal_rank,
        ndcg,
        precision_at,
        r_precision,
        recall_at,
        success_at,
    )
    from llmops_sdk.evals.metrics.ranking._runs import RunScores, evaluate_run
    from llmops_sdk.evals.metrics.vectors._bert_score import BertScore, bert_score
    from llmops_sdk.evals.metrics.vectors._mover_score import mover_score
    from llmops_sdk.evals.metrics.vectors._semantic_similarity import semantic_similarity
    from llmops_sdk.evals.metrics.vectors._token_vectors import TokenVectors

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "vectors._bert_score": "BertScore bert_score",
        "_contexts": "context_precision context_recall",
        "_corpus": "bleu chrf ter",
        "_edits": "levenshtein",
        "_formats": "json_valid matches matches_schema",
        "_groundedness": "Groundedness Unsupported groundedness",
        "vectors._mover_score": "mover_score",
        "ranking._measures": (
            "average_precision bpref mean_reciprocal_rank ndcg precision_at r_precision recall_at success_at"
        ),
        "_rouge": "RougeScore rouge",
        "ranking._runs": "RunScores evaluate_run",
        "vectors._semantic_similarity": "semantic_similarity",
        "vectors._token_vectors": "TokenVectors",
        "_words": "exact_match squad_normalised token_f1",
    },
)

__all__ = [
    "BertScore",
    "Groundedness",
    "RougeScore",
    "RunScores",
    "TokenVectors",
    "Unsupported",
    "average_precision",
    "bert_score",
    "bleu",
    "bpref",
    "chrf",
    "context_precision",
    "context_recall",
    "evaluate_run",
    "exact_match",
    "groundedness",
    "json_valid",
    "levenshtein",
    "matches",
    "matches_schema",
    "mean_reciprocal_rank",
    "mover_score",
    "ndcg",
    "precision_at",
    "r_precision",
    "recall_at",
    "rouge",
    "semantic_similarity",
    "squad_normalised",
    "success_at",
    "ter",
    "token_f1",
]
