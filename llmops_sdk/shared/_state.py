"""The interface of what limits and budgets keep, in this process or on a server that many processes share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

__all__ = ["Bucket", "Claim", "Grant", "SharedState", "Slots", "Tally", "TallyGrant"]


class Slots(NamedTuple):
    """A number of calls at the same time.

    Attributes:
        key: What is limited.
        limit: The most holders at the same time.
        seconds: After this time without `renew` a holder counts as dead, and its slot is free.
    """

    key: str
    limit: int
    seconds: float = 60.0


class Bucket(NamedTuple):
    """A token bucket: an amount that is taken at once, and comes back steadily.

    Attributes:
        key: What is limited.
        amount: The amount to take; above `capacity` it counts as `capacity`.
        rate: The amount that comes back in a second.
        capacity: The largest amount in the bucket, which a new bucket has.
    """

    key: str
    amount: float
    rate: float
    capacity: float


Claim = Slots | Bucket


class Grant(NamedTuple):
    """What came of claims.

    Attributes:
        refused: The key of the first claim that was refused, or None when all of them are granted.
        wait: Seconds until that claim can be granted; None when it depends on another holder.
    """

    refused: str | None = None
    wait: float | None = None


class Tally(NamedTuple):
    """A sum over a time window, with a limit.

    Attributes:
        key: Whose sum of which window; a new window has another key.
        amount: The amount to reserve.
        limit: The sum of what is spent and reserved must stay at or below this; None for no limit.
        seconds: Seconds after which nobody needs the sum any more.
        start: What was spent before this state began, e.g. as read from the store; counts when the key is new.
    """

    key: str
    amount: float
    limit: float | None
    seconds: float
    start: float = 0.0


class TallyGrant(NamedTuple):
    """What came of reservations.

    Attributes:
        refused: The index of the first tally whose limit is reached, or None when all amounts are reserved.
        sums: What is spent and reserved, for each tally, this reservation included if it was granted.
    """

    refused: int | None
    sums: tuple[float, ...]


class SharedState(Protocol):
    """Slots, buckets and sums by key. Each call is atomic: all claims are granted, or nothing changes.

    Methods raise `BackendError` when the server is away; the in-process state never does.
    """

    @property
    def blocking(self) -> bool:
        """Return whether calls wait for a server, so that async code makes them in a thread."""
        ...

    @property
    def place(self) -> str:
        """Return where the state is, in words without a secret."""
        ...

    def claim(self, holder: str, claims: Sequence[Claim]) -> Grant:
        """Take every claim for this holder, or none."""
        ...

    def renew(self, holder: str, claims: Sequence[Slots]) -> None:
        """Keep the slots of a holder for another `Slots.seconds`."""
        ...

    def release(self, holder: str, claims: Sequence[Claim], *, refund: Sequence[Bucket] = ()) -> None:
        """Give the slots of a holder back, and correct buckets: a negative amount takes more than was estimated."""
        ...

    def drain(self, key: str, amount: float, seconds: float) -> None:
        """Let at most `amount` be in a bucket for the next seconds, as a server's rate-limit headers say."""
        ...

    def pause(self, key: str, seconds: float) -> None:
        """Note that nothing may pass for some seconds; a longer pause in force stays."""
        ...

    def paused(self, key: str) -> float:
        """Return the seconds until the pause ends; 0.0 if there is none."""
        ...

    def reserve(self, tallies: Sequence[Tally]) -> TallyGrant:
        """Reserve every amount, or none."""
        ...

    def settle(self, tallies: Sequence[Tally], actual: Sequence[float]) -> None:
        """Replace reserved amounts (those of the tallies) by the actual ones."""
        ...

    def close(self) -> None:
        """Release connections."""
        ...
