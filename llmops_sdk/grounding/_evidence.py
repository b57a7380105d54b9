"""Index the documents that an answer is compared with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from llmops_sdk._util._public import public
from llmops_sdk.grounding._words import NEGATIONS, sentences_of, words_of

__all__ = ["MOST_READ", "Evidence"]

MOST_READ = 1_000_000
"""The most characters of an answer, and of all its documents, that are read."""
_NEAR = 4
"""Two words are a pair of the documents if so few words lie between them, common ones not counted."""
_MOST_PLACES = 32
"""So many sentences are remembered for a word, the first ones, so that looking one up takes a bounded time."""
_WINDOW = 3
"""So many sentences in a row are looked at as one place."""


@public("llmops_sdk.grounding")
class Evidence:
    """The words, near pairs and triples of documents, and where the negated sentences are.

    Args:
        documents: The texts; the first million characters of all are read.
        question: A question whose words count as known too, since an answer may repeat them.
    """

    def __init__(self, documents: Iterable[str], question: str = "") -> None:
        self.words: set[str] = set()
        self.pairs: set[tuple[str, str]] = set()
        self.triples: set[tuple[str, str, str]] = set()
        self.truncated = False
        self._sentences: list[list[str]] = []
        self._negated: set[int] = set()
        self._places: dict[str, list[int]] | None = None
        left = MOST_READ
        for text in (question, *documents):
            self._read(text[: max(0, left)])
            left -= len(text)
        self.truncated = left < 0

    def _read(self, text: str) -> None:
        every: list[str] = []
        for start, end in sentences_of(text):
            stems, weights = words_of(text[start:end])
            content = [stem for stem, weight in zip(stems, weights, strict=True) if weight]
            for distance in range(1, _NEAR + 1):
                self.pairs.update(zip(content, content[distance:], strict=False))
            if not NEGATIONS.isdisjoint(stems):
                self._negated.add(len(self._sentences))
            self._sentences.append(content)
            every += stems
        self.words.update(every)
        self.triples.update(zip(every, every[1:], every[2:], strict=False))

    def is_near(self, one: str, other: str) -> bool:
        """Return whether two words stand near each other in a sentence, in any order."""
        return (one, other) in self.pairs or (other, one) in self.pairs

    def negates(self, content: Sequence[str]) -> bool:
        """Return whether the three sentences in a row that share the most words with `content` have a negation."""
        if not self._negated:
            return False
        if self._places is None:
            self._places = {}
            for number, stems in enumerate(self._sentences):
                for stem in stems:
                    places = self._places.setdefault(stem, [])
                    if len(places) < _MOST_PLACES and (not places or places[-1] != number):
                        places.append(number)
        shared: dict[int, int] = {}
        for stem in set(content):
            starts = {place - back for place in self._places.get(stem, ()) for back in range(_WINDOW)}
            for start in starts:
                shared[start] = shared.get(start, 0) + 1
        if not shared:
            return False
        best = max(shared.values())
        return any(
            start + step in self._negated for start, count in shared.items() if count == best for step in range(_WINDOW)
        )
