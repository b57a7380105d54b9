"""Exact match and token F1, as the SQuAD evaluation defines them."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterable
from typing import Literal, overload

from llmops_sdk.evals.metrics._pairs import Reference, checked_pairs, mean_or_each

__all__ = ["exact_match", "squad_normalised", "token_f1"]

_ARTICLE = re.compile(r"\b(?:a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def squad_normalised(text: str) -> str:
    """Return a text as the SQuAD evaluation compares it.

    In this order: lower case; the 32 punctuation marks of ASCII removed, without a space in their place; the words
    "a", "an" and "the" removed; runs of white space made one space. Accents, other scripts' marks and number formats
    stay.

    Source: Rajpurkar et al., 2016, `evaluate-v2.0.py`.

    Example:
        >>> from llmops_sdk.evals.metrics import squad_normalised
        >>> squad_normalised("The U.S.  Senate!")
        'us senate'
    """
    return " ".join(_ARTICLE.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


@overload
def exact_match(
    predictions: str | Iterable[str],
    references: str | Iterable[Reference],
    *,
    normalise: bool = True,
    each: Literal[False] = False,
) -> float: ...
@overload
def exact_match(
    predictions: str | Iterable[str],
    references: str | Iterable[Reference],
    *,
    normalise: bool = True,
    each: Literal[True],
) -> list[float]: ...
def exact_match(
    predictions: str | Iterable[str],
    references: str | Iterable[Reference],
    *,
    normalise: bool = True,
    each: bool = False,
) -> float | list[float]:
    """Return the share of predictions that equal one of their references, from 0 to 1.

    Args:
        predictions: The texts to score, or one text.
        references: For each, the right text or a list of right texts.
        normalise: Whether to compare as `squad_normalised` does; otherwise character by character.
        each: Whether to return a 0.0 or a 1.0 for each pair.

    Raises:
        TypeError: A text is no string.
        ValueError: There are no texts, or the lengths differ.

    Example:
        >>> from llmops_sdk.evals.metrics import exact_match
        >>> exact_match(["The Thames.", "Bern"], ["Thames", ["Berne", "Bern"]])
        1.0
        >>> exact_match(["The Thames.", "Bern"], ["Thames", ["Berne", "Bern"]], normalise=False, each=True)
        [0.0, 1.0]
    """
    pairs = checked_pairs(predictions, references)
    prepared = squad_normalised if normalise else str
    values = [
        float(prepared(text) in {prepared(one) for one in right})
        for text, right in zip(pairs.predictions, pairs.references, strict=True)
    ]
    return mean_or_each(values, each=each)


@overload
def token_f1(
    predictions: str | Iterable[str], references: str | Iterable[Reference], *, each: Literal[False] = False
) -> float: ...
@overload
def token_f1(
    predictions: str | Iterable[str], references: str | Iterable[Reference], *, each: Literal[True]
) -> list[float]: ...
def token_f1(
    predictions: str | Iterable[str], references: str | Iterable[Reference], *, each: bool = False
) -> float | list[float]:
    """Return the mean F1 of the words that prediction and reference share, from 0 to 1.

    Words are those of `squad_normalised`, counted with repeats. The best reference counts. If one side has no words,
    the value is 1 if the other has none either, else 0.

    Args:
        predictions: The texts to score, or one text.
        references: For each, the right text or a list of right texts.
        each: Whether to return one value a pair.

    Raises:
        TypeError: A text is no string.
        ValueError: There are no texts, or the lengths differ.

    Source: Rajpurkar et al., 2016, `evaluate-v2.0.py`.

    Example:
        >>> from llmops_sdk.evals.metrics import token_f1
        >>> token_f1("within five days", "five working days")
        0.6666666666666666
    """
    pairs = checked_pairs(predictions, references)
    values = [
        max(_f1(squad_normalised(text).split(), squad_normalised(one).split()) for one in right)
        for text, right in zip(pairs.predictions, pairs.references, strict=True)
    ]
    return mean_or_each(values, each=each)


def _f1(given: list[str], wanted: list[str]) -> float:
    if not given or not wanted:
        return float(given == wanted)
    shared = (Counter(given) & Counter(wanted)).total()
    return 2 * shared / (len(given) + len(wanted))
