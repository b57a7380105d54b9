"""The edit distance of characters, by rapidfuzz."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, overload

from llmops_sdk._util._optional import require
from llmops_sdk.evals.metrics._pairs import Reference, checked_pairs, mean_or_each

__all__ = ["levenshtein"]

Measure = Literal["similarity", "distance", "edits"]
_MOST_CELLS = 10_000_000_000
"""64 of them take one step; this many take about a second."""


@overload
def levenshtein(
    predictions: str | Iterable[str],
    references: str | Iterable[Reference],
    *,
    measure: Measure = "similarity",
    each: Literal[False] = False,
) -> float: ...
@overload
def levenshtein(
    predictions: str | Iterable[str],
    references: str | Iterable[Reference],
    *,
    measure: Measure = "similarity",
    each: Literal[True],
) -> list[float]: ...
def levenshtein(
    predictions: str | Iterable[str],
    references: str | Iterable[Reference],
    *,
    measure: Measure = "similarity",
    each: bool = False,
) -> float | list[float]:
    """Return the mean similarity by insertions, deletions and replacements of characters.

    Args:
        predictions: The texts to score, or one text.
        references: For each, the right text or a list of right texts; the nearest counts.
        measure: "similarity" is 1 for equal texts and 0 for texts without a common character in place; "distance" is
            one minus that, the edits divided by the length of the longer text; "edits" is their number.
        each: Whether to return one value a pair.

    Raises:
        MissingDependencyError: rapidfuzz is not installed.
        TypeError: A text is no string.
        ValueError: There are no texts, the lengths differ, there is no such measure, or a pair is too long (100,000
            characters each).

    Source: Levenshtein, 1966.

    Example:
        >>> from llmops_sdk.evals.metrics import levenshtein
        >>> levenshtein("kitten", "sitting", measure="edits"), round(levenshtein("kitten", "sitting"), 3)
        (3.0, 0.571)
    """
    if measure not in {"similarity", "distance", "edits"}:
        raise ValueError(f'measure is {measure!r}: give "similarity", "distance" or "edits"')
    library = require("rapidfuzz.distance", extra="evals", purpose="levenshtein").Levenshtein
    pairs = checked_pairs(predictions, references)
    values: list[float] = []
    for index, (text, right) in enumerate(zip(pairs.predictions, pairs.references, strict=True)):
        if len(text) * max(map(len, right)) > _MOST_CELLS:
            raise ValueError(f"pair {index} is too long to compare: cut it to 100,000 characters")
        if measure == "edits":
            values.append(float(min(library.distance(text, one) for one in right)))
        else:
            nearest = min(float(library.normalized_distance(text, one)) for one in right)
            values.append(nearest if measure == "distance" else 1 - nearest)
    return mean_or_each(values, each=each)
