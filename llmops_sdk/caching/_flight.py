"""Single flight: of several calls that ask the same at the same time, one is made."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import Future
from types import TracebackType
from typing import Literal, TypeAlias

from llmops_sdk.caching._codec import Entry

__all__ = ["Flight", "FlightTimeoutError", "Flights", "Outcome"]

Outcome: TypeAlias = "Entry | Literal['failed', 'unshared']"
"""An answer for all; "failed": the leader has none, the next one leads; "unshared": each has to ask for itself."""


class FlightTimeoutError(TimeoutError):
    """The call of another, which asks the same, did not end in time."""


class Flight:
    """One call under way; its leader lands it by leaving the `with`.

    Attributes:
        outcome: What the leader came to; "failed" until it says otherwise.
    """

    def __init__(self, flights: Flights, key: tuple[int, str], owner: object) -> None:
        self._flights = flights
        self._key = key
        self._future: Future[Outcome] = Future()
        # A running future cannot be cancelled: a follower that gives up takes nobody with it.
        self._future.set_running_or_notify_cancel()
        self.owner = owner
        self.outcome: Outcome = "failed"

    def wait(self, seconds: float | None) -> Outcome:
        """What the leader came to.

        Raises:
            FlightTimeoutError: It came to nothing within `seconds`.
        """
        try:
            return self._future.result(seconds)
        except TimeoutError as error:
            raise FlightTimeoutError from error

    async def await_(self, seconds: float | None) -> Outcome:
        """The async twin of `wait`."""
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.wrap_future(self._future)
        except TimeoutError as error:
            raise FlightTimeoutError from error

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        # First out of the list, so that whoever comes now leads anew instead of joining what is over.
        self._flights.under_way.pop(self._key, None)
        self._future.set_result(self.outcome)


class Flights:
    """The calls under way in this process."""

    def __init__(self) -> None:
        # No lock is needed: `setdefault` is one step. The process id keeps a forked child from waiting for leaders
        # that exist only in its parent.
        self.under_way: dict[tuple[int, str], Flight] = {}

    def join(self, key: str, owner: object) -> tuple[Flight, bool]:
        """The flight of a key, and whether the caller leads it.

        Args:
            key: What is asked.
            owner: The caller's thread or task.
        """
        place = (os.getpid(), key)
        mine = Flight(self, place, owner)
        flight = self.under_way.setdefault(place, mine)
        return flight, flight is mine
