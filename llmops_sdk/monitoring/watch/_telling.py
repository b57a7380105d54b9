"""Tell of changes: a row in `alerts`, and a message in the queue. A kill in between neither loses nor doubles one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from llmops_sdk.monitoring._notification import Culprit, Notification
from llmops_sdk.monitoring._queue import Notifications
from llmops_sdk.monitoring.rollup._database import Database
from llmops_sdk.monitoring.rollup._rollup import Ask
from llmops_sdk.monitoring.watch._culprits import Found, details_of
from llmops_sdk.monitoring.watch._engine import Event, Message
from llmops_sdk.store._record_writer import AlertRecord, RecordWriter

__all__ = ["Telling", "change_json"]

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


class Telling:
    """Takes changes from the database to the `alerts` rows and to the queue, oldest first.

    Args:
        database: Where the changes are.
        writer: Writes the rows.
        queue: Takes the messages.
        ask: Runs SQL over the store.
    """

    def __init__(self, database: Database, writer: RecordWriter, queue: Notifications, ask: Ask) -> None:
        self._database = database
        self._writer = writer
        self._queue = queue
        self._ask = ask

    def deliver(self, *, after_restart: bool = False) -> None:
        """Tell of every change that is still to be told.

        Args:
            after_restart: Whether a killed watcher may have told of one already.

        Raises:
            StoreError: A row or a message cannot be written. The rest stays for the next call.
        """
        for number, change in self._database.changes():
            row = change.get("row")
            if row is not None and not (after_restart and self._is_written(row)):
                self._writer.write(_record(row))
            if "message" in change and change["names"]:
                # The queue itself drops what it has already.
                self._queue.put(_notification(change["message"]), tuple(change["names"]))
            self._database.remove_change(number)

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
