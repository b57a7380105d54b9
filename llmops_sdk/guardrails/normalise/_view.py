"""A way to read a text, with a map back to the text as written."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate

__all__ = ["View", "replaced"]


class View:
    """One way to read a text, with a map back to the text as written.

    Args:
        text: The text of this view.
        parent: The view that it is made of, or None for the text as written.
        is_guess: Whether it joins what may be separate words.
        is_decoded: Whether it was encoded in base64.
        table: The table by which it is the translation of its parent, or None if `add` names its pieces.

    Attributes:
        text: The text of this view.
        is_guess: Whether it joins what may be separate words.
        is_decoded: Whether it was encoded in base64.
        is_base64: Whether three characters of it are four of its parent.
    """

    __slots__ = (
        "_character_ends",
        "_parent",
        "_source_ends",
        "_source_starts",
        "_starts",
        "_table",
        "is_base64",
        "is_decoded",
        "is_guess",
        "text",
    )

    def __init__(
        self,
        text: str,
        parent: View | None = None,
        *,
        is_guess: bool = False,
        is_decoded: bool = False,
        table: dict[int, str] | None = None,
    ) -> None:
        self.text = text
        self._table = table
        self._character_ends: list[int] = []
        self.is_guess = is_guess or (parent is not None and parent.is_guess)
        self.is_decoded = is_decoded or (parent is not None and parent.is_decoded)
        self._parent = parent
        self.is_base64 = False
        # Pieces, in order: where each starts here, and its start and end in the parent.
        self._starts: list[int] = []
        self._source_starts: list[int] = []
        self._source_ends: list[int] = []

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Return the smallest range of the text as written that holds a range of this view.

        Args:
            start: The start in this view's text, in characters.
            end: The end, after the start.

        Example:
            >>> from llmops_sdk.guardrails.normalise import views
            >>> view = list(views("to ada%40example.org"))[1]
            >>> view.text, view.original(3, 18)
            ('to ada@example.org', (3, 20))
        """
        if self._parent is None:
            return start, end
        return self._parent.original(self._place(start, is_end=False), self._place(end - 1, is_end=True))

    def _place(self, position: int, *, is_end: bool) -> int:
        if self.is_base64:
            place = self._source_starts[0] + position // 3 * 4
            return min(place + 4, self._source_ends[0]) if is_end else place
        if self._table is not None and self._parent is not None:
            if not self._character_ends:
                lengths = map(len, map(self._table.__getitem__, map(ord, self._parent.text)))
                self._character_ends.extend(accumulate(lengths))
            return bisect_right(self._character_ends, position) + is_end
        piece = bisect_right(self._starts, position) - 1
        start, first, last = self._starts[piece], self._source_starts[piece], self._source_ends[piece]
        following = self._starts[piece + 1] if piece + 1 < len(self._starts) else len(self.text)
        if following - start == last - first:
            return first + position - start + is_end
        return last if is_end else first

    @property
    def pieces(self) -> tuple[list[int], list[int], list[int]]:
        """Of each piece, in order: where it starts here, and its start and its end in the parent."""
        return self._starts, self._source_starts, self._source_ends

    def add(self, start: int, first: int, last: int) -> None:
        """Append a piece: where it starts here, and its start and end in the parent."""
        self._starts.append(start)
        self._source_starts.append(first)
        self._source_ends.append(last)


def replaced(source: View, changes: Iterable[tuple[int, int, str]], *, is_guess: bool = False) -> View:
    """Return a view with parts of another one replaced, or that one if nothing is."""
    view = View("", source, is_guess=is_guess)
    starts, firsts, lasts = view.pieces
    text = source.text
    parts: list[str] = []
    done = length = 0
    for start, end, new in changes:
        if start > done:
            starts.append(length)
            firsts.append(done)
            lasts.append(start)
            parts.append(text[done:start])
            length += start - done
        if new:
            starts.append(length)
            firsts.append(start)
            lasts.append(end)
            parts.append(new)
            length += len(new)
        done = end
    if not done:
        return source
    if done < len(text):
        view.add(length, done, len(text))
        parts.append(text[done:])
    view.text = "".join(parts)
    return view if view.text != text else source
