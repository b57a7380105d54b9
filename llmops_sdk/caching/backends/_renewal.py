"""Keep the leads of this process alive in a store that does not see the death of a process by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable

__all__ = ["Renewals"]


class Renewals:
    """Renews leads from a thread of its own, which runs only while there are any.

    Args:
        renew: Renews the lead of a flight's key and a token; it does not raise.
        every: Seconds between two renewals.
    """

    def __init__(self, renew: Callable[[str, str], object], every: float) -> None:
        self._renew = renew
        self._every = every
        self._leads: dict[str, str] = {}
        self._lock = threading.Lock()
        self._runs = False

    def begin(self, flight: str, token: str) -> None:
        """Renew a lead from now on."""
        with self._lock:
            self._leads[token] = flight
            if self._runs:
                return
            self._runs = True
        # A daemon: a lead must not keep the process from ending.
        threading.Thread(target=self._run, name="llmops-cache-renewals", daemon=True).start()

    def end(self, token: str) -> None:
        """Renew a lead no more."""
        with self._lock:
            self._leads.pop(token, None)

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            pause.wait(self._every)
            with self._lock:
                leads = list(self._leads.items())
                if not leads:
                    self._runs = False
                    return
            for token, flight in leads:
                self._renew(flight, token)
