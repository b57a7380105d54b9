"""Tell of changes: a row in `alerts`, and a message in the queue. A kill in between neither loses nor doubles one."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import orjson

from llmops_sdk.errors import StoreError
from llmops_sdk.monitoring._notification import Culprit, Notification
from llmops_sdk.monitoring._queue import Notifications
from llmops_sdk.monitoring.rollup._database import Database
from llmops_sdk.monitoring.rollup._rollup import Ask
from llmops_sdk.monitoring.states._machine import AlertState, Change
from llmops_sdk.monitoring.watch._culprits import Found, details_of
from llmops_sdk.monitoring.watch._engine import Event, Message
from llmops_sdk.store._record_writer import AlertRecord, RecordWriter

__all__ = ["Telling", "change_json", "plain_changes"]

_log = logging.getLogger("llmops_sdk")
_KNOWN = (
    "SELECT 1 FROM alerts WHERE alert_id = $id AND state = $state AND time = make_timestamp($micros::BIGINT) LIMIT 1"
)


def change_json(event: Event, found: Found, message: Message | None) -> dict[str, Any]:
    """Return a change as JSON values: a row of `alerts`, or a message to send.

    Args:
        event: The change.
        found: What contributes to it.
        message: The message, or None for the row.
    """
    outcome, change, alert = event.outcome, event.change, event.alert
    firing = change.firing_since if change.firing_since is not None else alert.firing_since
    shared = {
        "rule": event.evaluator.name, "kind": event.kind, "severity": alert.severity, "value": outcome.value,
        "threshold": outcome.threshold, "events": outcome.events, "bad": outcome.bad, "reason": event.reason,
    }  # fmt: skip
    if message is None:
        row = {
            **shared, "alert_id": change.alert_id, "state": change.state, "previous": change.previous,
            "labels": dict(alert.labels), "example_trace_ids": found.traces,
            "details": dict(details_of(outcome, found)),
            "firing_ns": None if firing is None else int(firing * 1e9), "time_ns": event.time * 10**9,
        }  # fmt: skip
        return {"row": row}
    culprits = [[one.dimension, one.value, one.share] for one in found.culprits]
    sent = {
        **shared, "id": change.alert_id, "state": message.state, "time": event.time,
        "firing_since": firing or event.time,
        "labels": dict(alert.labels), "window": outcome.window or None, "repeat": message.repeat, "culprits": culprits,
        "example_trace_ids": found.traces, "sql": found.sql, "runbook": event.evaluator.runbook, "texts": found.texts,
    }  # fmt: skip
    return {"message": sent, "names": event.evaluator.notify}


def plain_changes(
    alert: AlertState, change: Change, reason: str, now: float, names: Sequence[str], traces: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Return a change without figures as JSON values: its row of `alerts`, and its message.

    Args:
        alert: The alert; its kind is that of the row.
        change: The change.
        reason: The reason in one sentence.
        now: The time, in seconds since the epoch.
        names: Who is told.
        traces: Examples.
    """
    shared: dict[str, Any] = {
        "rule": alert.rule, "kind": alert.kind, "severity": alert.severity, "value": None, "threshold": None,
        "events": None, "bad": None, "reason": reason, "labels": dict(alert.labels),
    }  # fmt: skip
    row: dict[str, Any] = {
        **shared, "alert_id": change.alert_id, "state": change.state, "previous": change.previous,
        "example_trace_ids": list(traces[:5]), "details": {}, "time_ns": int(now * 1e9),
        "firing_ns": None if change.firing_since is None else int(change.firing_since * 1e9),
    }  # fmt: skip
    sent: dict[str, Any] = {
        **shared, "id": change.alert_id, "state": change.state, "time": now, "firing_since": change.firing_since or now,
        "window": None, "repeat": 0, "culprits": [], "example_trace_ids": list(traces[:3]), "sql": None,
        "runbook": None, "texts": [],
    }  # fmt: skip
    return [{"row": row}, {"message": sent, "names": list(names)}]


class Telling:
    """Takes changes from the database to the `alerts` rows and to the queue, oldest first.

    Args:
        database: Where the changes are.
        writer: Writes the rows.
        queue: Takes the messages.
        known: The names of the notifiers that there are.
        ask: Runs SQL over the store.
    """

    def __init__(
        self, database: Database, writer: RecordWriter, queue: Notifications, known: Collection[str], ask: Ask
    ) -> None:  # fmt: skip
        self._database = database
        self._writer = writer
        self._queue = queue
        self._known = known
        self._ask = ask
        # A killed watcher, or a write that failed half-way, may have written a row already.
        self._unsure = True

    def deliver(self) -> None:
        """Tell of every change that is still to be told.

        Raises:
            StoreError: A row or a message cannot be written. The rest stays for the next call.
        """
        try:
            for number, change in self._database.changes():
                self._tell(change)
                self._database.remove_change(number)
        except StoreError:
            self._unsure = True
            raise
        self._unsure = False

    def _tell(self, change: Mapping[str, Any]) -> None:
        row = change.get("row")
        if row is not None and not (self._unsure and self._is_written(row)):
            self._writer.write(_record(row))
        if "message" not in change:
            return
        message = change["message"]
        gone = [name for name in change["names"] if name not in self._known]
        if gone:
            _log.warning(
                "llmops: nobody is told at %s that %s is %s: the notifier is no longer configured",
                ", ".join(gone), message["rule"], message["state"],
            )  # fmt: skip
        names = tuple(name for name in change["names"] if name in self._known)
        if names:
            # The queue itself drops what it has already.
            self._queue.put(_notification(message), names)

    def _is_written(self, row: Mapping[str, Any]) -> bool:
        given = {"id": row["alert_id"], "state": row["state"], "micros": row["time_ns"] // 1_000}
        return bool(self._ask(_KNOWN, given))


def _record(row: Mapping[str, Any]) -> AlertRecord:
    labels = row["labels"]
    given: dict[str, Any] = {
        **row,
        "labels": orjson.dumps(labels) if labels else None,
        "details": orjson.dumps(row["details"]),
    }
    return AlertRecord(**given)


def _notification(message: Mapping[str, Any]) -> Notification:
    culprits = tuple(Culprit(dimension=name, value=value, share=share) for name, value, share in message["culprits"])
    given: dict[str, Any] = {
        **message, "culprits": culprits, "example_trace_ids": tuple(message["example_trace_ids"]),
        "texts": tuple(message["texts"]),
    }  # fmt: skip
    return Notification(**given)
