"""Decide with a server's word which calls may pass: no request to it is made under a lock or in an event loop."""

from __future__ import annotations

import random
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from llmops_sdk._util._daemon import start_daemon
from llmops_sdk._util._guard import guarded
from llmops_sdk.resilience.limits._admission import Admission, Entry
from llmops_sdk.resilience.limits._calls import record_lowered
from llmops_sdk.resilience.limits._pass import Outcome, Pass
from llmops_sdk.shared._server import BackendError
from llmops_sdk.shared._state import Bucket, Claim, Grant, Slots

__all__ = ["ServerAdmission"]

_POLL_SECONDS = (0.010, 0.050)
"""The head of the queue asks the server again after a time between these."""

_STALE_SECONDS = 10.0
"""An answer of the server that takes longer does not come: an exception of a signal handler ended the request."""

_MOST_THREADS = 8


class ServerAdmission(Admission):
    """As `Admission`, over a state on a server.

    A call that finds nobody waiting asks the server itself, at the same time as others. In the queue only the head
    asks: when a call of this process leaves, and every 10 to 50 ms, because other processes tell nobody. A daemon
    thread renews the slots of the calls inside.
    """

    def _reset(self) -> None:
        super()._reset()
        self._pool: ThreadPoolExecutor | None = None
        self._asking_since: float | None = None
        self._renews = False

    @property
    def pool(self) -> ThreadPoolExecutor:
        """Return the threads in which async code talks to the server."""
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(_MOST_THREADS, thread_name_prefix="llmops-limit")
            return self._pool

    def ask(self, one: Pass) -> bool:
        """Ask the server if nobody waits; return whether the call passed."""
        if self._queue or self._must_wait(one):
            return False
        claims = one.claims = self.claims.of_call(one.tokens)
        grant = self.state.claim(one.holder, claims)
        return self._answer(one, claims, grant)

    def poll(self) -> list[Pass]:
        """Ask the server for the head of the queue, and for the next ones, until it refuses one."""
        passed: list[Pass] = []
        if self._abandoned:
            self._collect()
        with self._lock:
            now, head = self.clock.monotonic(), self._queue.head
            if head is None or (self._due is not None and now < self._due) or self._is_asking(now):
                return passed
            self._asking_since = now
        try:
            while head is not None and not self._must_wait(head):
                claims = head.claims = self.claims.of_call(head.tokens)
                try:
                    grant = self.state.claim(head.holder, claims)
                except BackendError as error:
                    self._fail(head, error)
                    break
                if not self._answer(head, claims, grant):
                    break
                passed.append(head)
                with self._lock:
                    head = self._queue.head
        finally:
            self._asking_since = None
        return passed

    def leave(self, one: Pass) -> None:
        """Undo what a call has asked for; a request that is under way undoes it later."""
        with self._lock:
            self._queue.discard(one)
            entry = self._inside.pop(one.holder, (self.state, one.claims, None))
            refund = self._refund(one) if one.stage == "inside" else ()
            one.stage = "left"
            self._on_room()
        if one.claims:
            self._call_server(one.holder, entry, refund)

    def finish(self, one: Pass, tokens: float | None, outcome: Outcome) -> None:
        """End a call inside, and let the next one pass."""
        with self._lock:
            entry = self._inside.pop(one.holder, None)
            lowered = self._end(one, outcome)
        if lowered is not None:
            record_lowered(self.name, lowered, outcome)
        if entry is not None:
            self._call_server(one.holder, entry, self._correction(one, tokens))
        if self._abandoned:
            self._collect()

    def renew(self) -> bool:
        """Renew the slots of the calls inside; return False if there are none."""
        with self._lock:
            inside = list(self._inside.items())
            self._renews = bool(inside)
        for holder, (state, claims, _) in inside:
            if slots := [claim for claim in claims if isinstance(claim, Slots)]:
                guarded("renew a slot of a limit", None, state.renew, holder, slots)
        return bool(inside)

    def _must_wait(self, one: Pass) -> bool:
        if self._headroom is None:
            return False
        with self._lock:
            return self._is_held_back(one)

    def _collect(self) -> None:
        with self._lock:
            lost = self._lost()
            for holder, _ in lost:
                self._inside.pop(holder, None)
            self._abandoned.clear()
        for holder, entry in lost:
            self._call_server(holder, entry, ())

    def _is_asking(self, now: float) -> bool:
        return self._asking_since is not None and now - self._asking_since < _STALE_SECONDS

    def _answer(self, one: Pass, claims: tuple[Claim, ...], grant: Grant) -> bool:
        """Act on the server's answer; return whether the call passed."""
        with self._lock:
            left = one.stage == "left"
            if grant.refused is not None:
                self._refuse(one, grant.refused, grant.wait)
                return False
            if not left:
                self._queue.discard(one)
                self._enter(one, claims)
                left = not self._wake(one)
        if left:
            self._release(one.holder, (self.state, claims, None), self._refund(one))
            return False
        if (tokens := self.claims.tokens) is not None and one.tokens > tokens.capacity:
            self._release(one.holder, (self.state, (), None), (self.claims.debt(one.tokens),))
        if self.claims.slots is not None and not self._renews:
            self._start_renewing(self.claims.slots.seconds / 3)
        return True

    def _fail(self, one: Pass, error: BackendError) -> None:
        """Let the call whose turn it is raise the server's error."""
        with self._lock:
            self._queue.discard(one)
            one.error = error
            self._wake(one)

    def _refuse(self, one: Pass, key: str, wait: float | None) -> None:
        super()._refuse(one, key, wait)
        shortest, longest = _POLL_SECONDS
        pause = random.uniform(shortest, longest)  # noqa: S311 - no secret
        self._due = self.clock.monotonic() + (pause if wait is None else wait + pause / 10)

    def _admit(self) -> list[Pass]:
        """Tell the head that it keeps the time; who talks to the server does so without the lock."""
        while (head := self._queue.head) is not None and not (self._is_told(head) or self._wake(head)):
            pass
        return []

    def _on_room(self) -> None:
        self._due = self.clock.monotonic()
        self._timekeeper = ("", 0.0)
        self._admit()

    def _give_back(self, holder: str, entry: Entry, refund: tuple[Bucket, ...]) -> None:
        """Do nothing under the lock; those who call the server do it afterwards."""

    def _call_server(self, holder: str, entry: Entry, refund: tuple[Bucket, ...]) -> None:
        if _in_event_loop():
            try:
                self.pool.submit(self._release, holder, entry, refund)
            except RuntimeError:  # the interpreter is ending
                self._release(holder, entry, refund)
        else:
            self._release(holder, entry, refund)

    def _release(self, holder: str, entry: Entry, refund: tuple[Bucket, ...]) -> None:
        state, claims, _ = entry
        guarded("release a slot of a limit", None, lambda: state.release(holder, claims, refund=refund))
        with self._lock:
            self._on_room()

    def _start_renewing(self, seconds: float) -> None:
        self._renews = True
        reference: weakref.ref[ServerAdmission] = weakref.ref(self)
        if start_daemon(lambda: _renew_until_idle(reference, seconds), "llmops-limit-renewal") is None:
            self._renews = False


def _renew_until_idle(reference: weakref.ref[ServerAdmission], seconds: float) -> None:
    never = threading.Event()
    while not never.wait(seconds):
        admission = reference()
        if admission is None or not admission.renew():
            return
        del admission


def _in_event_loop() -> bool:
    events: Any = sys.modules.get("asyncio.events")
    return events is not None and events._get_running_loop() is not None
