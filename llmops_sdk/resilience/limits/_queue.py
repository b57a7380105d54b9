"""A queue in which callers take turns."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["FairQueue"]

_T = TypeVar("_T", bound=Hashable)


class FairQueue(Generic[_T]):
    """A queue of lines: each caller has a line in order of arrival, and the lines take turns.

    Every operation takes constant time. Each change is a series of steps that can be repeated, so that `discard`
    repairs a change that an exception of a signal handler, such as Ctrl-C, interrupted.

    Attributes:
        owners: Whose line each item is in. Empty, it is a faster test for an empty queue than the queue itself.

    Example:
        >>> from llmops_sdk.resilience.limits._queue import FairQueue
        >>> queue: FairQueue[str] = FairQueue()
        >>> for item in ("anna 1", "anna 2", "ben 1"):
        ...     queue.push(item, item.split()[0])
        >>> [queue.take() for _ in range(3)]
        ['anna 1', 'ben 1', 'anna 2']
    """

    __slots__ = ("_lines", "owners")

    def __init__(self) -> None:
        self.owners: dict[_T, str] = {}
        self._lines: OrderedDict[str, OrderedDict[_T, None]] = OrderedDict()

    def __len__(self) -> int:
        return len(self.owners)

    @property
    def head(self) -> _T | None:
        """Return the item whose turn it is, or None if the queue is empty."""
        while self._lines:
            who, line = next(iter(self._lines.items()))
            if line:
                return next(iter(line))
            del self._lines[who]  # an interrupted change left it
        self.owners.clear()  # likewise
        return None

    def push(self, item: _T, who: str) -> None:
        """Add an item at the end of its caller's line."""
        self.owners[item] = who
        line = self._lines.get(who)
        if line is None:
            line = self._lines[who] = OrderedDict()
        line[item] = None

    def take(self) -> _T | None:
        """Remove the head, and let the next caller have a turn; return None if the queue is empty."""
        item = self.head
        if item is not None:
            who = self.owners.get(item, "")
            self.discard(item)
            if who in self._lines:
                self._lines.move_to_end(who)
        return item

    def last_of_longest(self, who: str) -> _T | None:
        """Return the last item of the longest line; None unless that is longer than the caller's would become."""
        longest = max(self._lines.values(), key=len, default=None)
        own = self._lines.get(who)
        if longest is None or len(longest) <= (0 if own is None else len(own)) + 1:
            return None
        return next(reversed(longest))

    def discard(self, item: _T) -> None:
        """Remove an item, if it is there."""
        who = self.owners.get(item)
        if who is None:
            return
        line = self._lines.get(who)
        if line is not None:
            line.pop(item, None)
            if not line:
                self._lines.pop(who, None)
        self.owners.pop(item, None)
