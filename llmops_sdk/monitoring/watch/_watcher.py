"""The watcher: every minute, count what is new, evaluate, store what changed, and hand messages to the queue."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk._util._private_files import replace_file
from llmops_sdk.config import Settings
from llmops_sdk.errors import LLMOpsError, QueryError, StoreError
from llmops_sdk.monitoring._queue import Notifications
from llmops_sdk.monitoring.rollup._database import open_database, watch_folder
from llmops_sdk.monitoring.rollup._labels import Labels, label_key
from llmops_sdk.monitoring.rollup._rollup import Rollup
from llmops_sdk.monitoring.rollup._series import Series
from llmops_sdk.monitoring.slo._objective import Budget, Objective
from llmops_sdk.monitoring.states._machine import AlertState
from llmops_sdk.monitoring.watch._compile import compile_rules
from llmops_sdk.monitoring.watch._culprits import Found, find_culprits, is_above
from llmops_sdk.monitoring.watch._engine import Engine, Event
from llmops_sdk.monitoring.watch._silences import is_silenced, read_silences
from llmops_sdk.monitoring.watch._telling import Telling, change_json
from llmops_sdk.store import query
from llmops_sdk.store._online_lock import watch_lock
from llmops_sdk.store._record_writer import open_record_writer

__all__ = ["Watcher"]

_HEARTBEAT = "heartbeat.json"
_SQL_SECONDS = 10.0
_SCAN_SECONDS = 300.0
_log = logging.getLogger("llmops_sdk")


class Watcher:
    """The one watcher of a store. `close` ends it and frees the store for another.

    Args:
        settings: The settings.
        queue: Makes the queue of messages, given the store's folder.
        clock: The clock.

    Raises:
        ConfigError: A rule is not valid.
        StoreError: Another process watches this store; or it is off, on a network file system, or cannot be written.
    """

    def __init__(
        self, settings: Settings, queue: Callable[[Path], Notifications], clock: Clock = SYSTEM_CLOCK
    ) -> None:  # fmt: skip
        self.settings = settings
        self.store = settings.store.path.absolute()
        self._clock = clock
        self._last = 0
        self._lock = threading.Lock()
        with ExitStack() as opened:
            writer = open_record_writer(settings)
            if writer is None:
                raise StoreError("there is nothing to watch: the store is off ([store] enabled = false)")
            opened.callback(writer.close)
            if not opened.enter_context(watch_lock(self.store)):
                raise StoreError(
                    f"another watcher works on {self.store}: two would send every alert twice", path=str(self.store)
                )
            self.folder = watch_folder(self.store)
            self.labels = Labels(label_key(self.folder))
            self._evaluators = compile_rules(settings, self._table, self.labels, store=self.store)
            self.database = open_database(self.folder)
            opened.callback(self.database.close)
            wanted: dict[Series, float] = {}
            for one in self._evaluators:
                for series, seconds in one.wanted().items():
                    wanted[series] = max(seconds, wanted.get(series, 0.0))
            self.rollup = Rollup(self._ask, wanted, self.labels, self.database)
            states = [AlertState(**state) for state in self.database.alerts().values()]
            self.engine = Engine(self._evaluators, self.rollup, states)
            self._stored = {name: orjson.dumps(state) for name, state in self.database.alerts().items()}
            self.queue = queue(self.store)
            opened.callback(self.queue.close)
            self._telling = Telling(self.database, writer, self.queue, self._ask)
            self._telling.deliver(after_restart=True)
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Free the store. What is still to be told is told by the next watcher."""
        with self._lock:
            self._opened.close()

    def _ask(self, sql: str, params: Mapping[str, Any]) -> Sequence[tuple[Any, ...]]:
        return query(sql, params, path=self.store, timeout=_SCAN_SECONDS).rows()

    def _table(self, sql: str, params: Mapping[str, Any]) -> Any:
        timeout = min(_SQL_SECONDS, self.settings.watch.interval / 2)
        return query(sql, params, path=self.store, timeout=timeout)

    def tick(self) -> list[Event]:
        """Look once, if a minute has passed since the last look; return what changed.

        Raises:
            StoreError: The store cannot be read or written. What changed is told at the next look.
        """
        with self._lock:
            begin = time.process_time()
            end = int(self._clock.time() // 60 * 60)
            if end <= self._last:
                return []
            self.rollup.refresh(end)
            events = self.engine.step(end)
            self._store(events, end)
            self._last = end
            self._telling.deliver()
            self._beat(end, time.process_time() - begin)
            return events

    def _store(self, events: Sequence[Event], end: int) -> None:
        """Store states and changes in one transaction: after a kill both are there, or neither is."""
        silences = read_silences(self.folder)
        messages = self.engine.messages(events, end, lambda alert: is_silenced(silences, alert, end))
        found = {id(event): self._culprits(event) for event in events}
        with self.database.transaction():
            for event in events:
                self.database.add_change(change_json(event, found[id(event)], None))
            for message in messages:
                culprits = next(
                    (found[id(one)] for one in events if one.change.alert_id == message.event.change.alert_id), None
                )
                culprits = culprits if culprits is not None else self._culprits(message.event)
                self.database.add_change(change_json(message.event, culprits, message))
            states = {alert.name: alert.as_json() for alert in self.engine.states()}
            changed = {
                name: state for name, state in states.items() if self._stored.get(name) != orjson.dumps(state)
            }  # fmt: skip
            gone = {name: None for name in self._stored if name not in states}
            self.database.put_alerts({**changed, **gone})
        self._stored = {name: orjson.dumps(state) for name, state in states.items()}

    def _culprits(self, event: Event) -> Found:
        if event.change.state != "firing":
            return Found()
        series = next(iter(event.evaluator.wanted()), None)
        if series is None or series.source == "sql":
            return Found()
        try:
            found = find_culprits(
                series, event.outcome, self.rollup, self.labels, self._ask, event.time, above=is_above(event.evaluator)
            )
        except QueryError as error:
            # An alert without them is better than none.
            _log.warning("llmops: what contributes to %s could not be found: %s", event.evaluator.name, error)
            return Found()
        wants_texts = any(self.settings.notify[name].content for name in event.evaluator.notify)
        return found if wants_texts else Found(culprits=found.culprits, traces=found.traces, sql=found.sql)

    def note(self, name: str) -> Any:
        """Return what a job noted, or None."""
        with self._lock:
            return self.database.note(name)

    def put_note(self, name: str, value: Any, changes: Sequence[Mapping[str, Any]] = ()) -> None:
        """Store a job's note and what it found, together, and tell it.

        Args:
            name: The note's name.
            value: JSON values.
            changes: Rows and messages, as `change_json` makes them.

        Raises:
            StoreError: They cannot be written.
        """
        with self._lock:
            with self.database.transaction():
                self.database.put_note(name, value)
                for change in changes:
                    self.database.add_change(change)
            self._telling.deliver()

    def budgets(self) -> list[Budget]:
        """Return what is left of each objective's budget."""
        with self._lock:
            return [one.budget(self.rollup, self._last) for one in self._evaluators if isinstance(one, Objective)]

    def firing(self) -> list[AlertState]:
        """Return the alerts that fire."""
        return [alert for alert in self.engine.states() if alert.is_active]

    def _beat(self, end: int, seconds: float) -> None:
        """Write the heartbeat: a file whose time tells that the watcher works."""
        content = {
            "time": self._clock.time(), "evaluated": end, "rules": len(self._evaluators),
            "firing": len(self.firing()), "problems": self.engine.problems, "cpu_seconds": round(seconds, 4),
        }  # fmt: skip
        try:
            replace_file(self.folder / _HEARTBEAT, orjson.dumps(content))
        except OSError as error:
            raise StoreError(f"the heartbeat cannot be written: {error.strerror}", path=str(self.folder)) from error

    def run(self, stop: threading.Event, after: Callable[[], None] | None = None) -> None:
        """Look again and again until `stop` is set. A look that fails is logged, and the next one tries again.

        Args:
            stop: Ends the loop within a second.
            after: Called after each look that did not fail.
        """
        said = ""
        while not stop.is_set():
            begin = self._clock.monotonic()
            try:
                self.tick()
                said = ""
                if after is not None:
                    after()
            except LLMOpsError as error:
                if str(error) != said:
                    _log.warning("llmops: the watcher failed to look: %s", error)
                said = str(error)
            stop.wait(max(self.settings.watch.interval - (self._clock.monotonic() - begin), 0.1))
