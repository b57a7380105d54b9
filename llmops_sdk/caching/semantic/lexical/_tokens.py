"""Split a text into words: bounded, in linear time, and the same for spellings that look the same."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from typing import NamedTuple

from llmops_sdk.caching.semantic.lexical._frames import CONTRACTIONS, Rewrite
from llmops_sdk.caching.semantic.lexical._marks import spell_out
from llmops_sdk.caching.semantic.lexical._words import words

__all__ = ["BREAK", "MAX_CHARACTERS", "MAX_WORDS", "Word", "plain_text", "rewrite", "split_words", "unify"]

MAX_CHARACTERS = 4_000
MAX_WORDS = 200
BREAK = "|"  # stands for punctuation between two parts of a sentence

_TOKEN = re.compile(
    r"[£$€¥₹]?\d++(?:[.,:/]\d++)*+[^\W\d_]*+%?"  # 7, £50, 2,700, 7:30pm, 23kg, 2fa, 50%
    r"|[^\W_]++(?:'[^\W_]++)*+(?:\+\+|\#)?"  # card, what's, q3, c++
    r"|[<>=+*^]++"  # signs that carry meaning
    r"|[^\w\s]"  # punctuation, and symbols such as an emoji
)
_QUOTES = str.maketrans(
    dict.fromkeys("’‘´`ʼ", "'") | dict.fromkeys("–—‐‑", "-") | dict.fromkeys("“”", '"')
    | dict.fromkeys("\u00ad\u200b\u200c\u200d\u2060\ufeff")
)  # fmt: skip
_LONGEST = 64  # of a word; longer ones are compared by a digest
_SPACES = re.compile(r"\s++")


class Word(NamedTuple):
    """A word of a text, or a token that stands for several.

    Attributes:
        text: The word in small letters, or a token such as `<how>`.
        capital: Whether it is written with a capital letter, and does not begin a sentence.
        acronym: Whether it is written in capital letters only.
        glued: Whether a hyphen joins it to the word before it.
        owner: Whether it had a possessive ending.
    """

    text: str
    capital: bool = False
    acronym: bool = False
    glued: bool = False
    owner: bool = False


def unify(text: str) -> str:
    """Return the text in one spelling: compatible characters and quotes are unified, invisible ones removed.

    Args:
        text: A text of any length; the caller cuts it before and afterwards, as one character may become many.
    """
    return unicodedata.normalize("NFKC", spell_out(text).translate(_QUOTES)).replace("\x00", " ")


def plain_text(unified: str) -> str:
    """Return the text in one spelling with single spaces.

    Args:
        unified: What `unify` returned.
    """
    return _SPACES.sub(" ", unified).strip()


def split_words(text: str) -> list[Word]:
    """Return the words of a text in order, with a `BREAK` for punctuation, at most `MAX_WORDS` of them.

    Args:
        text: What `plain_text` returned.

    Example:
        >>> [word.text for word in split_words("What's on, Ada?")]
        ['what', 'is', 'on', '|', 'ada', '|']
    """
    words: list[Word] = []
    dotted = text.replace("a.m.", "am").replace("p.m.", "pm").replace("A.M.", "AM").replace("P.M.", "PM")
    first, glued, end = True, False, -1
    for match in _TOKEN.finditer(dotted):
        piece = match.group()
        if piece == "-":
            glued = match.start() == end
            if not glued and dotted[match.end() : match.end() + 1].isdigit():
                words.append(Word("minus"))
            end = match.end()
            continue
        if piece == "#":
            continue
        if not (piece[-1].isalnum() or piece[-1] in "%+#<>=*^" or unicodedata.category(piece)[0] == "S"):
            first = first or piece in ".?!\n"
            if words and words[-1].text != BREAK:
                words.append(Word(BREAK))
        else:
            words += _word(piece, first=first, glued=glued and match.start() == end)
            first = False
        glued, end = False, match.end()
        if len(words) >= MAX_WORDS:
            break
    greeted = len(words) > 2 and words[0].text in _GREETINGS and words[1].text == BREAK
    return words[2 if greeted else 0 : MAX_WORDS]


def _word(piece: str, *, first: bool, glued: bool) -> list[Word]:
    """Return the words of one piece: contractions are written out, a possessive ending is taken off."""
    lower = piece.lower()
    if len(lower) > _LONGEST:
        return [Word(f"{lower[:8]}~{hashlib.blake2s(lower.encode(), digest_size=8).hexdigest()}")]
    upper = piece.isupper() and len(piece) > 1
    capital = piece[0].isupper() and not first
    written = CONTRACTIONS.get(lower)
    if written is not None:
        return [Word(one) for one in written]
    if "'" not in lower:
        return [Word(lower, capital, upper, glued)]
    stem, _, ending = lower.rpartition("'")
    if ending == "t" and stem.endswith("n"):
        return [Word(stem[:-1]), Word("not")]
    expanded = {"re": "are", "ve": "have", "ll": "will", "m": "am", "d": "would"}.get(ending)
    if expanded:
        return [Word(stem, capital), Word(expanded)]
    if ending == "s" and stem in _IS:
        return [Word(stem), Word("is")]
    if ending == "s":
        return [Word(stem, capital, piece[:-2].isupper() and len(stem) > 1, glued, owner=True)]
    return [Word(lower.replace("'", ""), capital, upper, glued)]


_AT_START = frozenset({("<want>",), ("<yesno>",), ("<must>",), ("<can>",)})
_BEFORE_START = frozenset({BREAK, "and", "but", "or"})
_GREETINGS = words("morning afternoon evening")
_IS = words("what who where how when why that there here it he she")


def rewrite(words: list[Word], table: Mapping[str, tuple[Rewrite, ...]]) -> list[Word]:
    """Return the words with each phrase of the table replaced, the longest first, from left to right.

    A wish, or a question for yes or no, begins a part of a sentence: there is none in "what do I need to take".
    """
    out: list[Word] = []
    at = 0
    while at < len(words):
        for phrase, written in table.get(words[at].text, ()):
            size = len(phrase)
            if size > 1 and (at + size > len(words) or any(words[at + i].text != phrase[i] for i in range(1, size))):
                continue
            if written in _AT_START and out and out[-1].text not in _BEFORE_START:
                continue
            out += [Word(one) for one in written]
            at += size
            break
        else:
            out.append(words[at])
            at += 1
    return out
