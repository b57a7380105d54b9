"""Align two traces: children by kind and name in their order, level by level."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

__all__ = ["align"]

Row: TypeAlias = Mapping[str, Any]

_MAX_SIBLINGS = 500


def align(a: Sequence[Row], b: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the spans of two traces side by side, in drawing order.

    Siblings are aligned by the longest common subsequence of their kinds and names; of more than some hundred, by their
    names and their order alone. Each line has `depth`, and `a` and `b`: the place in each list, or None.

    Args:
        a: The spans of a trace in drawing order, with `depth`, `kind` and `name`.
        b: Those of the other trace.
    """
    lines: list[dict[str, Any]] = []
    below_a, below_b = _children(a), _children(b)
    stack = list(reversed(_pairs(a, b, below_a[None], below_b[None])))
    depth = dict.fromkeys(stack, 0)
    while stack:
        pair = stack.pop()
        left, right = pair
        lines.append({"depth": depth[pair], "a": left, "b": right})
        inner = _pairs(a, b, below_a[left] if left is not None else [], below_b[right] if right is not None else [])
        for one in reversed(inner):
            depth[one] = depth[pair] + 1
            stack.append(one)
    return lines


def _children(spans: Sequence[Row]) -> defaultdict[int | None, list[int]]:
    """Return the children of each span, from the depths in drawing order."""
    found: defaultdict[int | None, list[int]] = defaultdict(list)
    path: list[int] = []
    for number, row in enumerate(spans):
        del path[row["depth"] :]
        found[path[-1] if path else None].append(number)
        path.append(number)
    return found


_Pair: TypeAlias = tuple[int | None, int | None]


def _pairs(a: Sequence[Row], b: Sequence[Row], left: Sequence[int], right: Sequence[int]) -> list[_Pair]:
    keys_a = [(a[one]["kind"], a[one]["name"]) for one in left]
    keys_b = [(b[one]["kind"], b[one]["name"]) for one in right]
    is_large = max(len(left), len(right)) > _MAX_SIBLINGS
    common = _by_buckets(keys_a, keys_b) if is_large else _longest_common(keys_a, keys_b)
    pairs: list[_Pair] = []
    done_a = done_b = 0
    for place_a, place_b in [*common, (len(left), len(right))]:
        pairs += [(one, None) for one in left[done_a:place_a]]
        pairs += [(None, one) for one in right[done_b:place_b]]
        if place_a < len(left):
            pairs.append((left[place_a], right[place_b]))
        done_a, done_b = place_a + 1, place_b + 1
    return pairs


def _longest_common(a: Sequence[object], b: Sequence[object]) -> list[tuple[int, int]]:
    lengths = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i in range(len(a) - 1, -1, -1):
        for j in range(len(b) - 1, -1, -1):
            lengths[i][j] = lengths[i + 1][j + 1] + 1 if a[i] == b[j] else max(lengths[i + 1][j], lengths[i][j + 1])
    found: list[tuple[int, int]] = []
    i = j = 0
    while i < len(a) and j < len(b):
        if a[i] == b[j]:
            found.append((i, j))
            i, j = i + 1, j + 1
        elif lengths[i + 1][j] >= lengths[i][j + 1]:
            i += 1
        else:
            j += 1
    return found


def _by_buckets(a: Sequence[object], b: Sequence[object]) -> list[tuple[int, int]]:
    """Pair equal keys in their order, as long as no pair crosses another."""
    places: dict[object, list[int]] = defaultdict(list)
    for place in range(len(b) - 1, -1, -1):
        places[b[place]].append(place)
    found: list[tuple[int, int]] = []
    after = -1
    for place, key in enumerate(a):
        waiting = places[key]
        while waiting and waiting[-1] <= after:
            waiting.pop()
        if waiting:
            after = waiting.pop()
            found.append((place, after))
    return found
