"""Decide whether a run may start another item within its budget."""

from __future__ import annotations

__all__ = ["Spending"]

_ROUNDING = 1 + 1e-9


class Spending:
    """What a run has spent, and what the items in flight will probably cost. In USD; unpriced calls count nothing.

    Args:
        limit: The budget, or None for no limit.
    """

    def __init__(self, limit: float | None) -> None:
        self._limit = limit
        self.spent = 0.0
        self.in_flight = 0
        self._ended = 0
        self._spent_by_ended = 0.0

    def allows(self) -> bool:
        """Return whether another item probably fits: each item, also one in flight, costs the mean of those before.

        Before the first one has ended nobody knows what an item costs, so it runs alone.
        """
        if self._limit is None:
            return True
        if self.spent >= self._limit:
            return False
        if not self._ended:
            return not self.in_flight
        usual = self._spent_by_ended / self._ended
        return self._spent_by_ended + usual * (self.in_flight + 1) <= self._limit * _ROUNDING

    def start(self) -> None:
        """Note that an item starts."""
        self.in_flight += 1

    def add(self, cost: float | None) -> None:
        """Note the cost of calls of an item in flight.

        Args:
            cost: USD, or None when unknown.
        """
        self.spent += cost or 0.0

    def end(self, cost: float | None) -> None:
        """Note that an item has ended.

        Args:
            cost: What it cost, USD; None for a reused one, which says nothing about the next.
        """
        self.in_flight -= 1
        if cost is not None:
            self._ended += 1
            self._spent_by_ended += cost
