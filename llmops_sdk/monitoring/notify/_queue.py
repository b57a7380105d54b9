"""The queue of notifications: durable, in order for each notifier, and with a thread for each of them."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk._util._daemon import start_daemon
from llmops_sdk._util._guard import guarded
from llmops_sdk._util._latch import Latch
from llmops_sdk.config import NotifierSettings
from llmops_sdk.errors import NotifierError
from llmops_sdk.monitoring._notification import Notification
from llmops_sdk.monitoring.notify._alertmanager import AlertmanagerSender
from llmops_sdk.monitoring.notify._email import EmailSender
from llmops_sdk.monitoring.notify._lane import Lane
from llmops_sdk.monitoring.notify._local import CommandSender, FileSender
from llmops_sdk.monitoring.notify._sender import Sender
from llmops_sdk.monitoring.notify._slack import SlackSender
from llmops_sdk.monitoring.notify._spool import DeadLetter, Spool, dead_letters, opened_spools
from llmops_sdk.monitoring.notify._webhook import WebhookSender
from llmops_sdk.store.files._filesystems import refuse_network
from llmops_sdk.store.lines._count_loss import count_loss

if TYPE_CHECKING:
    from llmops_sdk.config import Settings

__all__ = ["NotificationQueue", "Waiting", "dead", "open_queue", "open_sender", "pending"]

_log = logging.getLogger("llmops_sdk")
_PUMP_SECONDS = 60.0
"""Seconds for which `pump` waits: a receiver may answer a byte at a time."""
_LONGEST_NAP = 30.0
"""Seconds after which a thread looks at its spool in any case: another process may have put something there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A message that waits.

    Attributes:
        notifier: The notifier's name.
        message_id: The message's id.
        notification: What will be sent.
        queued: When it was put into the queue, in seconds since the epoch.
        failures: How many tries have failed.
    """

    notifier: str
    message_id: str
    notification: Notification
    queued: float
    failures: int


class NotificationQueue:
    """Keeps notifications until their receivers have them. Use it as one object for one watcher; threads may share it.

    Args:
        lanes: The lanes of the notifiers.
        clock: The time.
    """

    def __init__(self, lanes: Sequence[Lane], clock: Clock) -> None:
        self._lanes = {lane.name: lane for lane in lanes}
        self._clock = clock
        self._latches = {lane.name: Latch() for lane in lanes}
        self._threads: list[threading.Thread] = []
        self._closing = False

    def put(self, notification: Notification, names: Sequence[str]) -> None:
        """Keep a notification for each of some notifiers, and return once it is on the disk.

        A second call with the same id, state and repeat changes nothing, also after a restart and after it was sent.

        Args:
            notification: The notification.
            names: The notifiers' names.

        Raises:
            NotifierError: There is no notifier of that name.
            StoreError: The disk is full, or the folder cannot be written.
        """
        for name in names:
            if name not in self._lanes:
                known = ", ".join(self._lanes) or "none"
                raise NotifierError(f"there is no [notify.{name}]: add it, or use {known}", notifier=name)
        now = self._clock.time()
        for name in names:
            if self._lanes[name].put(notification, now):
                self._latches[name].set()

    def pump(self, now: float) -> float | None:
        """Send what is due, to all notifiers at the same time, and return when each has answered or a minute is over.

        Args:
            now: Seconds since the epoch.

        Returns:
            When to come again, or None when nothing waits.
        """
        busy = [lane for lane in self._lanes.values() if lane.waiting()]
        found: list[float | None] = []

        def run(lane: Lane) -> None:
            found.append(guarded("sending notifications", now + _LONGEST_NAP, lane.pump, now))

        threads = [start_daemon(lambda lane=lane: run(lane), f"llmops-notify-{lane.name}") for lane in busy]
        until = SYSTEM_CLOCK.monotonic() + _PUMP_SECONDS
        for lane, thread in zip(busy, threads, strict=True):
            if thread is None:
                run(lane)
            else:
                thread.join(max(until - SYSTEM_CLOCK.monotonic(), 0.0))
        return min((again for again in found if again is not None), default=None)

    def start(self) -> None:
        """Send in the background, with a thread for each notifier, until `close`."""
        if self._threads:
            return
        self._closing = False
        for name in self._lanes:
            thread = start_daemon(lambda name=name: self._serve(name), f"llmops-notify-{name}")
            if thread is not None:
                self._threads.append(thread)

    def _serve(self, name: str) -> None:
        lane, latch = self._lanes[name], self._latches[name]
        while not self._closing:
            now = self._clock.time()
            again = guarded("sending notifications", now + _LONGEST_NAP, lane.pump, now)
            latch.wait(_LONGEST_NAP if again is None else min(max(again - self._clock.time(), 0.05), _LONGEST_NAP))

    def close(self, timeout: float = 2.0) -> None:
        """End the threads. What waits stays on the disk, and the next queue sends it.

        Args:
            timeout: Seconds to wait for requests that are under way.
        """
        self._closing = True
        for latch in self._latches.values():
            latch.set()
        until = SYSTEM_CLOCK.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(until - SYSTEM_CLOCK.monotonic(), 0.0))
        self._threads.clear()

    def sizes(self) -> dict[str, int]:
        """Return how many messages wait, by the notifiers' names."""
        return {name: lane.waiting() for name, lane in self._lanes.items()}


def open_queue(settings: Settings, folder: Path, clock: Clock = SYSTEM_CLOCK) -> NotificationQueue:
    """Open the queue of `[notify.*]`; its spools are in the store's folder.

    Args:
        settings: The settings in force.
        folder: The store's folder.
        clock: The time.

    Raises:
        StoreError: A folder cannot be made, is a link, can be changed by another user, or is on a network file system.
    """
    if settings.store.network == "refuse":
        refuse_network(folder.absolute())
    for name, own in settings.notify.items():
        for variable in (own.url_env, own.secret_env, own.password_env):
            if variable is not None and not os.environ.get(variable, "").strip():
                # Now, and not when the first alert waits for it.
                _log.warning("llmops: [notify.%s] needs the environment variable %s: set it", name, variable)

    def lose(reason: str, count: int) -> None:
        guarded("counting lost notifications", None, count_loss, folder, "notification", reason, count, 0)

    return NotificationQueue(
        [
            Lane(
                name,
                own,
                open_sender(name, own, clock),
                Spool(folder, name),
                dead_after=settings.watch.dead_letter_after,
                lose=lose,
            )
            for name, own in settings.notify.items()
        ],
        clock,
    )


def open_sender(name: str, settings: NotifierSettings, clock: Clock) -> Sender:
    """Return what sends to a receiver.

    Args:
        name: The notifier's name.
        settings: Its settings.
        clock: The time.
    """
    match settings.kind:
        case "webhook":
            return WebhookSender(name, settings, clock)
        case "slack":
            return SlackSender(name, settings)
        case "email":
            return EmailSender(name, settings)
        case "alertmanager":
            return AlertmanagerSender(name, settings)
        case "command":
            return CommandSender(name, settings)
        case "file":
            return FileSender(name, settings)


def pending(folder: Path) -> list[Waiting]:
    """Return the messages that wait in a store, by notifier, the oldest first.

    Args:
        folder: The store's folder.
    """
    found: list[Waiting] = []
    for name in opened_spools(folder):
        spool = Spool(folder, name)
        batch, failures = spool.sending()
        found += [
            Waiting(
                notifier=name,
                message_id=message.id,
                notification=message.notification,
                queued=message.queued,
                failures=failures if file in batch else 0,
            )
            for file in spool.names()
            if (message := spool.read(file)) is not None
        ]
    return found


def dead(folder: Path) -> list[tuple[str, DeadLetter]]:
    """Return the messages of a store that were given up, with the names of their notifiers, the oldest first.

    Args:
        folder: The store's folder.
    """
    return [(name, letter) for name, spool in opened_spools(folder).items() for letter in dead_letters(spool)]
