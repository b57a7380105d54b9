"""Find whole words and phrases without regard to case, accents and invisible characters, in linear time."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice

from llmops_sdk.errors import ConfigError
from llmops_sdk.guardrails.detectors._mapped import Mapped
from llmops_sdk.guardrails.normalise._sieve import sieve

__all__ = ["Phrases", "folded", "given_words"]

_TO_FOLD = re.compile(r"[A-Z]|[^\x00-\x7f]")
# Scripts that write no spaces: each character counts as a word.
_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]++[+#]*+")
_ASCII_WORD = re.compile(r"[A-Za-z0-9]++[+#]*+")
_LONGEST_WORD = 256
"""A longer word is compared as it is written only."""
_REPEATED = re.compile(r"(.)\1+")
_LONGEST_GAP = 3
_LONG = 1 << 16
"""In a longer text in ASCII, the words that may start a phrase are searched first."""
_PART = 1 << 13
"""The length of the parts in which they are searched."""
_SPARSE = 128
"""With more than one of so many characters, it is faster to look at each word."""
_MOST_IN_PATTERN = 1 << 15
"""More characters of words than this do not make a pattern."""
_END_OF_SENTENCE = re.compile(r"[.!?;\u3002\uff01\uff1f]")


def folded(text: str) -> Mapped:
    r"""Return a text in lower case without accents and invisible characters.

    Example:
        >>> from llmops_sdk.guardrails.detectors.words._phrases import folded
        >>> folded("Caf\u00e9 \uff21\u200bcme").text
        'cafe acme'
    """
    if text.isascii():
        return Mapped(text.lower())
    return Mapped(text, _folds(text))


def _folds(text: str) -> Iterator[tuple[int, int, str]]:
    for match in _TO_FOLD.finditer(text):
        character = match[0]
        new = _FOLDED[character]
        if new != character:
            yield match.start(), match.end(), new


class _Folded(dict[str, str]):
    """The folded form of each character, filled at its first use."""

    def __missing__(self, character: str) -> str:
        parts = unicodedata.normalize("NFKD", character).casefold()
        new = "".join(one for one in parts if unicodedata.category(one) not in {"Mn", "Cf"})
        # Korean syllables stay whole.
        new = self[character] = unicodedata.normalize("NFC", new)
        return new


_FOLDED = _Folded()


def given_words(words: object, key: str) -> tuple[str, ...]:
    """Return a list of words or phrases that a user gives.

    Raises:
        ConfigError: It is no list of strings, or one has neither letters nor digits.
    """
    if isinstance(words, str) or not isinstance(words, Iterable):
        raise ConfigError(f"{key} must be a list of words and phrases, not {words!r}", key=key, value=words)
    result: list[str] = []
    for word in words:  # pyright: ignore[reportUnknownVariableType]
        if not isinstance(word, str) or not _WORD.search(folded(word).text):
            raise ConfigError(f"{key}: {word!r} is not a word or a phrase", key=key, value=word)  # pyright: ignore[reportUnknownArgumentType]
        result.append(word)
    return tuple(result)


@dataclass(slots=True)
class _Node:
    following: dict[str, _Node] = field(default_factory=dict[str, "_Node"])
    value: float | None = None


class Phrases:
    """A set of phrases, each with a value.

    Args:
        phrases: The phrases and their values.
        spellings: Returns the words that a word of the text may stand for, or None for itself only.
        letters: What `spellings` writes some characters as, for `str.translate`. It may also shorten repetitions.
    """

    def __init__(
        self,
        phrases: Iterable[tuple[str, float]],
        spellings: Callable[[str], Iterable[str]] | None = None,
        letters: Mapping[int, int] | None = None,
    ) -> None:
        self._root = _Node()
        self._spellings = spellings
        self._letters = letters
        self._most_words = 1
        for phrase, value in phrases:
            node = self._root
            words = _WORD.findall(folded(phrase).text)
            self._most_words = max(self._most_words, len(words))
            for word in words:
                node = node.following.setdefault(word, _Node())
            node.value = value

    def find(self, text: str) -> list[tuple[int, int, float]]:
        """Return the start, end and value of each phrase, in order and without overlap; the longest first."""
        view = folded(text)
        if len(view.text) > _LONG and view.text.isascii() and not view.is_changed and self._starts is not None:
            found = self._find_in_long(view.text, *self._starts)
            return self._walk(view, len(text))[0] if found is None else found
        words = set((_ASCII_WORD if view.text.isascii() else _WORD).findall(view.text))
        if self._spellings is None and self._root.following.keys().isdisjoint(words):
            return []
        if not any(self._is_first(word) for word in words):
            return []
        return self._walk(view, len(text))[0]

    @cached_property
    def _starts(self) -> tuple[Callable[[str], bool], re.Pattern[str], int] | None:
        """Return two searches for where a phrase may start in a text in ASCII, and how far they look.

        It is None if there are too many words.
        """
        words = [word for word in self._root.following if word.isascii()]
        longest = max(map(len, words), default=0)
        if not 0 < sum(map(len, words)) < _MOST_IN_PATTERN or longest > _LONGEST_WORD:
            return None
        more = ""
        if self._letters is not None:
            # Any letter may be repeated.
            words = list({_REPEATED.sub(r"\1", word.translate(self._letters)) for word in words})
            more = "+"
        fast: list[str] = []
        exact: list[str] = []
        for word in words:
            is_whole = word[-1].isalnum()
            fast.append("".join(re.escape(one) + more for one in word) + ("(?:[^a-z0-9]|$)" if is_whole else ""))
            exact.append("".join(re.escape(one) + more * 2 for one in word) + ("(?![a-z0-9])" if is_whole else ""))
        search = re.compile(rf"(?<![a-z0-9])(?:{'|'.join(exact)})")
        return sieve(rf"(?:^|[^a-z0-9])(?:{'|'.join(fast)})"), search, longest + _LONGEST_WORD

    def _find_in_long(
        self, text: str, may_start: Callable[[str], bool], start: re.Pattern[str], reach: int
    ) -> list[tuple[int, int, float]] | None:
        """Find the same as `_walk` in a text in ASCII, or return None if many of its words may start a phrase."""
        plain = text if self._letters is None else text.translate(self._letters)
        found: list[tuple[int, int, float]] = []
        done = 0
        left = len(text) // _SPARSE
        for base in range(0, len(text), _PART):
            end = min(len(text), base + _PART)
            if not may_start(plain[max(0, base - 1) : end + reach]):
                continue
            for match in start.finditer(plain, base, end + reach):
                if match.start() >= end:
                    break
                if match.start() < done:
                    continue
                left -= 1
                if left < 0:
                    return None
                words = [
                    (word[0], word.start(), word.end())
                    for word in islice(_WORD.finditer(text, match.start()), self._most_words + 1)
                ]
                last, value, _ = self._longest(text, words, 0)
                if value is not None:
                    done = words[last][2]
                    found.append((match.start(), done, value))
        return found

    def settled(self, text: str) -> int:
        """Return the length of the beginning of an unfinished text without a phrase that may go on."""
        return self._walk(folded(text), len(text))[1]

    def _is_first(self, word: str) -> bool:
        """Tell whether a phrase may start with a word of the text."""
        return any(one in self._root.following for one in self._spellings_of(word))

    def _spellings_of(self, word: str) -> Iterable[str]:
        return (word,) if self._spellings is None or len(word) > _LONGEST_WORD else self._spellings(word)

    def _walk(self, view: Mapped, length: int) -> tuple[list[tuple[int, int, float]], int]:
        words = [(match[0], match.start(), match.end()) for match in _WORD.finditer(view.text)]
        found: list[tuple[int, int, float]] = []
        held = length
        place = 0
        while place < len(words):
            first = words[place]
            if self._spellings is None and not self._may_start(words, place):
                place += 1
                continue
            last, value, is_open = self._longest(view.text, words, place)
            if is_open and held == length:
                held = min(held, view.original(first[1], first[2])[0])
            if value is None:
                place += 1
                continue
            found.append((*view.original(first[1], words[last][2]), value))
            place = last + 1
        if words and words[-1][2] == len(view.text):
            held = min(held, view.original(words[-1][1], words[-1][2])[0])
        return found, held

    def _may_start(self, words: list[tuple[str, int, int]], place: int) -> bool:
        """Return False where a glance at two words tells that no phrase starts; it saves most of the time."""
        node = self._root.following.get(words[place][0])
        if node is None or node.value is not None or place + 2 >= len(words):
            return node is not None
        return words[place + 1][0] in node.following

    def _longest(self, text: str, words: list[tuple[str, int, int]], place: int) -> tuple[int, float | None, bool]:
        """Return the last word of the longest phrase that starts at a word, its value, and whether more may follow."""
        nodes = [self._root]
        last, value, end = place, None, 0
        for at in range(place, len(words)):
            before = end
            word, start, end = words[at]
            spellings = self._spellings_of(word)
            nodes = [node.following[one] for one in spellings for node in nodes if one in node.following]
            if not nodes:
                # An unfinished word may still become the right one.
                return last, value, end == len(text)
            if at > place and not _is_gap(text[before:start]):
                return last, value, False
            for node in nodes:
                if node.value is not None:
                    value = node.value if at > last or value is None else max(value, node.value)
                    last = at
            if not any(node.following for node in nodes):
                return last, value, end == len(text)
        return last, value, _is_gap(text[end:])


def _is_gap(gap: str) -> bool:
    return len(gap) <= _LONGEST_GAP and not _END_OF_SENTENCE.search(gap)
