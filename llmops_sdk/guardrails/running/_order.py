"""The order of guards: those that keep the text may run in any order, so cheap ones run first, slow ones together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from llmops_sdk.guardrails._protocol import Guard

__all__ = ["groups", "is_slow", "keeps_text", "neighbours", "reads_whole"]

_T = TypeVar("_T")


def keeps_text(guard: Guard) -> bool:
    """Return whether a guard never replaces a text: it passes, flags or refuses."""
    return bool(getattr(guard, "keeps_text", False))


def reads_whole(guard: Guard) -> bool:
    """Return whether a guard reads whole texts, not the strings inside JSON."""
    return bool(getattr(guard, "whole_text", False))


def is_slow(guard: Guard) -> bool:
    """Return whether a guard waits for something, such as a model."""
    return bool(getattr(guard, "slow", hasattr(guard, "acheck")))


def groups(items: Sequence[_T], guard_of: Callable[[_T], Guard]) -> list[list[_T]]:
    """Return items in groups: within a group the order does not matter, and cheap guards come first.

    Args:
        items: What has the guards, in the order in which these were given.
        guard_of: Returns the guard of an item.
    """
    return [sorted(group, key=lambda item: is_slow(guard_of(item))) for group in neighbours(items, guard_of)]


def neighbours(items: Sequence[_T], guard_of: Callable[[_T], Guard]) -> list[list[_T]]:
    """Return items in the groups of `groups`, in the order in which they were given."""
    if len(items) < 2:
        return [[item] for item in items]
    found: list[list[_T]] = []
    for item in items:
        guard, last = guard_of(item), guard_of(found[-1][-1]) if found else None
        if last and keeps_text(last) and keeps_text(guard) and reads_whole(last) == reads_whole(guard):
            found[-1].append(item)
        else:
            found.append([item])
    return found
