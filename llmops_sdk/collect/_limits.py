"""The limits of a collector."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from llmops_sdk._util._public import public

__all__ = ["Limits", "MemoryBudget"]

_MIB = 1024 * 1024


@public("llmops_sdk.collect")
@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of a collector.

    Attributes:
        body_bytes: The maximum bytes of one request body, compressed and decompressed.
        expansion: How many times its size a compressed body may become, beyond 1 MiB.
        elements: The maximum number of spans, attributes, events, links and values in one request. A span counts as
            ten.
        free_elements: The number of these that any request may have; each further one needs a byte that was sent.
        waiting_bytes: The maximum bytes of all bodies that are being received or wait to be decoded.
        connections: The maximum number of connections. Each has a thread. A further one takes the place of the
            connection that has been idle or stalled for longest; if all are busy, it gets a 503.
        turns: The number of requests that are decoded at the same time. The others wait.
        turn_seconds: Seconds that a request waits to be decoded before it gets a 503.
        idle_seconds: Seconds after which an idle connection is closed.
        request_seconds: Seconds in which a request must arrive completely.
        stop_seconds: Seconds that running requests have to end when the collector stops.
    """

    body_bytes: int = 32 * _MIB
    expansion: int = 100
    elements: int = 400_000
    free_elements: int = 100_000
    waiting_bytes: int = 128 * _MIB
    connections: int = 64
    turns: int = 2
    turn_seconds: float = 5.0
    idle_seconds: float = 75.0
    request_seconds: float = 30.0
    stop_seconds: float = 10.0


class MemoryBudget:
    """A number of bytes that may be in memory at the same time."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._lock = threading.Lock()

    def acquire(self, size: int) -> bool:
        """Take bytes from the budget; return False if too few are left."""
        with self._lock:
            if size > self._left:
                return False
            self._left -= size
            return True

    def release(self, size: int) -> None:
        """Give bytes back."""
        with self._lock:
            self._left += size
