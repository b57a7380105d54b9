"""Decide whether a run may start another item within its budget."""

from __future__ import annotations

__all__ = ["Spending"]


class Spending:
    """What a run has spent, and what the items in flight will probably cost. In USD; unpriced calls count nothing.

    Args:
        limit: The budget, or None for no limit.
    """

    def __init__(self, limit: float | None) -> None:
        self._limit = limit
        self.spent = 0.0
        self._finished = 0
        self._in_flight = 0

    def is_reached(self) -> bool:
        """Return whether another item would probably exceed the budget: an item costs the mean of those before."""
        if self._limit is None or not self._finished:
            return self._limit is not None and self.spent >= self._limit
        usual = self.spent / self._finished
        return self.spent >= self._limit or self.spent + usual * (self._in_flight + 1) > self._limit * (1 + 1e-9)

    def must_wait(self) -> bool:
        """Return whether to wait for the first item, which tells what an item costs."""
        return self._limit is not None and not self._finished and self._in_flight > 0

    def start(self) -> None:
        """Note that an item starts."""
        self._in_flight += 1

    def add(self, cost: float | None) -> None:
        """Note the cost of some calls.

        Args:
            cost: USD, or None when unknown.
        """
        self.spent += cost or 0.0

    def finish(self, *, ran: bool) -> None:
        """Note that an item has ended.

        Args:
            ran: Whether it made calls; a reused one says nothing about the cost of the next.
        """
        self._in_flight -= 1
        self._finished += ran
