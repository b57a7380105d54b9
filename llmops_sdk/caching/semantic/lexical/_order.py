"""Compare the order of words: parts of a sentence may move, words may not change places."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Literal

from llmops_sdk.caching.semantic.lexical._analyse import PREPOSITIONS

__all__ = ["Chunks", "Order", "order_of"]

Chunks = tuple[tuple[str, ...], ...]
# "same": as in the other text; "moved": whole parts moved; "folded": "place at a school" for "school place"; "differs":
# the same words in another order; "crossed": shared words are in another order, and there are other differences.
Order = Literal["same", "moved", "folded", "differs", "crossed"]

_FOLDING = frozenset({"of", "for", "at", "in", "on"})


def order_of(asked: Chunks, stored: Chunks, renamed: Mapping[str, str]) -> Order:
    """Return how the words of two texts stand to each other.

    Args:
        asked: The parts of the asked text.
        stored: The parts of the stored text.
        renamed: Keys that stand for others, such as misspellings.

    Example:
        >>> order_of((("move",), ("from", "a"), ("to", "b")), (("move",), ("to", "b"), ("from", "a")), {})
        'moved'
        >>> order_of((("move",), ("from", "a"), ("to", "b")), (("move",), ("from", "b"), ("to", "a")), {})
        'differs'
    """
    if renamed:
        asked, stored = (
            tuple(tuple(renamed.get(key, key) for key in chunk) for chunk in one) for one in (asked, stored)
        )
    if asked == stored:
        return "same"
    mine, theirs = Counter(_flat(asked)), Counter(_flat(stored))
    whole = mine == theirs
    folded = _fold(asked), _fold(stored)
    if not whole:
        shared = mine & theirs
        asked, stored = _only(asked, shared), _only(stored, shared)
    if _flat(asked) == _flat(stored):
        return "same"
    if Counter(asked) == Counter(stored) and _may_move(asked, stored):
        return "moved"
    shared = Counter(_flat(folded[0])) & Counter(_flat(folded[1]))
    kept = _only(folded[0], shared), _only(folded[1], shared)
    if Counter(kept[0]) == Counter(kept[1]):
        return "folded"
    if (
        not whole
        and (mine - theirs).keys() | (theirs - mine).keys() <= _FOLDING
        and not (mine - theirs and theirs - mine)
    ):
        # "the guest password of the network" may be a network guest password, or a guest network password.
        ends = [Counter((chunk[:-3], tuple(sorted(chunk[-3:]))) for chunk in one) for one in kept]
        if ends[0] == ends[1]:
            return "folded"
    return "differs" if whole else "crossed"


def _may_move(asked: Chunks, stored: Chunks) -> bool:
    """Return whether only parts with a preposition moved, or the question and the one statement before or after it."""
    mine, theirs = ([chunk for chunk in one if chunk[0] not in PREPOSITIONS] for one in (asked, stored))
    return mine == theirs or (len(mine) == 2 and any(chunk[0][0] == "<" for chunk in mine))


def _flat(chunks: Chunks) -> list[str]:
    return [key for chunk in chunks for key in chunk]


def _only(chunks: Chunks, shared: Counter[str]) -> Chunks:
    kept = (tuple(key for key in chunk if key in shared) for chunk in chunks)
    return tuple(chunk for chunk in kept if chunk)


def _fold(chunks: Chunks) -> Chunks:
    """Return the parts with "a place at a school" written as "a school place"."""
    folded: list[tuple[str, ...]] = []
    for place in range(len(chunks) - 1, -1, -1):
        chunk = chunks[place]
        *start, head = chunk
        while folded and head[0] not in "<#" and len(folded[-1]) > 1 and folded[-1][0] in _FOLDING:
            start += folded.pop()[1:]
        folded.append((*start, head))
    return tuple(reversed(folded))
