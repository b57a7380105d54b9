"""Runs of digits and gaps, which may hold card numbers, and where a stream can cut a text without cutting a card."""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["ASCII_RUN", "LONGEST", "RUN", "SHORTEST", "settled_length"]

SHORTEST, LONGEST = 12, 19
"""The numbers of digits that a card may have."""

# Characters that people, word processors and attackers put between the digits of one number: spaces, dashes and
# zero-width characters, at most three at a time. The parts of the pattern begin with different characters and never
# backtrack, so that the time is linear.
_GAP = (
    r"[ \t_\-\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000\u2010-\u2015\u2212\ufe58\ufe63\uff0d"
    r"\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff]{1,3}+"
)
RUN = re.compile(rf"\d++(?:{_GAP}\d++)*+")
ASCII_RUN = re.compile(rf"[0-9](?=[0-9 \t_-]{{{SHORTEST - 1}}})[0-9]*+(?:[ \t_-]{{1,3}}+[0-9]++)*+")
"""In a text in ASCII, each run that is long enough for a card, and few others."""
_END_OF_GAP = re.compile(rf"(?:{_GAP})?")
# A number after "+" with at most so many digits is a telephone number.
_PHONE = 15
# Beyond this length a text is cut although a number may then be taken for a card instead of a fraction.
_MAX_HELD = 512

_Find = Callable[[str], list[tuple[int, int, str]]]


def settled_length(text: str, find_cards: _Find) -> int:
    """Return where an unfinished text can be cut, close to its end.

    For any `rest`, the cards in `text + rest` are those in the part before the cut, and those after it.

    Args:
        text: The text so far.
        find_cards: Returns the start, end and digits of every card in a text.
    """
    runs = list(RUN.finditer(text))
    if not runs or not _END_OF_GAP.fullmatch(text, runs[-1].end()):
        return _cut_before(text, len(text), find_cards)
    last = runs[-1]
    inside = _cut_inside(text, last.start(), last.group(), find_cards)
    return _cut_before(text, last.start(), find_cards) if inside is None else inside


def _cut_inside(text: str, offset: int, run: str, find_cards: _Find) -> int | None:
    """Return where to cut a run of digits, or None.

    If 20 digits begin with a group of digits, later digits decide nothing about a card that begins there.
    """
    places = [place for place, character in enumerate(run) if character.isdecimal()]
    final = len(places) - LONGEST - 1
    if final < 0:
        return None
    starts = [digit for digit in range(len(places)) if digit == 0 or places[digit] != places[digit - 1] + 1]
    group = max(start for start in starts if start <= final)
    group_end = min((start for start in starts if start > group), default=len(places))
    if group_end - group > 2 * LONGEST + 1:
        # The group is too long for a card. Each part of it must stay too long.
        return offset + places[group_end - LONGEST - 1]
    least = _PHONE + 1 if text[offset - 1 : offset] == "+" else 1
    cards = [(start - offset, end - offset) for start, end, _ in find_cards(text) if end > offset]
    for start in reversed(starts):
        place = places[start]
        if least <= start <= final and not any(first < place < end for first, end in cards):
            return offset + place
    return None


def _cut_before(text: str, place: int, find_cards: _Find) -> int:
    """Return where to cut a text before a number at `place`, so that the second part has what tells a card."""
    first = place
    while first:
        before = text[first - 1]
        if before == "+":
            return first - 1
        if before not in {".", ","} or not text[first - 2 : first - 1].isdecimal():
            return first
        # The second part needs one digit before the point. A card that ends there must not lose it.
        if find_cards(text[: first - 2]) == find_cards(text[: first - 1]):
            return first - 2
        if place - first > _MAX_HELD:
            return place
        first = next(run.start() for run in RUN.finditer(text) if run.end() == first - 1)
    return 0
