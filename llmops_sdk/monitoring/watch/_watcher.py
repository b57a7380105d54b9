"""The watcher: every minute, count what is new, evaluate, store what changed, and hand messages to the queue."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
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
from llmops_sdk.monitoring.rollup._rollup import Rollup, moment
from llmops_sdk.monitoring.rollup._series import Series
from llmops_sdk.monitoring.slo._objective import Budget, Objective
from llmops_sdk.monitoring.states._machine import AlertState, resolve
from llmops_sdk.monitoring.watch._compile import compile_rules
from llmops_sdk.monitoring.watch._culprits import Found, find_culprits, is_above
from llmops_sdk.monitoring.watch._engine import Engine, Event
from llmops_sdk.monitoring.watch._problems import HEARTBEAT
from llmops_sdk.monitoring.watch._silences import is_silenced, read_silences
from llmops_sdk.monitoring.watch._telling import Telling, change_json, plain_changes
from llmops_sdk.store import query
from llmops_sdk.store._online_lock import watch_lock
from llmops_sdk.store._record_writer import open_record_writer

__all__ = ["Watcher"]

_SQL_SECONDS = 10.0
_SCAN_SECONDS = 300.0
_SMALL_STEP = 60
"""Seconds that the clock may go back, as clocks do that are kept right, without a word."""
_SKEW = 300.0
"""Seconds by which the clocks of writers may be fast."""
_MOST_CULPRITS = 10
"""Alerts of one look whose causes are looked for."""
_REMOVED = "the rule is no longer configured"
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
        self._said: Mapping[str, str] = {}
        self.future = 0
        """Calls with a time in the future, as of the last count."""
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
            self._stored = {name: orjson.dumps(state) for name, state in self.database.alerts().items()}
            self.engine = self._engine()
            self.queue = queue(self.store)
            opened.callback(self.queue.close)
            self._telling = Telling(self.database, writer, self.queue, settings.notify, self._ask)
            self._end_removed()
            self._telling.deliver()
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Free the store. What is still to be told is told by the next watcher."""
        with self._lock:
            self._opened.close()

    def _engine(self) -> Engine:
        """Return an engine with the states as they are stored."""
        states = [AlertState(**orjson.loads(state)) for state in self._stored.values()]
        return Engine(self._evaluators, self.rollup, states)

    def _end_removed(self) -> None:
        """End the alerts of rules that are no longer configured, and say so once."""
        known = {one.name for one in self._evaluators}
        removed = {
            name: state
            for name, stored in self._stored.items()
            if (state := AlertState(**orjson.loads(stored))).rule not in known
        }
        if removed:
            self._end(list(removed.values()), lambda: self.database.put_alerts(dict.fromkeys(removed)))
        for name in removed:
            del self._stored[name]

    def end_notes(self, begin: str, known: Collection[str]) -> None:
        """Remove the notes of jobs that are no longer configured, and end their alerts.

        Args:
            begin: How the names of the notes begin.
            known: The names of those to keep.

        Raises:
            StoreError: They cannot be written.
        """
        with self._lock:
            gone = {name: note for name, note in self.database.notes(begin).items() if name not in known}
            alerts = [AlertState(**note["alert"]) for note in gone.values() if note.get("alert")]

            def forget() -> None:
                for name in gone:
                    self.database.remove_note(name)

            if gone:
                self._end(alerts, forget)
                self._telling.deliver()

    def _end(self, alerts: Sequence[AlertState], forget: Callable[[], None]) -> None:
        now = self._clock.time()
        with self.database.transaction():
            forget()
            for alert in alerts:
                if alert.is_active:
                    _log.warning("llmops: %s is no longer configured: its alert ends", alert.rule)
                    names = alert.names if alert.told or alert.kind in ("drift", "canary") else ()
                    for change in plain_changes(alert, resolve(alert), _REMOVED, now, names):
                        self.database.add_change(change)

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
            if self._last - _SMALL_STEP <= end <= self._last:
                return []
            if end < self._last:
                _log.warning("llmops: the clock was set back by %d seconds", self._last - end)
            self.rollup.refresh(end)
            if self.rollup.is_deep:
                self._look_ahead(end)
            try:
                events = self.engine.step(end)
                self._store(events, end)
            except LLMOpsError:
                # The next look must find the changes again: nobody has been told of them.
                self.engine = self._engine()
                raise
            self._last = end
            self._telling.deliver()
            self._say_problems()
            self._beat(end, time.process_time() - begin)
            return events

    def _look_ahead(self, end: int) -> None:
        """Count the calls of the future, which count when their time comes: a writer's clock may be wrong."""
        before = self.future
        until = {"until": moment(end + _SKEW)}
        self.future = int(self._ask("SELECT count(*) FROM llm_calls WHERE start_time > $until", until)[0][0])
        if self.future and not before:
            _log.warning(
                "llmops: %d calls have a time in the future, by the clock of their writer: they count when it comes",
                self.future,
            )

    def _say_problems(self) -> None:
        problems = dict(self.engine.problems)
        for name, problem in problems.items():
            if self._said.get(name) != problem:
                _log.warning("llmops: the rule %s cannot be evaluated, and does not fire: %s", name, problem)
        self._said = problems

    def _store(self, events: Sequence[Event], end: int) -> None:
        """Store states and changes in one transaction: after a kill both are there, or neither is."""
        silences = read_silences(self.folder)
        messages = self.engine.messages(events, end, lambda alert: is_silenced(silences, alert, end))
        found: dict[str, Found] = {}
        for event in (*events, *(one.event for one in messages)):
            # Each is a query. A storm of alerts must not delay the next look.
            if event.change.alert_id not in found and len(found) < _MOST_CULPRITS and event.change.state == "firing":
                found[event.change.alert_id] = self._culprits(event)
        nothing = Found()
        with self.database.transaction():
            for event in events:
                self.database.add_change(change_json(event, found.get(event.change.alert_id, nothing), None))
            for message in messages:
                culprits = found.get(message.event.change.alert_id, nothing)
                self.database.add_change(change_json(message.event, culprits, message))
            states = {alert.name: alert.as_json() for alert in self.engine.states()}
            changed = {
                name: state for name, state in states.items() if self._stored.get(name) != orjson.dumps(state)
            }  # fmt: skip
            gone = {name: None for name in self._stored if name not in states}
            self.database.put_alerts({**changed, **gone})
        self._stored = {name: orjson.dumps(state) for name, state in states.items()}

    def _culprits(self, event: Event) -> Found:
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
            "firing": len(self.firing()), "problems": self.engine.problems, "future_calls": self.future,
            "cpu_seconds": round(seconds, 4),
        }  # fmt: skip
        try:
            replace_file(self.folder / HEARTBEAT, orjson.dumps(content))
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
