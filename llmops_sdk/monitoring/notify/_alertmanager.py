"""Prometheus Alertmanager, by `POST /api/v2/alerts`.

Source: https://prometheus.io/docs/alerting/latest/alerts_api/.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import orjson

from llmops_sdk.config import NotifierSettings
from llmops_sdk.monitoring.notify._http import address_of, post
from llmops_sdk.monitoring.notify._message import Message, facts, iso_time

__all__ = ["AlertmanagerSender", "alertmanager_payload"]

_PATH = "/api/v2/alerts"
_FORBIDDEN = re.compile(r"[^A-Za-z0-9_]")
_OWN = frozenset({"alertname", "severity", "kind"})
_FIRES_FOR = 7 * 86_400.0
"""Seconds after which Alertmanager ends an alert that nobody has resolved or repeated: its watcher is gone then."""


class AlertmanagerSender:
    """Sends alerts to Alertmanager, which groups, silences and routes them.

    Args:
        name: The notifier's name.
        settings: Its settings.
    """

    pause = 0.0

    def __init__(self, name: str, settings: NotifierSettings) -> None:
        self._name = name
        self._settings = settings

    def send(self, batch: Sequence[Message]) -> None:
        """Send alerts, all in one request."""
        address = address_of(self._name, self._settings.url, self._settings.url_env).rstrip("/")
        if not address.endswith(_PATH):
            address += _PATH
        post(self._name, address, orjson.dumps(alertmanager_payload(batch)), {})


def alertmanager_payload(batch: Sequence[Message]) -> list[dict[str, Any]]:
    """Return the body of the request. Two states of one alert have equal labels; the latest one is sent.

    Alertmanager knows an alert by its labels. Of an alert that fired and was resolved within one batch, only the end
    is of use.
    """
    latest: dict[str, Message] = {}
    for message in batch:
        latest.pop(message.notification.id, None)
        latest[message.notification.id] = message
    return [_alert(message) for message in latest.values()]


def _alert(message: Message) -> dict[str, Any]:
    one = message.notification
    labels = {"alertname": one.rule, "severity": one.severity, "kind": one.kind}
    for name, value in one.labels.items():
        label = _label_name(name)
        if value:  # an empty label is none
            labels[f"exported_{label}" if label in _OWN else label] = value
    annotations = {"summary": one.reason, "alert_id": one.id}
    for name, value in facts(one)[:-1]:  # without the id, which stands there
        key = name.lower().replace(" ", "_")
        annotations[key] = f"{annotations[key]}; {value}" if key in annotations else value
    if one.sql is not None:
        annotations["sql"] = one.sql
    ends = one.time if one.state == "resolved" else one.time + _FIRES_FOR
    return {
        "labels": labels,
        "annotations": annotations,
        "startsAt": iso_time(one.firing_since),
        "endsAt": iso_time(ends),
    }


def _label_name(name: str) -> str:
    label = _FORBIDDEN.sub("_", name)
    return f"_{label}" if not label or label[0].isdigit() else label
