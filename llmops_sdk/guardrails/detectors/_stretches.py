r"""Cut a text into stretches that may hold findings, so that no finding reaches beyond its stretch.

Words are what stands between spaces. Most words of prose are *plain*: letters and punctuation. No finding consists of
plain words, so a detector looks only at the other words, each with one plain word on both sides, and with some more
behind a word such as "born", where a finding may go on.

A text can be cut before a plain word that no stretch holds: the findings before the cut and those behind it are the
same as if each part stood alone. That holds by construction. Whether a word is plain depends only on the word and the
one behind it, and the scan knows nothing of the text before its last cut. A stream uses the last such place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TypeAlias

__all__ = ["LONGEST_STRETCH", "Spans", "Stretches"]

LONGEST_STRETCH = 8192
"""A longer stretch is cut where the detector finds nothing; in characters."""
_EDGE = 256
"""Such a cut stands at least this far before the end of what the detector looked at."""
_LONGEST_PLAIN = 64
"""A longer word is never plain."""

Spans: TypeAlias = Callable[[str], Sequence[tuple[int, int]]]
"""Returns the start and end of each finding in a text."""

_SPACES = " \t\r\n\u3001\u3002\uff01\uff0c\uff1b\uff1f"
_SPACE = f"[{_SPACES}]"
_WORD = f"[^{_SPACES}]"
# Letters, except the forms of them that stand for ASCII letters; and the marks of scripts that have combining ones.
_LETTER = r"(?:[^\W\d_\uff00-\uffef\u2100-\u214f\U0001d400-\U0001d7ff]|(?!\d)[\u0591-\u06ff\u0900-\u109f])"
_OPENING = r"[(\"'\u2018\u201c]?"
_MARKS = r"[.,;:!?)\"'\u2019\u201d\u2026]{0,3}+"
_PLAIN = (
    rf"{_OPENING}(?:[A-Za-z]{{2,15}}+(?:['\u2019-][A-Za-z]{{1,15}}+)?"
    # A single letter is plain unless another follows, as in "a l i c e".
    rf"|{_LETTER}(?!{_MARKS}{_SPACE}{_WORD}(?!{_WORD}))"
    rf"|(?=[A-Za-z]{{0,15}}+[^\x00-\x7f]){_LETTER}{{2,40}}+(?:['\u2019-]{_LETTER}{{1,15}}+)?){_MARKS}(?!{_WORD})"
)
_LINE_STARTS = re.compile(rf"\n(?={_WORD}{{2}})")
_WORD_STARTS = re.compile(rf"{_SPACE}(?={_WORD}{{2}})")
_SIGNS = re.compile(r"[^A-Za-z0-9](?<!\s)")
_ANY_SPACE = re.compile(_SPACE)


class Stretches:
    """The rules of one detector.

    Args:
        context: A regular expression of words that are not plain.
        prefix: A regular expression of what may stand before them in the same word.
        far: A regular expression of what lets a finding go on for some more words.
        reach: The number of these words.
        opens: A text from which everything up to `closes` is one stretch, or "".
        closes: See there.
    """

    def __init__(
        self, *, context: str, far: str, reach: int, prefix: str = "", opens: str = "", closes: str = ""
    ) -> None:
        plain = rf"(?!{_OPENING}{prefix}(?:{context})){_PLAIN}"
        self._plain = re.compile(rf"{_SPACE}*+(?:({plain}){_SPACE}*+)*+")
        self._active = re.compile(rf"{_WORD}++(?:{_SPACE}++(?!{plain}){_WORD}++)*+")
        self._far = re.compile(far)
        self._near_words = re.compile(rf"{_SPACE}*+{_WORD}*+")
        self._far_words = re.compile(rf"(?:{_SPACE}*+{_WORD}*+){{{reach}}}")
        self._opens, self._closes = opens, closes

    def find(self, text: str, spans: Spans) -> Iterator[tuple[int, int]]:
        """Yield the start and end of each stretch, in order.

        Args:
            text: The text.
            spans: Says where findings are, so that none is cut.
        """
        for start, end in self._scan(text, len(text), len(text), spans):
            yield start, len(text[start:end].rstrip(_SPACES)) + start

    def settled(self, text: str, spans: Spans) -> int:
        """Return the last place where an unfinished text can be cut, whatever its rest is.

        Args:
            text: The text so far.
            spans: As for `find`.
        """
        scan = self._scan(text, *_certain(text), spans)
        while True:
            try:
                next(scan)
            except StopIteration as end:
                return end.value

    def _scan(self, text: str, last: int, cut: int, spans: Spans) -> Generator[tuple[int, int], None, int]:
        """Yield the stretches of the words that start up to `last`; return where to cut: at `cut` or before."""
        start = end = -1
        position = base = 0
        while True:
            margin, active = self._next_active(text, position)
            if active > last or active >= len(text):
                break
            run = self._active.match(text, active, active + LONGEST_STRETCH + 1)
            position = run.end() if run else active + 1
            reach = self._end_of_reach(text, active, position)
            if 0 <= start and margin < end:
                end = max(end, reach)
            else:
                if start >= 0:
                    yield start, end
                start, end = margin, reach
            if min(end, last) - start > LONGEST_STRETCH:
                base = position = start + _forced_cut(text[start : start + LONGEST_STRETCH], spans)
                yield start, base
                start = -1
        if start >= 0:
            yield start, end
            if last <= end:
                return start
        return max(base, cut)

    def _next_active(self, text: str, position: int) -> tuple[int, int]:
        """Return the starts of the plain word before the next other word, and of that one."""
        match = self._plain.match(text, position)
        if match is None:
            return position, position
        return (match.end() if match.start(1) < 0 else match.start(1)), match.end()

    def _end_of_reach(self, text: str, start: int, end: int) -> int:
        """Return the end of the words that may belong to a finding in a run of words."""
        is_far = self._far.search(text, start, end) is not None
        found = (self._far_words if is_far else self._near_words).match(text, end)
        reach = found.end() if found else end
        opened = text.rfind(self._opens, start, end) if self._opens else -1
        if opened < 0:
            return reach
        limit = start + 2 * LONGEST_STRETCH
        closed = text.find(self._closes, opened + len(self._opens), limit)
        if closed < 0:
            return max(reach, min(len(text), limit))
        found = self._far_words.match(text, closed)
        return max(reach, found.end() if found else closed)


def _certain(text: str) -> tuple[int, int]:
    """Return how far the rest of a text cannot change which words are plain, and the last start of a word up to there.

    The word at the end may go on, and whether the one before it is plain depends on that.
    """
    end = start = len(text)
    for _ in range(2 if text[-1:] in _SPACES else 3):
        end = len(text[:start].rstrip(_SPACES))
        start = max(text.rfind(space, 0, end) for space in _SPACES) + 1
        if end - start > _LONGEST_PLAIN:
            return end, start
    return start, start


def _forced_cut(window: str, spans: Spans) -> int:
    """Return where to cut a stretch that is too long: at a line, a word or a sign that is not inside a finding."""
    low, high = LONGEST_STRETCH // 2, len(window) - _EDGE
    is_inside = bytearray(len(window) + 1)
    for start, end in spans(window):
        is_inside[start + 1 : end] = b"\1" * (end - start - 1)
    for pattern in (_LINE_STARTS, _WORD_STARTS, _SIGNS):
        places = [match.end() for match in pattern.finditer(window, low, high)]
        for place in reversed(places):
            # The first part of a word that is cut must stay too long to be plain.
            if not is_inside[place] and (pattern is not _SIGNS or _is_in_long_word(window, place)):
                return place
    before = window[high - _LONGEST_PLAIN : high]
    space = max(before.rfind(space) for space in _SPACES)
    return high if space < 0 else high - _LONGEST_PLAIN + space + 1


def _is_in_long_word(window: str, place: int) -> bool:
    return _ANY_SPACE.search(window, place - _LONGEST_PLAIN, place) is None
