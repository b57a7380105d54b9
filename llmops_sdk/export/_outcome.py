"""The outcome of an attempt to export a batch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["DeliveryStatus", "Outcome"]


class DeliveryStatus(Enum):
    """The answer of a backend to a batch."""

    ACCEPTED = "accepted"
    RETRY = "retry"
    TOO_LARGE = "too_large"
    REFUSED = "refused"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The outcome of one attempt to export a batch.

    Attributes:
        status: The answer of the backend.
        reason: Why it was not accepted, for a person to read.
        lost: Records of an accepted batch that the backend rejected or that could not be converted.
        retry_after: Seconds that the backend asked to wait, or None.
    """

    status: DeliveryStatus
    reason: str = ""
    lost: int = 0
    retry_after: float | None = None
