"""A message: a notification that is clean, bounded and has an id of its own.

Names, labels and texts come from users and models. Here control characters and characters that change the direction of
text are replaced, and every field is cut, so that no notifier sees anything else.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import orjson

from llmops_sdk._documents import defuse
from llmops_sdk.monitoring._notification import Culprit, Notification

__all__ = ["Message", "batch_id", "cleaned", "cut", "decode", "encode", "facts", "iso_time", "payload", "title"]

_NAME = 200
"""Characters of a name, a label or its value."""
_SENTENCE = 500
_SQL = 2_000
_LABELS = 20
_CULPRITS = 5
_TRACES = 5
_TEXTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A notification on its way to one notifier.

    Attributes:
        id: The message's id: the same for every try, and another one for each state and repeat of an alert.
        notification: What is sent, clean and bounded.
        queued: When it was put into the queue, in seconds since the epoch.
    """

    id: str
    notification: Notification
    queued: float


def message_id(notification: Notification) -> str:
    """Return the id of the message about a state of an alert."""
    return f"msg_{_digest([notification.id, notification.state, notification.repeat])}"


def batch_id(batch: Sequence[Message]) -> str:
    """Return the id of what is sent at once: the message's own, or one for the whole digest."""
    return batch[0].id if len(batch) == 1 else f"msg_{_digest([message.id for message in batch])}"


def _digest(parts: list[Any]) -> str:
    return hashlib.blake2b(orjson.dumps(parts), digest_size=12).hexdigest()


def cut(text: str, limit: int) -> str:
    r"""Return a text in one line without control and direction characters, cut at `limit` characters.

    Example:
        >>> cut("two\nlines and \u202emore", 12)
        'two lines a…'
    """
    # Twice the limit first: a text of megabytes is not looked at to its end.
    line = " ".join(defuse(text[: 2 * limit]).split())
    line = line.encode("utf-8", "replace").decode()
    return line if len(line) <= limit else line[: limit - 1] + "…"


def cleaned(notification: Notification, *, content: bool) -> Notification:
    """Return a notification whose texts are clean and bounded.

    Args:
        notification: The notification.
        content: Whether `texts` stay in it.
    """
    labels = list(notification.labels.items())[:_LABELS]
    return replace(
        notification,
        id=cut(notification.id, _NAME),
        rule=cut(notification.rule, _NAME),
        kind=cut(notification.kind, _NAME),
        severity=cut(notification.severity, _NAME),
        reason=cut(notification.reason, _SENTENCE),
        labels={cut(str(name), _NAME): cut(str(value), _NAME) for name, value in labels},
        value=_finite(notification.value),
        threshold=_finite(notification.threshold),
        window=_finite(notification.window),
        events=_finite(notification.events),
        bad=_finite(notification.bad),
        culprits=tuple(
            Culprit(dimension=cut(one.dimension, _NAME), value=cut(one.value, _NAME), share=_finite(one.share) or 0.0)
            for one in notification.culprits[:_CULPRITS]
        ),
        example_trace_ids=tuple(cut(one, _NAME) for one in notification.example_trace_ids[:_TRACES]),
        sql=None if notification.sql is None else cut(notification.sql, _SQL),
        runbook=None if notification.runbook is None else cut(notification.runbook, _SENTENCE),
        texts=tuple(cut(text, _SENTENCE) for text in notification.texts[:_TEXTS]) if content else (),
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def encode(message: Message) -> bytes:
    """Return a message as one line of JSON without a line break."""
    return orjson.dumps({"id": message.id, "queued": message.queued, "notification": asdict(message.notification)})


def decode(line: bytes) -> Message:
    """Return the message of a line.

    Raises:
        ValueError: The line holds no message.
    """
    try:
        fields = orjson.loads(line)
        own: dict[str, Any] = fields["notification"]
        own["culprits"] = tuple(Culprit(**one) for one in own["culprits"])
        for name in ("example_trace_ids", "texts"):
            own[name] = tuple(own[name])
        return Message(id=str(fields["id"]), queued=float(fields["queued"]), notification=Notification(**own))
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError("not a message") from error


def iso_time(seconds: float) -> str:
    """Return a time in UTC, as in "2026-11-02T10:00:00.000Z"."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def payload(batch: Sequence[Message]) -> dict[str, Any]:
    """Return what webhooks and commands get as JSON: one alert, or a digest of many.

    Args:
        batch: The messages, oldest first.
    """
    if len(batch) == 1:
        one = batch[0].notification
        return {"type": f"alert.{one.state}", "timestamp": iso_time(one.time), "data": _data(one)}
    last = batch[-1].notification
    states = [message.notification.state for message in batch]
    return {
        "type": "alert.digest",
        "timestamp": iso_time(last.time),
        "data": {
            "count": len(batch),
            "firing": states.count("firing"),
            "resolved": states.count("resolved"),
            "alerts": [_short(message) for message in batch],
        },
    }


def _data(one: Notification) -> dict[str, Any]:
    fields = asdict(one)
    fields["time"], fields["firing_since"] = iso_time(one.time), iso_time(one.firing_since)
    return {name: value for name, value in fields.items() if value is not None}


def _short(message: Message) -> Mapping[str, Any]:
    one = message.notification
    return {
        "message_id": message.id,
        "id": one.id,
        "rule": one.rule,
        "state": one.state,
        "severity": one.severity,
        "labels": dict(one.labels),
        "repeat": one.repeat,
        "time": iso_time(one.time),
        "firing_since": iso_time(one.firing_since),
    }


def title(batch: Sequence[Message]) -> str:
    """Return the headline for people, e.g. "[FIRING, page] spend"."""
    if len(batch) == 1:
        one = batch[0].notification
        again = f", repeat {one.repeat}" if one.repeat else ""
        return f"[{one.state.upper()}, {one.severity}{again}] {one.rule}"
    states = [message.notification.state for message in batch]
    return f"[DIGEST] {len(batch)} messages: {states.count('firing')} firing, {states.count('resolved')} resolved"


def facts(one: Notification) -> list[tuple[str, str]]:
    """Return names and values for people, the most important first; what is unknown is left out."""
    figures = (("Value", one.value), ("Threshold", one.threshold), ("Events", one.events), ("Bad events", one.bad))
    found = [("Firing since", iso_time(one.firing_since))]
    found += [(name, f"{value:.6g}") for name, value in figures if value is not None]
    if one.window is not None:
        found.append(("Window", f"{one.window:g} s"))
    found += [("Labels", ", ".join(f"{name}={value}" for name, value in one.labels.items()))] if one.labels else []
    if one.culprits:
        shares = (f"{cause.dimension} {cause.value} ({cause.share:.0%})" for cause in one.culprits)
        found.append(("Contributes most", ", ".join(shares)))
    if one.example_trace_ids:
        found.append(("Traces", ", ".join(one.example_trace_ids)))
    found += [("Runbook", one.runbook)] if one.runbook else []
    found += [("Text", text) for text in one.texts]
    return [*found, ("Alert", one.id)]
