"""Run the watcher: in this process with `start` and `stop`, or as `llmops watch`."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk._util._daemon import start_daemon
from llmops_sdk._util._guard import Caught
from llmops_sdk.config import Settings, current
from llmops_sdk.errors import StoreError
from llmops_sdk.monitoring._notification import Notification
from llmops_sdk.monitoring._queue import Notifications
from llmops_sdk.monitoring.watch._jobs import Jobs, jobs_of
from llmops_sdk.monitoring.watch._ping import Ping
from llmops_sdk.monitoring.watch._serving import LastLook
from llmops_sdk.monitoring.watch._watcher import Watcher

__all__ = ["LookResult", "look_once", "open_notifications", "run_until", "start", "stop"]

_JOB_SECONDS = 3_600.0
_STOP_SECONDS = 5.0
_log = logging.getLogger("llmops_sdk")


class _Nobody:
    """The queue of a configuration without notifiers: the view `alerts` has everything."""

    def put(self, notification: Notification, names: Sequence[str]) -> None:
        del notification, names

    def close(self) -> None:
        pass


def open_notifications(settings: Settings, clock: Clock = SYSTEM_CLOCK) -> Callable[[Path], Notifications]:
    """Return what opens the queue of `[notify.*]` in a store's folder.

    Args:
        settings: The settings.
        clock: The clock.
    """

    def open_in(folder: Path) -> Notifications:
        if not settings.notify:
            return _Nobody()
        from llmops_sdk.monitoring.notify._queue import open_queue

        return open_queue(settings, folder, clock)

    return open_in


class LookResult(NamedTuple):
    """What one look found."""

    fires: bool
    """Whether an alert fires."""
    problems: Mapping[str, str]
    """Rules that could not be evaluated, with the reason."""


def look_once(settings: Settings, queue: Callable[[Path], Notifications], clock: Clock = SYSTEM_CLOCK) -> LookResult:
    """Look once, run the jobs that are due, and send what is due.

    Args:
        settings: The settings.
        queue: Makes the queue.
        clock: The clock.

    Raises:
        ConfigError: A rule is not valid.
        StoreError: Another watcher works on this store, or it cannot be read or written.
    """
    due = jobs_of(settings)
    watcher = Watcher(settings, queue, clock)
    try:
        jobs = Jobs(watcher, due, clock)
        jobs.start_due()
        watcher.tick()
        jobs.wait(_JOB_SECONDS)
        pump = getattr(watcher.queue, "pump", None)
        if pump is not None:
            pump(clock.time())
        return LookResult(bool(watcher.firing()), dict(watcher.engine.problems))
    finally:
        watcher.close()


def run_until(
    stop: threading.Event, settings: Settings, queue: Callable[[Path], Notifications], clock: Clock = SYSTEM_CLOCK,
    *, ready: Callable[[tuple[str, int] | None], None] | None = None,
) -> None:  # fmt: skip
    """Look again and again until `stop` is set.

    Args:
        stop: Ends the loop.
        settings: The settings.
        queue: Makes the queue.
        clock: The clock.
        ready: Called before the first look with host and port of `/metrics`, or None.

    Raises:
        ConfigError: A rule is not valid.
        StoreError: Another watcher works on this store, or it cannot be written.
    """
    due = jobs_of(settings)
    watcher = Watcher(settings, queue, clock)
    try:
        begin = getattr(watcher.queue, "start", None)
        if begin is not None:
            begin()
        jobs = Jobs(watcher, due, clock)
        ping = Ping(settings)
        state = LastLook(watcher, clock)
        with _served(settings, watcher, state, clock) as address:
            if ready is not None:
                ready(address)

            def after() -> None:
                state.refresh()
                ping.send()
                jobs.start_due()

            watcher.run(stop, after)
    finally:
        watcher.close()


@contextmanager
def _served(
    settings: Settings, watcher: Watcher, state: LastLook, clock: Clock
) -> Generator[tuple[str, int] | None]:  # fmt: skip
    """Serve `/metrics` and `/healthz` at the address of the settings, if there is one; yield host and port."""
    if settings.watch.listen is None:
        yield None
        return
    from llmops_sdk.monitoring.prometheus._server import open_metrics

    server = open_metrics(settings, watcher.store, state, clock=clock)
    if server is None:
        yield None
        return
    server.start()
    try:
        yield server.address
    finally:
        server.close()


@dataclass(slots=True)
class _Running:
    stop: threading.Event
    thread: threading.Thread


_running: _Running | None = None
_lock = threading.Lock()


def start(settings: Settings | None = None) -> None:
    """Run the watcher in a thread of this process: evaluate `[[alerts]]` and `[slo.*]`, and tell `[notify.*]`.

    One watcher works on a store; `llmops watch` runs it outside the application. A second `start` does nothing.

    Args:
        settings: The settings; by default those in force.

    Raises:
        ConfigError: A rule is not valid.
        StoreError: The store is off, on a network file system, cannot be written, or has another watcher.
        MissingDependencyError: `[drift] every` is set, and numpy is not installed.

    Example:
        >>> from llmops_sdk import monitoring
        >>> monitoring.start()
        >>> monitoring.stop()
        True
    """
    global _running
    given = current() if settings is None else settings
    with _lock:
        if _running is not None and _running.thread.is_alive():
            return
        stopping, opened = threading.Event(), threading.Event()
        failed: list[BaseException] = []

        def run() -> None:
            with Caught() as caught:
                run_until(stopping, given, open_notifications(given), ready=lambda _address: opened.set())
            if caught.error is None:
                return
            if opened.is_set():
                _log.error("llmops: the watcher has ended", exc_info=caught.error)
            failed.append(caught.error)
            opened.set()

        thread = start_daemon(run, "llmops-watch")
        if thread is None:
            raise StoreError("the watcher has no thread: the interpreter is ending, or there are too many threads")
        opened.wait()
        if failed:
            raise failed[0]
        _running = _Running(stopping, thread)


def stop(timeout: float = _STOP_SECONDS) -> bool:
    """End the watcher of `start`; return whether it ended in time.

    Args:
        timeout: Seconds to wait.

    Example:
        >>> from llmops_sdk import monitoring
        >>> monitoring.stop()
        True
    """
    global _running
    with _lock:
        if _running is None:
            return True
        _running.stop.set()
        _running.thread.join(timeout)
        ended = not _running.thread.is_alive()
        if ended:
            _running = None
        return ended
