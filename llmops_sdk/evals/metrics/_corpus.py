"""BLEU, chrF, chrF++ and TER by sacrebleu, whose numbers are comparable with published ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, Literal, overload

from llmops_sdk._util._optional import require
from llmops_sdk.evals.metrics._pairs import Pairs, Reference, checked_pairs

__all__ = ["bleu", "chrf", "ter"]

Tokenizer = Literal["13a", "intl", "char", "none", "zh", "ja-mecab", "ko-mecab"]
_MOST_CHARACTERS = 1_000_000
"""A longer text is refused: its n-grams would fill the memory."""
_MOST_TER_WORDS = 2_000
_MOST_TER_WORK = 1_000_000
"""TER tries a shift for each pair of equal words, and compares all words after each: about 8 s for this much."""


@overload
def bleu(
    predictions: str | Iterable[str],
    references: str | Iterable[Reference],
    *,
    lowercase: bool = False,
    tokenize: Tokenizer = "13a",
    effective_order: bool | None = None,
    each: Literal[False] = False,
) -> float: ...
@overload
def bleu(
    predictions: str | Iterable[str],
    references: str | Iterable[Reference],
    *,
    lowercase: bool = False,
    tokenize: Tokenizer = "13a",
    effective_order: bool | None = None,
    each: Literal[True],
) -> list[float]: ...
def bleu(
    predictions: str | Iterable[str],
    references: str | Iterable[Reference],
    *,
    lowercase: bool = False,
    tokenize: Tokenizer = "13a",
    effective_order: bool | None = None,
    each: bool = False,
) -> float | list[float]:
    """Return the BLEU of a corpus, from 0 to 100.

    It is no mean over the pairs: the n-grams of all are counted together. Use it for a test set and not for one answer.

    Args:
        predictions: The texts to score, or one text.
        references: For each, the right text or a list of right texts.
        lowercase: Whether case does not count.
        tokenize: sacrebleu's tokenizer.
        effective_order: Whether n-grams that a text is too short for are left out. None does so for single pairs only,
            as sacrebleu.
        each: Whether to return the BLEU of each pair, for a rough look at single items.

    Raises:
        MissingDependencyError: sacrebleu is not installed.
        TypeError: A text is no string.
        ValueError: There are no texts, the lengths differ, a text is too long, or there is no such tokenizer.

    Source: Papineni et al., 2002; Post, 2018 (sacrebleu).

    Example:
        >>> from llmops_sdk.evals.metrics import bleu
        >>> round(bleu(["The card was blocked today."], ["The card was blocked yesterday."]), 2)
        53.73
    """
    metrics = require("sacrebleu.metrics", extra="evals", purpose="bleu")
    pairs = checked_pairs(predictions, references)
    alone = each or pairs.is_single
    if tokenize not in metrics.BLEU.TOKENIZERS:
        names = ", ".join(metrics.BLEU.TOKENIZERS)
        raise ValueError(f"there is no tokenizer {tokenize!r}: give one of {names}")
    metric = metrics.BLEU(
        lowercase=lowercase,
        tokenize=tokenize,
        effective_order=alone if effective_order is None else effective_order,
        force=True,
    )
    return _scored(metric, pairs, each=each)


@overload
def chrf(
    predictions: str | Iterable[str],
    references: str | Iterable[Reference],
    *,
    word_order: int = 0,
    lowercase: bool = False,
    each: Literal[False] = False,
) -> float: ...
@overload
def chrf(
    predictions: str | Iterable[str],
    references: str | Iterable[Reference],
    *,
    word_order: int = 0,
    lowercase: bool = False,
    each: Literal[True],
) -> list[float]: ...
def chrf(
    predictions: str | Iterable[str],
    references: str | Iterable[Reference],
    *,
    word_order: int = 0,
    lowercase: bool = False,
    each: bool = False,
) -> float | list[float]:
    """Return the chrF of a corpus, from 0 to 100: the F2 of character n-grams up to six.

    Args:
        predictions: The texts to score, or one text.
        references: For each, the right text or a list of right texts.
        word_order: 0 for chrF; 2 for chrF++, which counts words and word pairs too.
        lowercase: Whether case does not count.
        each: Whether to return the chrF of each pair.

    Raises:
        MissingDependencyError: sacrebleu is not installed.
        TypeError: A text is no string.
        ValueError: There are no texts, the lengths differ, a text is too long, or the order is negative.

    Source: Popović, 2015 and 2017; Post, 2018 (sacrebleu).

    Example:
        >>> from llmops_sdk.evals.metrics import chrf
        >>> round(chrf(["Refunds take five days."], ["A refund takes five days."], word_order=2), 2)
        54.52
    """
    if word_order < 0:
        raise ValueError(f"word_order is {word_order}: give 0 for chrF or 2 for chrF++")
    metrics = require("sacrebleu.metrics", extra="evals", purpose="chrf")
    pairs = checked_pairs(predictions, references)
    return _scored(metrics.CHRF(word_order=word_order, lowercase=lowercase), pairs, each=each)


@overload
def ter(
    predictions: str | Iterable[str],
    references: str | Iterable[Reference],
    *,
    case_sensitive: bool = False,
    each: Literal[False] = False,
) -> float: ...
@overload
def ter(
    predictions: str | Iterable[str],
    references: str | Iterable[Reference],
    *,
    case_sensitive: bool = False,
    each: Literal[True],
) -> list[float]: ...
def ter(
    predictions: str | Iterable[str],
    references: str | Iterable[Reference],
    *,
    case_sensitive: bool = False,
    each: bool = False,
) -> float | list[float]:
    """Return the translation edit rate of a corpus, in percent of the references' words; lower is better.

    Insertions, deletions, replacements and shifts of word groups count one each. More than 100 is possible.

    Args:
        predictions: The texts to score, or one text.
        references: For each, the right text or a list of right texts.
        case_sensitive: Whether case counts.
        each: Whether to return the rate of each pair.

    Raises:
        MissingDependencyError: sacrebleu is not installed.
        TypeError: A text is no string.
        ValueError: There are no texts, the lengths differ, or a pair is too long (some 300 words each; fewer
            if they repeat, more if they differ).

    Source: Snover et al., 2006; Post, 2018 (sacrebleu).

    Example:
        >>> from llmops_sdk.evals.metrics import ter
        >>> ter(["a b c d"], ["a b c e"])
        25.0
    """
    metrics = require("sacrebleu.metrics", extra="evals", purpose="ter")
    pairs = checked_pairs(predictions, references)
    for index, (text, right) in enumerate(zip(pairs.predictions, pairs.references, strict=True)):
        if any(_is_too_much_for_ter(text, one) for one in right):
            raise ValueError(f"pair {index} is too long for TER, which tries each shift of words: cut it to 300 words")
    return _scored(metrics.TER(case_sensitive=case_sensitive), pairs, each=each)


def _is_too_much_for_ter(text: str, reference: str) -> bool:
    given, wanted = Counter(text.lower().split()), Counter(reference.lower().split())
    longest = max(given.total(), wanted.total())
    shifts = sum(number * wanted[word] for word, number in given.items())
    return longest > _MOST_TER_WORDS or shifts * longest > _MOST_TER_WORK


def _scored(metric: Any, pairs: Pairs, *, each: bool) -> float | list[float]:
    for index, (text, right) in enumerate(zip(pairs.predictions, pairs.references, strict=True)):
        if len(text) > _MOST_CHARACTERS or max(map(len, right)) > _MOST_CHARACTERS:
            raise ValueError(f"pair {index} has a text of more than {_MOST_CHARACTERS:,} characters: cut it")
    if each:
        return [
            float(metric.sentence_score(text, right).score)
            for text, right in zip(pairs.predictions, pairs.references, strict=True)
        ]
    most = max(map(len, pairs.references))
    columns = [[right[place] if place < len(right) else None for right in pairs.references] for place in range(most)]
    return float(metric.corpus_score(pairs.predictions, columns).score)
