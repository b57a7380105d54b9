"""ROUGE by rouge-score, whose numbers are comparable with published ones."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, overload

from llmops_sdk._util._optional import require
from llmops_sdk._util._public import public
from llmops_sdk.evals.metrics._pairs import Reference, checked_pairs

__all__ = ["RougeScore", "rouge"]

RougeType = Literal["rouge1", "rouge2", "rouge3", "rouge4", "rougeL", "rougeLsum"]
_TYPES: tuple[RougeType, ...] = ("rouge1", "rouge2", "rougeL", "rougeLsum")
_KNOWN = frozenset({*_TYPES, "rouge3", "rouge4"})
_WORD = re.compile("[a-z0-9]++")
_MOST_CELLS = 4_000_000
"""ROUGE-L compares each word with each, in a table."""
_MOST_CHARACTERS = 1_000_000


@public("llmops_sdk.evals.metrics")
class RougeScore(NamedTuple):
    """The overlap of a prediction with the reference that gives the best F-measure, each from 0 to 1."""

    precision: float
    recall: float
    f1: float


@overload
def rouge(
    predictions: str | Iterable[str],
    references: str | Iterable[Reference],
    *,
    types: Sequence[RougeType] = _TYPES,
    stemmer: bool = False,
    each: Literal[False] = False,
) -> dict[str, float]: ...
@overload
def rouge(
    predictions: str | Iterable[str],
    references: str | Iterable[Reference],
    *,
    types: Sequence[RougeType] = _TYPES,
    stemmer: bool = False,
    each: Literal[True],
) -> list[dict[str, RougeScore]]: ...
def rouge(
    predictions: str | Iterable[str],
    references: str | Iterable[Reference],
    *,
    types: Sequence[RougeType] = _TYPES,
    stemmer: bool = False,
    each: bool = False,
) -> dict[str, float] | list[dict[str, RougeScore]]:
    """Return the mean F-measure of each type, from 0 to 1.

    Words are runs of a to z and 0 to 9 in lower case; letters of other alphabets are no words for rouge-score. For
    rougeLsum, each line is a sentence.

    Args:
        predictions: The texts to score, or one text.
        references: For each, the right text or a list of right texts.
        types: What to compute: words, word pairs, the longest common subsequence.
        stemmer: Whether to compare Porter's stems of words of more than three letters.
        each: Whether to return, for each pair, precision, recall and F-measure of each type.

    Raises:
        MissingDependencyError: rouge-score is not installed.
        TypeError: A text is no string.
        ValueError: There are no texts or types, the lengths differ, there is no such type, or a pair is too long for
            rougeL and rougeLsum (2,000 words each).

    Source: Lin, 2004; rouge-score 0.1.2.

    Example:
        >>> from llmops_sdk.evals.metrics import rouge
        >>> rouge(["the card is blocked"], ["the card was blocked"], types=["rouge1", "rougeL"])
        {'rouge1': 0.75, 'rougeL': 0.75}
    """
    wanted = list(dict.fromkeys(types))
    if not wanted or isinstance(types, str) or not _KNOWN.issuperset(wanted):
        raise ValueError(f"types is {types!r}: give a list of {', '.join(sorted(_KNOWN))}")
    library = require("rouge_score.rouge_scorer", extra="evals", purpose="rouge")
    pairs = checked_pairs(predictions, references)
    has_table = not {"rougeL", "rougeLsum"}.isdisjoint(wanted)
    for index, (text, right) in enumerate(zip(pairs.predictions, pairs.references, strict=True)):
        _check_size(index, text, right, has_table=has_table)
    scorer = library.RougeScorer(wanted, use_stemmer=stemmer)
    found: list[dict[str, RougeScore]] = []
    for text, right in zip(pairs.predictions, pairs.references, strict=True):
        scores = [scorer.score(one, text) for one in right]
        best = {name: max((score[name] for score in scores), key=lambda one: one.fmeasure) for name in wanted}
        found.append({name: RougeScore(*map(float, one)) for name, one in best.items()})
    if each:
        return found
    return {name: math.fsum(one[name].f1 for one in found) / len(found) for name in wanted}


def _check_size(index: int, text: str, right: list[str], *, has_table: bool) -> None:
    if len(text) > _MOST_CHARACTERS or max(map(len, right)) > _MOST_CHARACTERS:
        raise ValueError(f"pair {index} has a text of more than {_MOST_CHARACTERS:,} characters: cut it")
    if has_table and _words(text) * max(map(_words, right)) > _MOST_CELLS:
        raise ValueError(
            f"pair {index} is too long for rougeL, which takes quadratic time: cut it to 2,000 words, or leave out "
            "rougeL and rougeLsum"
        )


def _words(text: str) -> int:
    return len(_WORD.findall(text.lower()))
