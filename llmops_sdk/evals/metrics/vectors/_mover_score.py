"""MoverScore: how little the tokens of one text must be moved to become those of the other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, overload

from llmops_sdk._util._optional import require
from llmops_sdk.evals.metrics._pairs import Reference, checked_pairs, mean_or_each
from llmops_sdk.evals.metrics.vectors._token_vectors import TokenEmbedder, token_vectors
from llmops_sdk.evals.metrics.vectors._transport import cheapest_transport

__all__ = ["mover_score"]

_MOST_TOKENS = 256
"""The exact transport takes cubic time: some 0.5 s for two texts of this many tokens."""


@overload
def mover_score(
    predictions: str | Iterable[str],
    references: str | Iterable[Reference],
    *,
    embedder: TokenEmbedder = "static",
    each: Literal[False] = False,
) -> float: ...
@overload
def mover_score(
    predictions: str | Iterable[str],
    references: str | Iterable[Reference],
    *,
    embedder: TokenEmbedder = "static",
    each: Literal[True],
) -> list[float]: ...
def mover_score(
    predictions: str | Iterable[str],
    references: str | Iterable[Reference],
    *,
    embedder: TokenEmbedder = "static",
    each: bool = False,
) -> float | list[float]:
    """Return one minus the mean distance that the tokens must move, from -1 to 1; 1 for texts of the same tokens.

    Each token has the same weight, and the distance is the Euclidean one of vectors of unit length. The published
    MoverScore weighs words by rarity in the corpus and averages five layers of a model: its numbers differ. The first
    256 tokens of a text count. A text without tokens has the value 0.

    Args:
        predictions: The texts to score, or one text.
        references: For each, the right text or a list of right texts; the nearest counts.
        embedder: As in `bert_score`.
        each: Whether to return one value a pair.

    Raises:
        ConfigError: There is no such embedder.
        EmbeddingError: The vectors are not usable.
        MissingDependencyError: numpy or the embedder's library is not installed.
        TypeError: A text is no string.
        ValueError: There are no texts, or the lengths differ.

    Source: Zhao et al., 2019; Kusner et al., 2015 (word mover's distance).

    Example:
        >>> from llmops_sdk.evals.metrics import mover_score
        >>> mover_score("on Monday it arrived", "it arrived on Monday")
        1.0
    """
    np = require("numpy", extra="evals", purpose="mover_score")
    pairs = checked_pairs(predictions, references)
    texts = list(dict.fromkeys([*pairs.predictions, *(one for right in pairs.references for one in right)]))
    rows = {
        text: vectors[counted][:_MOST_TOKENS]
        for text, (vectors, counted) in zip(texts, token_vectors(texts, embedder), strict=True)
    }
    values = [
        max(_similarity(np, rows[text], rows[one]) for one in right)
        for text, right in zip(pairs.predictions, pairs.references, strict=True)
    ]
    return mean_or_each(values, each=each)


def _similarity(np: Any, given: Any, wanted: Any) -> float:
    if not len(given) or not len(wanted):
        return 0.0
    cosines = given @ wanted.T
    # Rounding puts the cosine of equal vectors a little below 1, and the root would make a distance of it.
    costs = np.sqrt(np.where(cosines > 1 - 1e-12, 0.0, 2 - 2 * cosines))
    return 1 - cheapest_transport(np, costs)
