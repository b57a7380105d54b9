"""Leads that end soon after the death of their process, on servers that do not see it: short leases, renewed."""

from __future__ import annotations

import threading
from collections.abc import Callable

from llmops_sdk._util._clock import SYSTEM_CLOCK
from llmops_sdk._util._daemon import start_daemon
from llmops_sdk._util._guard import guarded
from llmops_sdk.caching.backends._protocol import BackendError

__all__ = ["LEASE", "LONGEST", "Leases"]

LEASE = 10.0
"""Seconds after which the lead of a process that has died ends."""
LONGEST = 3_600.0
"""Seconds of the longest lead: no call takes longer."""
_PER_LEASE = 4
"""How often in that time a lease is renewed."""


class Leases:
    """The leads of one backend's process: one thread renews them while there are any.

    Args:
        renew: Extends the lease of a key and a token by some seconds, and returns whether the token still leads.
        ended: Called after the last lead has ended.
        lease: Seconds of a lease.
    """

    def __init__(
        self, renew: Callable[[str, str, float], bool], ended: Callable[[], None], lease: float = LEASE
    ) -> None:
        self._renew = renew
        self._ended = ended
        self._lease = lease
        self._lock = threading.Lock()
        self._held: dict[str, tuple[str, float]] = {}
        self._wake = threading.Event()
        self._runs = False

    def first(self, seconds: float) -> float:
        """Return the seconds of a first lease for a lead of at most so many seconds."""
        return min(seconds, self._lease)

    def hold(self, key: str, token: str, seconds: float) -> None:
        """Renew the lease of a token until `drop`, for at most so many seconds."""
        with self._lock:
            self._held[token] = key, SYSTEM_CLOCK.monotonic() + seconds
            if not self._runs:
                self._wake.clear()
                self._runs = start_daemon(self._run, "llmops-leases") is not None

    def drop(self, token: str) -> None:
        """Renew the lease of a token no more."""
        with self._lock:
            self._held.pop(token, None)
            if not self._held:
                self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.wait(self._lease / _PER_LEASE)
            with self._lock:
                if not self._held:
                    self._runs = False
                    break
                # A lead that ended while another began: the wait goes on.
                self._wake.clear()
                held = list(self._held.items())
            for token, (key, until) in held:
                left = until - SYSTEM_CLOCK.monotonic()
                if left <= 0 or not guarded("cache lease", False, self._extend, key, token, min(left, self._lease)):
                    with self._lock:
                        self._held.pop(token, None)
        guarded("cache lease", None, self._ended)

    def _extend(self, key: str, token: str, seconds: float) -> bool:
        try:
            return self._renew(key, token, seconds)
        except BackendError:
            return True  # tried again soon; the calls themselves report a server that is away
