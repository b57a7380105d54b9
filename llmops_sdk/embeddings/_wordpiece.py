"""Split texts into the tokens of an uncased BERT vocabulary, in linear time and without a library.

A text is cleaned, lower-cased and freed of accents, one character at a time. Each punctuation mark and each Chinese
character is a word of its own. A word that is no token is split into the longest tokens from the left, where all but
the first begin with "##" (Wu et al., 2016).
"""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Iterable

__all__ = ["MAX_WORD", "WordPieces", "split_words"]

MAX_WORD = 100
"""A longer word is unknown, as in BERT: it is a key or an address rather than a word."""

_REMEMBERED = 8192  # characters; a text in every script must not fill the memory
_CHINESE = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F), (0x2B920, 0x2CEAF),
    (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip


def _is_alone(char: str) -> bool:
    """Return whether a character is a word of its own."""
    if char.isascii():
        return char.isprintable() and not char.isalnum() and char != " "
    return unicodedata.category(char).startswith("P") or any(low <= ord(char) <= high for low, high in _CHINESE)


def _folded(char: str) -> str:
    """Return what a character becomes: nothing, a space, or lower case without accents, between spaces if alone."""
    if char.isspace() and char not in "\x0b\x0c\x1c\x1d\x1e\x1f\x85":
        return " "
    if char == "\ufffd" or unicodedata.category(char).startswith("C"):
        return ""
    # Decompose each character alone: to sort the marks of a whole text takes quadratic time.
    base = (one for one in unicodedata.normalize("NFD", char) if unicodedata.category(one) != "Mn")
    lower = "".join(base).lower()
    if len(lower) == 1 and _is_alone(lower):
        return f" {lower} "
    return " ".join(lower) if any(map(_is_alone, lower)) else lower


class _Folding(dict[int, str]):
    """What each character becomes, found at its first use."""

    def __missing__(self, code: int) -> str:
        found = _folded(chr(code))
        if len(self) < _REMEMBERED:
            self[code] = found
        return found


_FOLDING = _Folding()


def split_words(text: str) -> list[str]:
    """Return the words of a text, folded."""
    return text.translate(_FOLDING).split()


class WordPieces:
    """A vocabulary, and how texts split into it.

    Args:
        tokens: The tokens in the order of their numbers; a token that continues a word begins with "##".
    """

    def __init__(self, tokens: Iterable[str]) -> None:
        self._numbers = {token: number for number, token in enumerate(tokens)}
        self._longest = max(map(len, self._numbers), default=0)

    def split(self, text: str, limit: int) -> tuple[list[int], list[str]]:
        """Return the numbers of the tokens of a text, and its words that have no tokens.

        Args:
            text: The text.
            limit: The most tokens and unknown words to return, the first ones.
        """
        find = self._numbers.get
        tokens: list[int] = []
        unknown: list[str] = []
        for word in itertools.islice(split_words(text), limit):
            number = find(word)
            if number is not None:
                tokens.append(number)
            elif pieces := self._pieces(word):
                tokens += pieces
            else:
                unknown.append(word)
            if len(tokens) + len(unknown) >= limit:
                break
        return tokens[:limit], unknown

    def _pieces(self, word: str) -> list[int]:
        """Return the numbers of the longest tokens that make up a word, or nothing if none do."""
        if len(word) > MAX_WORD:
            return []
        found: list[int] = []
        begin, prefix = 0, ""
        while begin < len(word):
            for end in range(min(len(word), begin + self._longest), begin, -1):
                number = self._numbers.get(prefix + word[begin:end])
                if number is not None:
                    break
            else:
                return []
            found.append(number)
            begin, prefix = end, "##"
        return found
