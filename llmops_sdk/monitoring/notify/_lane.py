"""The lane of one notifier: what is sent when, in order, with retries, a rate and an end.

A message that cannot be sent holds up those behind it, so that the end of an alert never comes before its beginning.
"""

from __future__ import annotations

import logging
import random
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from llmops_sdk._util._guard import guarded
from llmops_sdk.config import NotifierSettings
from llmops_sdk.errors import NotifierError
from llmops_sdk.monitoring._notification import Notification
from llmops_sdk.monitoring.notify._message import Message, cleaned, message_id
from llmops_sdk.monitoring.notify._sender import Sender
from llmops_sdk.monitoring.notify._spool import Spool
from llmops_sdk.store.files._locks import exclusive_lock

__all__ = ["Lane"]

_MINUTE = 60.0
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 900.0
_BUSY = 5.0
"""Seconds after which a lane looks again that another process works on."""
_MAX_WAITING = 10_000
_MAX_DIGEST = 1_000
_WARN_EVERY = 300.0
_SLACK = 1.0
"""Seconds by which sums of times may differ."""

_log = logging.getLogger("llmops_sdk")


class Lane:
    """Sends the messages of one notifier, one after the other. Threads may share it.

    Args:
        name: The notifier's name.
        settings: Its settings.
        sender: Sends to the receiver.
        spool: The messages.
        dead_after: Seconds for which a message is tried.
        lose: Called with the reason and the number of messages that were given up.
        jitter: Returns a number from 0 to 1.
    """

    def __init__(
        self,
        name: str,
        settings: NotifierSettings,
        sender: Sender,
        spool: Spool,
        *,
        dead_after: float,
        lose: Callable[[str, int], None],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.name = name
        self._settings = settings
        self._sender = sender
        self._spool = spool
        self._dead_after = dead_after
        self._lose = lose
        self._jitter = jitter
        self._lock = threading.Lock()
        self._sent: deque[float] = deque()
        self._not_before = 0.0
        self._longest_wait = 0.0
        self._warned_at: float | None = None
        self._batch, self._failures = spool.sending()
        self._delivered: list[str] = []
        """What the receiver has, and the disk does not know yet."""

    def put(self, notification: Notification, now: float) -> bool:
        """Keep a notification until it is sent; False if it is not for this notifier, waits or was sent already.

        Raises:
            StoreError: The disk is full, or the folder cannot be written.
        """
        if notification.state == "resolved" and not self._settings.resolved:
            return False
        own = cleaned(notification, content=self._settings.content)
        if not self._spool.put(Message(id=message_id(own), notification=own, queued=now)):
            return False
        names = self._spool.names()
        if len(names) > _MAX_WAITING:
            self._lose("queue_full", self._spool.give_up(names[: len(names) - _MAX_WAITING], "queue_full", now))
        return True

    def waiting(self) -> int:
        """Return how many messages wait."""
        return len(self._spool.names())

    def pump(self, now: float) -> float | None:
        """Send what is due.

        Args:
            now: Seconds since the epoch.

        Returns:
            When to come again, or None when nothing waits.
        """
        with self._lock:
            if not self._spool.names():
                return None
            with exclusive_lock(self._spool.folder, name="send.lock") as taken:
                if not taken:
                    return now + _BUSY
                self._finish()
                while names := self._spool.recover():
                    again = self._due(now)
                    if again > now:
                        return again
                    self._step(names, now)
                return None

    def _due(self, now: float) -> float:
        """Return when the next try may be made."""
        if self._not_before - now > self._longest_wait + _SLACK:
            self._not_before = now  # the clock was set back
        while self._sent and not 0 <= now - self._sent[0] < _MINUTE:
            self._sent.popleft()
        is_full = len(self._sent) >= self._settings.max_per_minute
        return max(self._not_before, self._sent[0] + _MINUTE if is_full else now)

    def _step(self, names: Sequence[str], now: float) -> None:
        """Make one try."""
        self._batch = [name for name in self._batch if name in names] or self._next_batch(names)
        found = {name: self._spool.read(name) for name in self._batch}
        unreadable = [name for name, message in found.items() if message is None]
        if unreadable:
            self._give_up(unreadable, "unreadable", now)
            return
        with suppress(OSError):  # on a full disk it is sent all the same
            self._spool.note_sending(self._batch, self._failures)
        error = guarded("sending a notification", _unknown(self.name), self._try, [*filter(None, found.values())])
        if error is None:
            self._delivered = list(self._batch)
            self._sent.append(now)
            self._batch, self._failures = [], 0
            self._wait(now, self._sender.pause)
            self._finish()
            return
        self._failures += 1
        self._warn(error, now)
        old = [name for name, one in found.items() if one is not None and abs(now - one.queued) >= self._dead_after]
        if error.permanent or old:
            self._give_up(self._batch if error.permanent else old, str(error), now)
            return
        oldest = min(message.queued for message in found.values() if message is not None)
        pause = self._jitter() * min(_FIRST_PAUSE * 2 ** min(self._failures, 20), _LONGEST_PAUSE)
        # A last try when its time is over, even if the receiver asks for more.
        self._wait(now, min(max(pause, error.retry_after or 0.0), max(oldest + self._dead_after - now, 1.0)))

    def _finish(self) -> None:
        """Note on the disk what was delivered. While that fails, nothing more is sent, and nothing twice."""
        if self._delivered:
            self._spool.finish(self._delivered)
            self._delivered = []

    def _try(self, batch: Sequence[Message]) -> NotifierError | None:
        try:
            self._sender.send(batch)
        except NotifierError as error:
            return error
        return None

    def _next_batch(self, names: Sequence[str]) -> list[str]:
        """Return the next message, or all that wait when they are more than this minute has room for."""
        room = self._settings.max_per_minute - len(self._sent)
        return list(names[:_MAX_DIGEST] if room <= 1 else names[:1])

    def _give_up(self, names: Sequence[str], reason: str, now: float) -> None:
        self._lose("dead_letter", self._spool.give_up(names, reason, now))
        self._batch, self._failures = [], 0
        self._wait(now, 0.0)

    def _wait(self, now: float, seconds: float) -> None:
        self._not_before, self._longest_wait = now + seconds, seconds

    def _warn(self, error: NotifierError, now: float) -> None:
        if self._warned_at is None or abs(now - self._warned_at) >= _WARN_EVERY:
            self._warned_at = now
            then = "is given up" if error.permanent else "is kept and sent again"
            _log.warning("llmops: %s; the notification %s", error, then)


def _unknown(name: str) -> NotifierError:
    return NotifierError(f"[notify.{name}] failed; the log says why", notifier=name)
