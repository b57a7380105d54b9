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
import string
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import cached_property, partial
from typing import Any, TypeAlias

from llmops_sdk.guardrails.detectors._signs import SignSearch, compiled
from llmops_sdk.guardrails.detectors._skeleton import LONGEST_PLAIN, SPACES, is_long_word, skeleton_of, with_long_words
from llmops_sdk.guardrails.detectors._word_groups import groups, runs_in
from llmops_sdk.guardrails.normalise import Decoding, QuickRead, Read

__all__ = ["LONGEST_STRETCH", "Reading", "Spans", "Stretches"]

LONGEST_STRETCH = 8192
"""A longer stretch is cut where the detector finds nothing; in characters."""
_EDGE = 256
"""Such a cut stands at least this far before the end of what the detector looked at."""
_BASE64 = string.ascii_letters + string.digits + "+/_-"
_BASE64_BYTES = _BASE64.encode()
_GROUP = 16
"""So many characters of base64 are whole bytes, and these are whole groups if they are base64 themselves."""

Spans: TypeAlias = Callable[..., Sequence[tuple[int, int]]]
"""Returns the start and end of each finding in a text; takes it, and `read`, which says how to read it."""

Reading: TypeAlias = Callable[[str, Decoding], Read | None]

_SPACE = f"[{SPACES}]"
_WORD = f"[^{SPACES}]"
_LINE_STARTS = re.compile(rf"\n(?={_WORD}{{2}})")
_WORD_STARTS = re.compile(rf"{_SPACE}(?={_WORD}{{2}})")
_SIGNS = re.compile(r"[^A-Za-z0-9](?<!\s)")
_DIGIT = re.compile("[0-9]")
_ANY_SPACE = re.compile(_SPACE)
_SKELETON_SPACE = re.compile(rb"[ \t\r\n]")
_NEAR_WORDS = re.compile(rf"{_SPACE}*+{_WORD}*+")
_PLAIN_WORDS = re.compile(rf"{_WORD}++")
_PART = 4096
"""A long text is read in parts of this length, or longer ones where all words may belong to findings."""
_LONGEST_SEARCHED = 1 << 18
"""Of a longer part, which has no prose, each stretch is read."""
_LEAST_AT_ONCE, _MOST_AT_ONCE = 1 << 10, 1 << 20
"""The stretches of a shorter part are found faster one by one, and those of a longer part so to bound the memory."""
_WINDOW = 160
"""A text is cut between words of prose. So many characters of it are enough."""

# In the form of a text that the linear engine reads: see `_skeleton`.
_W, _S = r"[^ \t\r\n]", r"[ \t\r\n]"
_ACTIVE = r"[^A-Za-z .,;:!'\"()\t\r\n-]|[A-Za-z]{16}"
# Two letters stand alone in English; others may be a word in spaced letters.
_LETTER = r"[B-HJ-Zb-hj-z]\b"
_SPELLED = rf"(?<!{_WORD})[(\[\"'<]?{_WORD}{_SPACE}{{1,3}}{_WORD}(?!{_WORD})"
_SPELLED_SIGN = rf"(?:^|{_S})[(\[\"'<]?{_W}{_S}{{1,3}}(?:{_W}(?:{_S}|$)|{_LETTER})"


class Stretches:
    """The rules of one detector.

    Args:
        context: A regular expression, of google-re2, of parts of words that are not plain though they consist of
            letters.
        far: A regular expression of what lets a finding go on for some more words.
        reach: The number of these words.
        far_digits: Whether a digit lets a finding go on so, too.
        far_signs: A regular expression, of google-re2, of what each match of `far` overlaps in a skeleton, or "".
        opens: A text from which everything up to `closes` is one stretch, or "".
        closes: See there.
    """

    def __init__(
        self,
        *,
        context: str,
        far: str,
        reach: int,
        far_digits: bool = False,
        far_signs: str = "",
        opens: str = "",
        closes: str = "",
    ) -> None:
        word = rf"{_W}*(?:{_ACTIVE}|{context}){_W}*"
        self._context = rf"{context}|[A-Za-z]{{16}}"
        # A run of such words, and the plain word before it.
        first = rf"(?:{_W}+{_S}+)?(?:{word})|{_W}+{_S}+{_LETTER}"
        self._run_pattern = rf"(?:{first})(?:{_S}+(?:{word}|{_LETTER}))*"
        self._far = re.compile(rf"{far}|{_SPELLED}")
        self._far_words = re.compile(rf"(?:{_SPACE}*+{_WORD}*+){{{reach}}}")
        self._reach = reach
        self._far_digits = far_digits
        self._far_signs = rf"{far_signs}|{_SPELLED_SIGN}" if far_signs else ""
        self._opens, self._closes = opens, closes

    @cached_property
    def _runs(self) -> Any:
        return compiled(self._run_pattern)

    @cached_property
    def _far_search(self) -> Any:
        return compiled(self._far_signs)

    def find(
        self, text: str, spans: Spans, reading: Reading, decoding: Decoding, signs: SignSearch | None = None
    ) -> Iterator[tuple[int, int, Read]]:
        """Yield the start and end of each stretch that may hold a finding, in order, and how to read it.

        Args:
            text: The text.
            spans: Says where findings are, so that none is cut.
            reading: Tells quickly how to read the stretches of a text, or None if none holds a finding.
            decoding: How much base64 may be decoded.
            signs: Finds the places that may hold a finding, or None if each stretch may hold one.

        Raises:
            MissingDependencyError: google-re2 is not installed.
        """
        read = reading(text, decoding)
        if read is None:
            return
        parts = list(self.parts(text)) if len(text) > 2 * _PART else []
        for base, last in parts or ((0, len(text)),):
            part = text[base:last]
            if len(parts) > 1:
                read = reading(part, decoding)
            if read is None:
                continue
            places: list[tuple[int, int]] | None = None
            if signs and isinstance(read, QuickRead) and len(part) <= _LONGEST_SEARCHED:
                places = signs.places_in(read, len(part))
            if places is None:
                yield from self._find(part, base, spans, read, reading, decoding)
            else:
                yield from self._find_near(part, base, spans, read, places)

    def _find_near(
        self, text: str, base: int, spans: Spans, read: Read, places: list[tuple[int, int]]
    ) -> Iterator[tuple[int, int, Read]]:
        """Yield the stretches that overlap one of some places, of a part that starts at `base`."""
        near = 0
        for start, end in self._stretches(text, spans, read):
            while near < len(places) and places[near][1] <= start:
                near += 1
            if near == len(places):
                return
            if places[near][0] < end:
                yield base + start, base + end, read

    def _stretches(self, text: str, spans: Spans, read: Read) -> Iterator[tuple[int, int]]:
        """Yield the start and end of each stretch of a text."""
        skeleton = skeleton_of(text)
        found = self._groups(text, skeleton)
        if found is not None:
            yield from found
            return
        last = len(text)
        for start, end in self._scan(
            text, skeleton, self._spans_of_runs(skeleton), last, last, partial(spans, read=read)
        ):
            yield start, start + len(text[start:end].rstrip(SPACES))

    def _spans_of_runs(self, skeleton: bytes) -> Iterator[tuple[int, int]]:
        """Yield the start and end of each run of words that are not plain, with the plain word before it."""
        if is_long_word(skeleton):
            yield 0, len(skeleton)
            return
        for match in self._runs.finditer(with_long_words(skeleton)):
            yield match.span()

    def _groups(self, text: str, skeleton: bytes) -> list[tuple[int, int]] | None:
        """Return the stretches of a text, or None if one may be too long."""
        if not _LEAST_AT_ONCE <= len(text) <= _MOST_AT_ONCE or (self._opens and self._opens in text):
            return None
        runs = runs_in(skeleton, self._context, LONGEST_STRETCH)
        if runs is None or not len(runs.starts):
            return None if runs is None else []
        if (runs.stops - runs.starts).max() > LONGEST_STRETCH:
            return None
        far = runs.has_digit if self._far_digits else runs.has_digit & False
        for run in ((runs.has_sign > far) if self._far_signs else ~far).nonzero()[0].tolist():
            far[run] = self._is_far(text, skeleton, int(runs.starts[run]), int(runs.stops[run]))
        found = groups(runs, far, self._reach)
        return None if any(end - start > LONGEST_STRETCH for start, end in found) else found

    def _find(
        self, text: str, base: int, spans: Spans, read: Read, reading: Reading, decoding: Decoding
    ) -> Iterator[tuple[int, int, Read]]:
        """Yield the stretches of a part that starts at `base`."""
        is_checked = False
        for start, end in self._stretches(text, spans, read):
            yield base + start, base + end, read
            if decoding.is_cut and not is_checked:
                is_checked = True
                if reading(text[end:], decoding) is None:
                    return

    def parts(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield the start and end of parts of a text, cut where no stretch is.

        Args:
            text: The text.

        Raises:
            MissingDependencyError: google-re2 is not installed.
        """
        start, at = 0, _PART
        is_whole = self._opens and self._opens in text
        while not is_whole and at + _WINDOW < len(text):
            cut = self._cut_in(text, at)
            if cut:
                yield start, cut
                start, at = cut, cut + _PART
            else:
                # Few cuts are looked for where there are none, as in one long word.
                at += max(_WINDOW // 2, (at - start) // 16)
        yield start, len(text)

    def _cut_in(self, text: str, at: int) -> int:
        """Return where to cut a text in the window at a place, or 0 if all its words may be in stretches."""
        window = text[at : at + _WINDOW]
        words = list(_PLAIN_WORDS.finditer(window))[1:-1]
        # A stretch before the window takes the first words, and one behind it takes the last one.
        if len(words) < self._reach + 4:
            return 0
        skeleton = with_long_words(skeleton_of(window[words[0].start() : words[-1].end()]))
        if self._runs.search(skeleton):
            return 0
        return at + words[-2].start()

    def settled(self, text: str, spans: Spans) -> int:
        """Return the last place where an unfinished text can be cut, whatever its rest is.

        Args:
            text: The text so far.
            spans: As for `find`.

        Raises:
            MissingDependencyError: google-re2 is not installed.
        """
        skeleton = skeleton_of(text)
        scan = self._scan(text, skeleton, self._spans_of_runs(skeleton), *_certain(text), spans)
        while True:
            try:
                next(scan)
            except StopIteration as end:
                return end.value

    def _scan(
        self, text: str, skeleton: bytes, runs: Iterator[tuple[int, int]], last: int, cut: int, spans: Spans
    ) -> Generator[tuple[int, int], None, int]:
        """Yield the stretches of the words that start up to `last`; return where to cut: at `cut` or before."""
        start = end = -1
        base, forced_until = 0, -1
        members: list[tuple[int, int]] = []
        again: deque[tuple[int, int]] = deque()
        while run := again.popleft() if again else next(runs, None):
            if run[0] > last:
                break
            stop = run[1]
            first = self._after_cut(skeleton, max(run[0], base), stop, is_cut=run[0] < base)
            if first >= stop:
                continue
            reach = self._end_of_reach(text, skeleton, first, stop)
            if start >= 0 and first < end:
                end = max(end, reach)
            else:
                if start >= 0:
                    yield start, end
                start, end, members = first, reach, []
            members.append((first, stop))
            if min(end, last) - start > LONGEST_STRETCH:
                base = _forced_cut(text, skeleton, start, spans)
                yield start, base
                forced_until, start = start + LONGEST_STRETCH, -1
                again.extendleft(reversed([one for one in members if one[1] > base]))
        place = max(base, cut)
        if start >= 0:
            yield start, end
            place = start if last <= end else place
        # Without the text up to `forced_until`, the stretch would not be too long.
        return place if place > forced_until else base

    def _after_cut(self, skeleton: bytes, first: int, stop: int, *, is_cut: bool) -> int:
        """Return where the rest of a run starts behind a forced cut: the part of a word there may be plain."""
        if not is_cut or first >= stop:
            return first
        space = _SKELETON_SPACE.search(skeleton, first, min(stop, first + LONGEST_PLAIN + 1))
        if space is not None or stop - first > LONGEST_PLAIN or self._runs.search(skeleton[first:stop]):
            return first
        return stop

    def _is_far(self, text: str, skeleton: bytes, start: int, stop: int) -> bool:
        if self._far_signs and not self._far_search.search(skeleton, max(0, start - 1), stop + 1):
            return False
        return self._far.search(text, start, stop) is not None

    def _end_of_reach(self, text: str, skeleton: bytes, start: int, stop: int) -> int:
        """Return the end of the words that may belong to a finding in a run of words."""
        if stop - start > LONGEST_STRETCH:
            return stop
        # Most runs of words that go on have a digit, which is found much faster.
        is_far = (self._far_digits and _DIGIT.search(text, start, stop)) or self._is_far(text, skeleton, start, stop)
        found = (self._far_words if is_far else _NEAR_WORDS).match(text, stop)
        reach = found.end() if found else stop
        opened = text.rfind(self._opens, start, stop) if self._opens else -1
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
    for _ in range(2 if text[-1:] in SPACES else 3):
        end = len(text[:start].rstrip(SPACES))
        start = max(text.rfind(space, 0, end) for space in SPACES) + 1
        if end - start > LONGEST_PLAIN:
            return end, start
    return start, start


def _forced_cut(text: str, skeleton: bytes, start: int, spans: Spans) -> int:
    """Return where to cut a stretch that is too long: at a line, a word or a sign that is not inside a finding.

    Args:
        text: The text.
        skeleton: The text as `skeleton_of` returns it.
        start: Where the stretch starts.
        spans: Says where findings are.
    """
    end = start + LONGEST_STRETCH
    first = end - LONGEST_STRETCH // 4
    high = end - _EDGE - first
    high_place = first + high
    encoded = high_place - start
    if skeleton[start:high_place].translate(None, _BASE64_BYTES):
        encoded -= len(text[start:high_place].rstrip(_BASE64))
    if encoded >= LONGEST_STRETCH // 2:
        # Both the cut and the window keep groups of base64 whole, also of base64 in base64.
        first -= encoded % _GROUP
    window = text[first:end]
    low = len(window) // 4
    is_inside = bytearray(len(window) + 1)
    for begin, stop in spans(window):
        is_inside[begin + 1 : stop] = b"\1" * (stop - begin - 1)
    if encoded >= LONGEST_STRETCH // 2:
        return first + next((place for place in range(high, low, -_GROUP) if not is_inside[place]), high)
    for pattern in (_LINE_STARTS, _WORD_STARTS, _SIGNS):
        places = [match.end() for match in pattern.finditer(window, low, high)]
        for place in reversed(places):
            # The first part of a word that is cut must stay too long to be plain.
            if not is_inside[place] and (pattern is not _SIGNS or _is_in_long_word(window, place)):
                return first + place
    before = window[high - LONGEST_PLAIN : high]
    space = max(before.rfind(space) for space in SPACES)
    return first + (high if space < 0 else high - LONGEST_PLAIN + space + 1)


def _is_in_long_word(window: str, place: int) -> bool:
    return _ANY_SPACE.search(window, place - LONGEST_PLAIN - 1, place) is None
