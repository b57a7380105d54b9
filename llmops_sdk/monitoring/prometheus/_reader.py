"""Count the calls of a store as their lines are written, and remember both over restarts."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from llmops_sdk._util._clock import SYSTEM_CLOCK
from llmops_sdk._util._daemon import start_daemon
from llmops_sdk._util._guard import guarded
from llmops_sdk._util._latch import Latch
from llmops_sdk._util._private_files import folder_problem, replace_file
from llmops_sdk.errors import StoreError
from llmops_sdk.monitoring.prometheus._counters import SECONDS, Bounds, CallCounters
from llmops_sdk.monitoring.prometheus._event_counters import SCORE_BOUNDS
from llmops_sdk.monitoring.slo._indicator import is_score, score_bound
from llmops_sdk.store.reading._follow import Follower, Lines

if TYPE_CHECKING:
    from llmops_sdk.config import Settings

__all__ = ["CallReader", "bounds_of"]

_FOLDER, _FILE = "metrics", "counters.json"
_MAX_FILE = 256 * 1024**2
_EVERY = 5.0
"""Seconds from one reading to the next: compaction removes what it took after a minute."""
_LINES = 2_000

_log = logging.getLogger("llmops_sdk")


def bounds_of(settings: Settings) -> Bounds:
    """Return the bounds of histograms, with the thresholds of `[slo.*]` and `[[alerts]]` among them.

    Args:
        settings: The settings in force.
    """

    def thresholds(sli: str, unit: float) -> set[float]:
        found = [one.threshold for one in settings.slo.values() if one.sli == sli]
        found += [one.threshold for one in settings.alerts if (one.metric or "").startswith(f"{sli}_p")]
        return {value / unit for value in found if value is not None and value > 0}

    return Bounds(
        duration=sorted({*SECONDS, *thresholds("latency", 1e3)}),
        first_chunk=sorted({*SECONDS, *thresholds("ttft", 1e3)}),
        cost=sorted(thresholds("cost", 1.0)),
        score=sorted({*SCORE_BOUNDS, *(score_bound(one) for one in settings.slo.values() if is_score(one))}),
    )


class CallReader:
    """Reads new lines of a store and counts them; the first time it begins with what is written from now on.

    Args:
        settings: `[watch]`, `[slo.*]` and `[[alerts]]`.
        folder: The store's folder.

    Raises:
        StoreError: The store cannot be read, or a folder is a link or can be changed by another user.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.lock = threading.Lock()
        """Guards `counters`."""
        self._store = folder.absolute()
        self._file = self._store / _FOLDER / _FILE
        for one in (self._store, self._file.parent):
            one.mkdir(mode=0o700, exist_ok=True, parents=True)
            if (problem := folder_problem(one)) is not None:
                raise StoreError(f"{one} {problem}", path=str(one))
        self.counters = CallCounters(
            bounds_of(settings), label_values=settings.watch.label_values, simulated=settings.watch.simulated
        )
        self._adders: Mapping[str, Callable[[bytes], None]] = {
            "spans": self.counters.add_span, "losses": self.counters.add_loss, "scores": self.counters.add_score,
        }  # fmt: skip
        self._follower = self._opened()
        self._changed = True
        self._closing = False
        self._wake = Latch()
        self._thread: threading.Thread | None = None

    def _opened(self) -> Follower:
        position: str | None = None
        try:
            with contextlib.suppress(FileNotFoundError):
                position = self.counters.load(_read(self._file))
            return Follower(self._store, tuple(self._adders), position)
        except (ValueError, StoreError) as error:
            if isinstance(error, StoreError) and position is None:
                raise
            _log.warning("llmops: %s is damaged: the counters of /metrics begin anew", self._file)
            return Follower(self._store, tuple(self._adders))

    def update(self, within: float = float("inf")) -> None:
        """Count what is new, and save the counters before anyone sees them.

        Args:
            within: Seconds after which to stop, with the rest left for the next call.

        Raises:
            StoreError: The store cannot be read, or the counters cannot be saved.
        """
        until = SYSTEM_CLOCK.monotonic() + within
        with self.lock:
            while batch := self._follower.read(_LINES):
                self._changed = True
                for one in batch:
                    if not isinstance(one, Lines):
                        self.counters.missed_bytes += one.bytes
                        continue
                    add = self._adders[one.stream]
                    for line in one.lines:
                        add(line)
                if SYSTEM_CLOCK.monotonic() >= until:
                    break
            if self._changed:
                self._save()
                self._changed = False

    def _save(self) -> None:
        try:
            replace_file(self._file, self.counters.dump(self._follower.position))
        except OSError as error:
            raise StoreError(f"cannot write {self._file}: {error.strerror}", path=str(self._file)) from error

    def start(self) -> None:
        """Read every few seconds in the background, until `close`."""
        self._thread = start_daemon(self._serve, "llmops-metrics")

    def _serve(self) -> None:
        while not self._closing:
            guarded("counting calls for /metrics", None, self.update)
            self._wake.wait(_EVERY)

    def close(self) -> None:
        """Stop, and save what has been counted."""
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(5.0)
            self._thread = None
        with self.lock:
            self._follower.close()


def _read(file: Path) -> bytes:
    descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0))
    with os.fdopen(descriptor, "rb") as opened:
        return opened.read(_MAX_FILE)
