"""The similarity of meaning, by vectors of whole texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, overload

from llmops_sdk.embeddings import Embedder, SentenceTransformersEmbedder, open_embedder
from llmops_sdk.evals.metrics._pairs import Reference, checked_pairs, mean_or_each

__all__ = ["semantic_similarity"]

AnyEmbedder = str | Embedder | Callable[[list[str]], Sequence[Sequence[float]] | Any]


@overload
def semantic_similarity(
    predictions: str | Iterable[str],
    references: str | Iterable[Reference],
    *,
    embedder: AnyEmbedder = "static",
    each: Literal[False] = False,
) -> float: ...
@overload
def semantic_similarity(
    predictions: str | Iterable[str],
    references: str | Iterable[Reference],
    *,
    embedder: AnyEmbedder = "static",
    each: Literal[True],
) -> list[float]: ...
def semantic_similarity(
    predictions: str | Iterable[str],
    references: str | Iterable[Reference],
    *,
    embedder: AnyEmbedder = "static",
    each: bool = False,
) -> float | list[float]:
    """Return the mean cosine of the vectors of prediction and reference, from -1 to 1 (SemScore).

    Values of different embedders are not comparable. A text of white space has no meaning to compare: its value is 0.
    Only a model of sentence-transformers is asked for its vector, as the published SemScore does.

    Args:
        predictions: The texts to score, or one text.
        references: For each, the right text or a list of right texts; the most similar counts.
        embedder: As in `open_embedder`: "static" is the table in the package, "sentence-transformers:FOLDER" a model.
        each: Whether to return one value a pair.

    Raises:
        ConfigError: There is no such embedder.
        MissingDependencyError: numpy or the embedder's library is not installed.
        TypeError: A text is no string.
        ValueError: There are no texts, or the lengths differ.

    Source: Aynetdinov and Akbik, 2024 (SemScore).

    Example:
        >>> from llmops_sdk.evals.metrics import semantic_similarity
        >>> round(semantic_similarity("The parcel arrived on Monday.", "The package came on Monday."), 2)
        0.76
    """
    pairs = checked_pairs(predictions, references)
    texts = list(dict.fromkeys([*pairs.predictions, *(one for right in pairs.references for one in right)]))
    model = open_embedder(embedder)
    takes_blank = isinstance(model, SentenceTransformersEmbedder)
    rows = {text: row for row, text in enumerate(text for text in texts if takes_blank or text.strip())}
    vectors: Any = model.embed(list(rows)) if rows else []

    def cosine(one: str, other: str) -> float:
        if one not in rows or other not in rows:
            return 0.0
        return float(vectors[rows[one]] @ vectors[rows[other]])

    values = [
        max(cosine(text, one) for one in right) for text, right in zip(pairs.predictions, pairs.references, strict=True)
    ]
    return mean_or_each(values, each=each)
