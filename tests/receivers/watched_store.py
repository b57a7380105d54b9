"""Stores with calls at given times, a clock to turn, and a queue in a file: for the tests of the watcher."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from llmops_sdk.config import Settings
from llmops_sdk.monitoring import Notification
from llmops_sdk.store import StoreSink
from llmops_sdk.tracing.records._records import ScoreRecord

START = 1_795_000_020
"""A full minute."""
RESOURCE: Mapping[str, Any] = {"service.name": "tests"}


@dataclass(kw_only=True)
class CallSpan:
    """A call to a model, as the store's sink takes it."""

    trace_id: int
    span_id: int
    start_ns: int
    name: str = "chat gpt"
    kind: str = "llm"
    parent_id: int = 0
    duration_ns: int = 100_000_000
    status: str = "ok"
    status_message: str | None = None
    error_type: str | None = None
    input: bytes | None = None
    output: bytes | None = None
    attributes: Mapping[str, Any] | None = None
    events: Sequence[Any] | None = None
    links: Sequence[Any] | None = None
    stamp: Any = None
    otel_kind: str = "client"
    scope: str = "llmops_sdk"
    resource: Mapping[str, Any] = field(default_factory=lambda: RESOURCE)


class Turned:
    """A clock that a test turns by hand."""

    def __init__(self, now: float = START) -> None:
        self.now = float(now)

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    async def asleep(self, seconds: float) -> None:
        self.now += seconds


class Calls:
    """Writes calls to a store.

    Args:
        folder: The store's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._sink = StoreSink(folder)
        self._number = 0
        self._spans: list[CallSpan] = []

    def add(
        self,
        at: float,
        *,
        error: bool = False,
        cost: float | None = 0.01,
        ms: float = 100.0,
        model: str = "gpt",
        user: str | None = None,
        **attributes: Any,
    ) -> str:
        """Add a call; return its trace's id."""
        self._number += 1
        given: dict[str, Any] = {"gen_ai.operation.name": "chat", "gen_ai.request.model": model, **attributes}
        if cost is not None:
            given["gen_ai.usage.cost"] = cost
        if user is not None:
            given["user.id"] = user
        # As our own ids: the first 48 bits are the time.
        trace = (int(at * 1_000) << 80) | self._number
        self._spans.append(
            CallSpan(
                trace_id=trace,
                span_id=self._number,
                start_ns=int(at * 1e9),
                duration_ns=int(ms * 1e6),
                status="error" if error else "ok",
                error_type="ServerError" if error else None,
                status_message="the provider is down" if error else None,
                attributes=given,
            )
        )
        if len(self._spans) >= 2_000:
            self.flush()
        return f"{trace:032x}"

    def score(self, trace_id: str, name: str, value: float, at: float) -> None:
        self.flush()
        self._sink.write([
            ScoreRecord(
                trace_id=trace_id, span_id=None, name=name, value=value, label=None, comment=None,
                source="user", time_ns=int(at * 1e9),
            )
        ])  # fmt: skip

    def flush(self) -> None:
        if self._spans:
            self._sink.write(self._spans)
            self._spans = []

    def close(self) -> None:
        self.flush()
        self._sink.close(5.0)


class FileQueue:
    """A queue in a file: durable when `put` returns, and each message once for a notifier.

    Args:
        folder: The watcher's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "test-queue.jsonl"

    def put(self, notification: Notification, names: Sequence[str]) -> None:
        known = {(one["id"], one["state"], one["repeat"], one["notifier"]) for one in self.messages()}
        with self._file.open("a") as file:
            for name in names:
                if (notification.id, notification.state, notification.repeat, name) not in known:
                    file.write(json.dumps({**asdict(notification), "notifier": name}) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def messages(self) -> list[dict[str, Any]]:
        if not self._file.exists():
            return []
        return [json.loads(line) for line in self._file.read_text().splitlines()]

    def close(self) -> None:
        pass


def settings_of(store: Path, **tables: Any) -> Settings:
    """Return settings with a store, a notifier "ops" and the given tables."""
    return Settings.model_validate(
        {
            "store": {"path": store},
            "notify": {"ops": {"kind": "file", "path": store.parent / "ops.jsonl"}},
            **tables,
        }
    )


def fill(calls: Calls, minutes: Iterable[int], per_minute: int, **given: Any) -> None:
    """Add some calls to each minute after `START`."""
    for minute in minutes:
        for number in range(per_minute):
            calls.add(START + minute * 60 + number * 60 / per_minute, **given)
