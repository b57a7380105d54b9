"""Words that say how exactly, how usually or since when something holds.

They are fillers: most questions are the same with and without them. Two that contradict each other are not.
"""

from __future__ import annotations

from collections.abc import Sequence

from llmops_sdk.caching.semantic.lexical._tokens import BREAK, Word
from llmops_sdk.caching.semantic.lexical._words import words

__all__ = ["Degree", "degrees_of", "keep_degrees", "opposed_degrees"]

Degree = tuple[str, str]
"""What a word is about and what it says of it, such as ("precision", "exact")."""

_SAID = {
    ("precision", "approximate"): "roughly approximately approx",
    ("precision", "exact"): "exactly precisely",
    ("time", "usual"): "usually normally generally typically",
    ("time", "current"): "currently now moment",
    ("phase", "still"): "still",
    ("phase", "already"): "already",
    ("phase", "yet"): "yet",
}
_DEGREES: dict[str, Degree] = {word: degree for degree, said in _SAID.items() for word in words(said)}
_AMOUNTS = words("<howmany> <howmuch> <howlong> <howfar> <howold> <howoften> <howsoon> <when>")
_EXACT: Degree = ("precision", "exact")


def degrees_of(found: Sequence[Word]) -> frozenset[Degree]:
    """Return the degrees that the words of a text say."""
    return frozenset(_DEGREES[word.text] for word in found if word.text in _DEGREES)


def keep_degrees(found: Sequence[Word]) -> list[Word]:
    """Return the words with "too" as "excessively" where it is no "also": "too hot", and not "for me, too"."""
    kept = list(found)
    for at, word in enumerate(kept[:-1]):
        if word.text == "too" and kept[at + 1].text != BREAK:
            kept[at] = word._replace(text="excessively")
    return kept


def opposed_degrees(
    asked: frozenset[Degree], stored: frozenset[Degree], asked_keys: frozenset[str], stored_keys: frozenset[str]
) -> tuple[str, str] | None:
    """Return what two texts say of the same matter that does not agree, or None.

    Args:
        asked: The degrees of one text.
        stored: Those of the other text.
        asked_keys: The keys of that text's ways of asking, and "<value>" if it has a number.
        stored_keys: Those of the other text.
    """
    if asked == stored:
        return None
    for matter in sorted({matter for matter, _ in asked | stored}):
        one, other = ({said for about, said in side if about == matter} for side in (asked, stored))
        if one and other and one.isdisjoint(other):
            return " ".join(sorted(one)), " ".join(sorted(other))
    # "Exactly" asks for more only where an amount is asked for: "what exactly is interest" is "what is interest".
    if (_EXACT in asked) != (_EXACT in stored) and (asked_keys & stored_keys & _AMOUNTS or "<value>" in asked_keys):
        return ("exact", "") if _EXACT in asked else ("", "exact")
    return None
