"""Single flight in this process: of several calls that ask the same at the same time, one is made."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import Future
from types import TracebackType
from typing import Literal, Self, TypeAlias

from llmops_sdk.caching.exact._codec import Entry

__all__ = ["Flight", "FlightTimeoutError", "Flights", "Outcome"]

Outcome: TypeAlias = "Entry | Literal['failed', 'unshared']"
"""An answer for all; "failed": the leader has none, the next caller leads; "unshared": each caller asks for itself."""


class FlightTimeoutError(TimeoutError):
    """An identical call of another caller did not end in time."""


class Flight:
    """One call under way; its leader ends it by leaving the `with`, or before.

    Attributes:
        owner: The leader's thread or task.
        outcome: The leader's result; "failed" until it sets another.
    """

    def __init__(self, flights: Flights, key: tuple[int, str], owner: object) -> None:
        self._flights = flights
        self._key = key
        self._future: Future[Outcome] = Future()
        # A running future cannot be cancelled: a follower that gives up does not end the others' wait.
        self._future.set_running_or_notify_cancel()
        self.owner = owner
        self.outcome: Outcome = "failed"

    def wait(self, seconds: float | None) -> Outcome:
        """Return the leader's result.

        Raises:
            FlightTimeoutError: The leader has none within `seconds`.
        """
        try:
            return self._future.result(seconds)
        except TimeoutError as error:
            raise FlightTimeoutError from error

    async def wait_async(self, seconds: float | None) -> Outcome:
        """Return the leader's result, async; see `wait`."""
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.wrap_future(self._future)
        except TimeoutError as error:
            raise FlightTimeoutError from error

    def end(self, outcome: Outcome) -> None:
        """End the flight; a second time does nothing."""
        if self._future.done():
            return
        # Remove it first: a caller that comes now leads a new flight and does not join one that is over.
        self._flights.under_way.pop(self._key, None)
        self._future.set_result(outcome)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.end(self.outcome)


class Flights:
    """The calls under way in this process."""

    def __init__(self) -> None:
        # `setdefault` is atomic, so no lock is needed. The process id keeps a forked child from waiting for leaders
        # that exist only in its parent.
        self.under_way: dict[tuple[int, str], Flight] = {}

    def join(self, key: str, owner: object) -> tuple[Flight, bool]:
        """Return the flight of a key, and whether the caller (`owner`, a thread or task) leads it."""
        place = (os.getpid(), key)
        mine = Flight(self, place, owner)
        flight = self.under_way.setdefault(place, mine)
        return flight, flight is mine
