"""Split texts into sentences and words, in linear time."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["NEGATIONS", "Words", "sentences_of", "words_of"]

_SENTENCE = re.compile(
    r"[^.!?\n\u3002\uff01\uff1f]++(?:[.!?\u3002\uff01\uff1f]++(?=[^\s\"')\]\u3002])[^.!?\n\u3002\uff01\uff1f]++)*+[.!?\u3002\uff01\uff1f]*+[\"')\]]*+"
)
# Scripts that write no spaces: each character counts as a word.
_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(
    rf"[{_UNSPACED}]|[^\W\d_{_UNSPACED}]++(?:['\u2019][^\W\d_{_UNSPACED}]++)*+|\d++(?:[.,:]\d++)*+"
)  # fmt: skip
_STEM = 6
"""So many characters of a word are compared, so that most endings do not count."""
_COMMON_TEXT = (
    "a about after all also an and any are as at be been before but by can could did do does for from had has have he "
    "her his how i if in into is it its more most no not of on one or other our out over said say says she so some t "
    "than that the their them then there these they this to two under up was we were what when where which while who "
    "will with would yes you your"
)
_NEGATION_TEXT = (
    "no not never none neither nor cannot without nobody nothing n't don't doesn't didn't isn't wasn't aren't weren't "
    "won't can't couldn't wouldn't shouldn't hasn't haven't hadn't"
)
_NUMBER_TEXT = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
_COMMON = frozenset(_COMMON_TEXT.split())
NEGATIONS = frozenset(_NEGATION_TEXT.split())
_NUMBERS = {word: str(number) for number, word in enumerate(_NUMBER_TEXT.split())}
_NUMBER_WEIGHT, _NAME_WEIGHT = 3.0, 2.0


class Words(NamedTuple):
    """The words of a text: their stems in order, and how much each weighs. The most common words weigh nothing."""

    stems: list[str]
    weights: list[float]


def sentences_of(text: str) -> Iterator[tuple[int, int]]:
    """Yield the start and the end of each sentence, in characters."""
    for match in _SENTENCE.finditer(text):
        start, end = match.span()
        start += len(match[0]) - len(match[0].lstrip())
        if start < end:
            yield start, end


def words_of(text: str) -> Words:
    """Return the words of one sentence. Names and numbers weigh more than other words."""
    stems: list[str] = []
    weights: list[float] = []
    is_first = True
    for word in _WORD.findall(text):
        if word[0].isdigit():
            stems.append(word.replace(",", ""))
            weights.append(_NUMBER_WEIGHT)
            is_first = False
            continue
        plain = word.lower() if word.isascii() else _folded(word)
        plain = plain.removesuffix("'s")
        if plain in _COMMON:
            stems.append(_NUMBERS.get(plain, plain))
            weights.append(0.0)
        else:
            stems.append(_NUMBERS.get(plain) or (plain if plain in NEGATIONS else plain[:_STEM]))
            weights.append(_NAME_WEIGHT if word[0].isupper() and not is_first else 1.0)
        is_first = False
    return Words(stems, weights)


def _folded(word: str) -> str:
    """Return a word in lower case without accents."""
    parts = unicodedata.normalize("NFKD", word.replace("\u2019", "'")).casefold()
    return "".join(one for one in parts if unicodedata.category(one) not in {"Mn", "Cf"})
