"""How much a collector takes at once, and how long it waits."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from llmops_sdk._util._public import public

__all__ = ["Budget", "Limits"]

_MIB = 1024 * 1024


@public("llmops_sdk.collect")
@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of a collector.

    Attributes:
        body_bytes: Bytes of one request's body, both as it comes and when it is unpacked.
        waiting_bytes: Bytes of all bodies together that are being received or wait for their turn.
        connections: Connections at once; a further one is answered 503. Each has a thread.
        turns: Requests that are decoded at once; the others wait.
        turn_seconds: Seconds that a request waits for its turn before it is answered 503.
        idle_seconds: Seconds without a byte after which a connection that waits for a request is closed.
        request_seconds: Seconds in which a request must have come as a whole.
        stop_seconds: Seconds that requests under way have to end when the collector stops.
    """

    body_bytes: int = 32 * _MIB
    waiting_bytes: int = 128 * _MIB
    connections: int = 64
    turns: int = 2
    turn_seconds: float = 5.0
    idle_seconds: float = 75.0
    request_seconds: float = 30.0
    stop_seconds: float = 10.0


class Budget:
    """Bytes that may be in memory at once.

    Args:
        size: How many.
    """

    def __init__(self, size: int) -> None:
        self._left = size
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        """Take some, if so many are left."""
        with self._lock:
            if size > self._left:
                return False
            self._left -= size
            return True

    def give(self, size: int) -> None:
        """Give them back."""
        with self._lock:
            self._left += size
