"""BERTScore: each token is matched with the most similar one of the other text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple, overload

from llmops_sdk._util._public import public
from llmops_sdk.evals.metrics._pairs import Reference, checked_pairs
from llmops_sdk.evals.metrics.vectors._token_vectors import TokenEmbedder, token_vectors

__all__ = ["BertScore", "bert_score"]

_BLOCK = 1_024
"""So many tokens are compared with all others at a time, which bounds the memory."""


@public("llmops_sdk.evals.metrics")
class BertScore(NamedTuple):
    """How well the tokens of two texts match, each from -1 to 1."""

    precision: float
    recall: float
    f1: float


@overload
def bert_score(
    predictions: str | Iterable[str],
    references: str | Iterable[Reference],
    *,
    embedder: TokenEmbedder = "static",
    each: Literal[False] = False,
) -> BertScore: ...
@overload
def bert_score(
    predictions: str | Iterable[str],
    references: str | Iterable[Reference],
    *,
    embedder: TokenEmbedder = "static",
    each: Literal[True],
) -> list[BertScore]: ...
def bert_score(
    predictions: str | Iterable[str],
    references: str | Iterable[Reference],
    *,
    embedder: TokenEmbedder = "static",
    each: bool = False,
) -> BertScore | list[BertScore]:
    """Return mean precision, recall and F1 of the tokens that match.

    The last layer is used, without weights by rarity and without rescaling. "static" has one vector for each token,
    whatever stands beside it: its numbers are lower than bert-score's and not comparable with published ones. With
    "sentence-transformers:FOLDER" they are bert-score's own for that model. A text without tokens has the value 0, as
    in bert-score.

    Args:
        predictions: The texts to score, or one text.
        references: For each, the right text or a list of right texts; the one with the best F1 counts.
        embedder: "static", "sentence-transformers:FOLDER", or a function that takes a list of texts and returns for
            each a table with a row a token, or a `TokenVectors`.
        each: Whether to return one value a pair.

    Raises:
        ConfigError: There is no such embedder.
        EmbeddingError: The vectors are not usable.
        MissingDependencyError: numpy or the embedder's library is not installed.
        TypeError: A text is no string.
        ValueError: There are no texts, or the lengths differ.

    Source: Zhang et al., 2020.

    Example:
        >>> from llmops_sdk.evals.metrics import bert_score
        >>> found = bert_score("The parcel arrived.", "The parcel arrived on Monday.")
        >>> round(found.precision, 2), round(found.recall, 2)
        (1.0, 0.72)
    """
    pairs = checked_pairs(predictions, references)
    texts = list(dict.fromkeys([*pairs.predictions, *(one for right in pairs.references for one in right)]))
    tokens = dict(zip(texts, token_vectors(texts, embedder), strict=True))
    found = [
        max((_matched(tokens[text], tokens[one]) for one in right), key=lambda one: one.f1)
        for text, right in zip(pairs.predictions, pairs.references, strict=True)
    ]
    if each:
        return found
    return BertScore(*(sum(column) / len(found) for column in zip(*found, strict=True)))


def _matched(given: tuple[Any, Any], wanted: tuple[Any, Any]) -> BertScore:
    if not given[1].any() or not wanted[1].any():
        return BertScore(0.0, 0.0, 0.0)
    precision, recall = _found_share(given, wanted[0]), _found_share(wanted, given[0])
    both = precision + recall
    return BertScore(precision, recall, 2 * precision * recall / both if both > 0 else 0.0)


def _found_share(tokens: tuple[Any, Any], others: Any) -> float:
    """Return the mean, over the tokens that count, of the cosine with the most similar other token."""
    rows = tokens[0][tokens[1]]
    total = sum(
        float((rows[begin : begin + _BLOCK] @ others.T).max(axis=1).sum()) for begin in range(0, len(rows), _BLOCK)
    )
    return total / len(rows)
