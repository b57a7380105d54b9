"""Features of single texts that need no vectors: length, words that the reference lacks, and language."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable, Collection, Hashable, Iterable
from typing import Any

from llmops_sdk._util._optional import require
from llmops_sdk.errors import MissingDependencyError

__all__ = ["Vocabulary", "digest", "language_finder", "words"]

_MOST_READ = 4_000
_LANGUAGE_READ = 300
_FEWEST_LETTERS = 20
_WORD = re.compile(r"[^\W\d_]+")


def words(text: str) -> set[str]:
    """Return the different words of the first 4,000 characters: runs of letters in lower case."""
    return set(_WORD.findall(text[:_MOST_READ].lower()))


def digest(value: Hashable) -> int:
    """Return a number of 63 bits for a word or a user. It is never 0."""
    data = str(value).encode("utf-8", "surrogatepass")
    return (int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big") >> 1) or 1


class Vocabulary:
    """Which words the reference has, and the one user of each word that only one user has.

    A word is known if somebody else has used it: a user's own words say nothing about the others.

    Args:
        texts: The words of each text of the reference, or their digests.
        users: The number of each text's user, never 0, or another number for each text.
    """

    def __init__(self, texts: Iterable[Iterable[Hashable]], users: Iterable[int]) -> None:
        owners: dict[Hashable, int] = {}
        for found, user in zip(texts, users, strict=True):
            for word in found:
                if owners.setdefault(word, user) != user:
                    owners[word] = 0
        self._owners = owners

    def unknown_share(self, found: Collection[Hashable], user: int) -> float:
        """Return the share of a text's words that nobody else has used; 0 for a text without words."""
        known = self._owners
        return sum(known.get(word, user) == user for word in found) / len(found) if found else 0.0


def language_finder() -> Callable[[str], str | None] | str:
    """Return a function that names the language of a text, or the reason why there is none."""
    try:
        return _finder()
    except MissingDependencyError as error:
        return str(error)


@functools.cache
def _finder() -> Callable[[str], str | None]:
    require("numpy", extra="guards", purpose="the signal `language`")
    langid: Any = require("py3langid.langid", extra="guards", purpose="the signal `language`")
    identifier = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)

    def find(text: str) -> str | None:
        prose = text[:_LANGUAGE_READ].encode("utf-8", "ignore").decode()
        if sum(map(str.isalpha, prose)) < _FEWEST_LETTERS:
            return None
        return str(identifier.classify(prose)[0])

    return find
