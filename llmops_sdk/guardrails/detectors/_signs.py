r"""Find the few places of a text that may hold a finding, so that only the stretches there are read.

A sign is what each text with a finding matches. The signs are searched in the whole text at once. A stretch that holds
a sign overlaps one of the places: the search goes from left to right, so it passes a sign only inside another place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from llmops_sdk._util._optional import require
from llmops_sdk.guardrails.normalise import QuickRead, View

__all__ = ["SignSearch", "compiled"]

_SIGN_MEMORY = 64 << 20
"""The most bytes for the states of a search, far more than it needs: without memory it would be slow."""
_FEW, _SPARSE = 4, 160
"""With more than a few places, and more than one of so many characters, each stretch is read."""


class SignSearch:
    """Searches texts for the signs of findings, in linear time.

    Args:
        signs: Regular expressions of google-re2.

    Example:
        >>> from llmops_sdk.guardrails.detectors._signs import SignSearch
        >>> from llmops_sdk.guardrails.normalise import Decoding, reading
        >>> text = "caf\u00e9: ada@example.org"
        >>> read = reading(text, lambda _, data: b"@" in data, Decoding())
        >>> SignSearch(["@[a-z]"]).places_in(read, len(text))
        [(9, 11)]
    """

    def __init__(self, signs: Iterable[str]) -> None:
        # A word may end at the edge of a stretch, but not in the whole text.
        self._pattern = "|".join(signs).replace(r"\b", "")

    def places_in(self, read: QuickRead, length: int) -> list[tuple[int, int]] | None:
        """Return the start and end of each place in a text that may hold a finding, or None if there are many.

        Args:
            read: How to read the text.
            length: The length of the text, in characters.
        """
        found = set(read.encoded)
        for whole in read.wholes:
            for place in self._places(whole):
                found.add(place)
                if len(found) * _SPARSE > length + _SPARSE * _FEW:
                    return None
        return sorted(found)

    def _places(self, view: View) -> Iterator[tuple[int, int]]:
        data = view.text.encode("utf-8", "replace")
        is_ascii = len(data) == len(view.text)
        done = length = 0
        for match in compiled(self._pattern).finditer(data):
            start, end = match.span()
            if not is_ascii:
                # The places of bytes are not those of characters.
                first = length + len(data[done:start].decode())
                length, done = first + len(data[start:end].decode()), end
                start, end = first, length
            yield view.original(start, end)


@cache
def compiled(pattern: str) -> Any:
    """Return a pattern of google-re2 for bytes."""
    re2 = require("re2", extra="guards", purpose="a guard that searches texts")
    options = re2.Options()
    options.max_mem = _SIGN_MEMORY
    return re2.compile(pattern.encode(), options)
