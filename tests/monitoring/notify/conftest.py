"""Notifications, and queues over real receivers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from llmops_sdk.config import Settings, load
from llmops_sdk.monitoring import Culprit, Notification
from llmops_sdk.monitoring.notify._message import Message, cleaned, message_id


@pytest.fixture
def notification() -> Callable[..., Notification]:
    """Make a notification; arguments change its fields."""

    def make(**changed: object) -> Notification:
        fields: dict[str, object] = {
            "id": "a1b2",
            "rule": "spend",
            "kind": "threshold",
            "state": "firing",
            "severity": "page",
            "reason": "cost is 7.5 USD in the last hour, above 5",
            "time": 1_800_000_000.0,
            "firing_since": 1_799_999_940.0,
            "labels": {"model": "gpt-x"},
            "value": 7.5,
            "threshold": 5.0,
            "window": 3_600.0,
            "events": 120.0,
            "culprits": (Culprit(dimension="model", value="gpt-x", share=0.8),),
            "example_trace_ids": ("0" * 32,),
            "runbook": "https://example.com/runbook",
            **changed,
        }
        return Notification(**fields)  # type: ignore[arg-type]

    return make


@pytest.fixture
def message(notification: Callable[..., Notification]) -> Callable[..., Message]:
    """Make a message; arguments change the fields of its notification."""

    def make(*, content: bool = False, **changed: object) -> Message:
        own = cleaned(notification(**changed), content=content)
        return Message(id=message_id(own), notification=own, queued=1_800_000_000.0)

    return make


@pytest.fixture
def settings_of() -> Callable[..., Settings]:
    """Load the settings of notifiers, given as tables by name, with a store in this folder."""

    def make(watch: dict[str, object] | None = None, **notifiers: dict[str, object]) -> Settings:
        return load(store={"path": str(Path("store").absolute())}, notify=notifiers, watch=watch or {})

    return make
