"""Features of single texts that need no vectors: length, words that the reference lacks, and language."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

from llmops_sdk._util._optional import require
from llmops_sdk.errors import MissingDependencyError

__all__ = ["Vocabulary", "digest", "language_finder", "words"]

_MOST_READ = 20_000
_LANGUAGE_READ = 1_000
_FEWEST_LETTERS = 20


def words(text: str) -> Iterator[str]:
    """Yield the words of the first 20,000 characters: runs of letters in lower case, at most 64 characters each."""
    begin = -1
    text = text[:_MOST_READ].lower()
    for place, char in enumerate(text):
        if char.isalpha():
            if begin < 0:
                begin = place
        elif begin >= 0:
            yield text[begin : min(place, begin + 64)]
            begin = -1
    if begin >= 0:
        yield text[begin : begin + 64]


def digest(value: Hashable) -> int:
    """Return a number of 63 bits for a word or a user. It is never 0."""
    data = str(value).encode("utf-8", "surrogatepass")
    return (int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big") >> 1) or 1


class Vocabulary:
    """Which words the reference has, and the one user of each word that only one user has.

    A word is known if somebody else has used it: a user's own words say nothing about the others.

    Args:
        owners: For each word's digest that of its only user, or 0 where several have it.
    """

    def __init__(self, owners: dict[int, int] | None = None) -> None:
        self.owners: dict[int, int] = {} if owners is None else owners

    @classmethod
    def of(cls, texts: Sequence[str], users: Sequence[int]) -> Vocabulary:
        """Return the vocabulary of texts.

        Args:
            texts: The texts.
            users: The digest of each text's user, or another number for each text.
        """
        owners: dict[int, int] = {}
        for text, user in zip(texts, users, strict=True):
            for word in set(words(text)):
                key = digest(word)
                if owners.setdefault(key, user) != user:
                    owners[key] = 0
        return cls(owners)

    def unknown_share(self, text: str, user: int) -> float:
        """Return the share of a text's words that nobody else has used; 0 for a text without words."""
        found = [self.owners.get(digest(word), user) == user for word in words(text)]
        return sum(found) / len(found) if found else 0.0


def language_finder() -> Callable[[str], str | None] | str:
    """Return a function that names the language of a text, or the reason why there is none."""
    try:
        return _finder()
    except MissingDependencyError as error:
        return str(error)


@functools.cache
def _finder() -> Callable[[str], str | None]:
    langid: Any = require("py3langid.langid", extra="guards", purpose="the signal `language`")
    identifier = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)

    def find(text: str) -> str | None:
        prose = "".join(char for char in text[:_LANGUAGE_READ] if not 0xD800 <= ord(char) <= 0xDFFF)
        if sum(map(str.isalpha, prose)) < _FEWEST_LETTERS:
            return None
        return str(identifier.classify(prose)[0])

    return find
