"""Read word lists that are written as text."""

from __future__ import annotations

__all__ = ["pairs", "words"]


def words(text: str) -> frozenset[str]:
    """Return the words of a list that spaces part."""
    return frozenset(text.split())


def pairs(text: str) -> frozenset[frozenset[str]]:
    """Return the pairs of a list that commas part: "in out, on off"."""
    return frozenset(frozenset(pair.split()) for pair in text.split(","))
