"""The order in which a trace is drawn: every span once, also orphans and circles, with own time and critical path."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Node", "Placed", "place"]


@dataclass(frozen=True, slots=True)
class Node:
    """A span of a trace, as far as the tree needs it."""

    span_id: str
    parent_id: str | None
    start_ns: int
    duration_ns: int


@dataclass(slots=True)
class Placed:
    """A span's place in the drawing.

    Attributes:
        index: Its place in the given list.
        depth: Its level, from 0.
        own_ns: The time in which no child ran.
        is_orphan: Whether its parent is not in the trace, or is below it.
        on_critical_path: Whether a faster span would have ended the trace earlier.
    """

    index: int
    depth: int
    own_ns: int
    is_orphan: bool
    on_critical_path: bool = False


def place(nodes: Sequence[Node]) -> list[Placed]:
    """Return every span in drawing order: parents first, then children by their start.

    Of spans with the same id the first has the children. A circle begins at its earliest span.

    Args:
        nodes: The spans of one trace.
    """
    first: dict[str, int] = {}
    by_start = sorted(range(len(nodes)), key=lambda number: (nodes[number].start_ns, nodes[number].span_id))
    for number in by_start:
        first.setdefault(nodes[number].span_id, number)
    children: dict[int, list[int]] = defaultdict(list)
    tops: list[int] = []
    for number in by_start:
        parent = first.get(nodes[number].parent_id or "")
        (tops if parent is None or parent == number else children[parent]).append(number)
    placed: dict[int, Placed] = {}
    # Again all spans after the tops: the spans of a circle have no top.
    for top in [*tops, *by_start]:
        stack = [] if top in placed else [(top, 0)]
        while stack:
            number, depth = stack.pop()
            if number in placed:
                continue
            below = [child for child in children[number] if child not in placed]
            is_orphan = depth == 0 and nodes[number].parent_id is not None
            placed[number] = Placed(number, depth, _own(nodes, number, below), is_orphan)
            stack += [(child, depth + 1) for child in reversed(below)]
    _mark_critical(nodes, placed, children, tops)
    return list(placed.values())


def _end(node: Node) -> int:
    return node.start_ns + node.duration_ns


def _own(nodes: Sequence[Node], number: int, children: Sequence[int]) -> int:
    """Return a span's time without that of its children, of which several may run at once."""
    span = nodes[number]
    covered, until = 0, span.start_ns
    for child in children:
        start = max(nodes[child].start_ns, until)
        end = min(_end(nodes[child]), _end(span))
        if end > start:
            covered += end - start
            until = end
    return span.duration_ns - covered


def _mark_critical(
    nodes: Sequence[Node], placed: dict[int, Placed], children: dict[int, list[int]], tops: Sequence[int]
) -> None:
    """Mark the critical path, backwards from the end: the child that ended last, then the one before its start."""
    roots = [number for number in tops if nodes[number].parent_id is None] or list(tops)
    if not roots:
        return
    top = max(roots, key=lambda number: nodes[number].duration_ns)
    stack = [(top, _end(nodes[top]))]
    while stack:
        number, until = stack.pop()
        placed[number].on_critical_path = True
        is_last = True
        for child in sorted(children[number], key=lambda child: -_end(nodes[child])):
            end = _end(nodes[child])
            # The last one may outlive its parent. Another that ends later ran beside one that is on the path.
            if nodes[child].start_ns < until and end >= nodes[number].start_ns and (is_last or end <= until):
                stack.append((child, min(end, until)))
                until, is_last = nodes[child].start_ns, False
