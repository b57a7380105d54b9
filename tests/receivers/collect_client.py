"""A client of `llmops collect`, and small limits for tests."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmops_sdk.collect import Collector, Limits
from llmops_sdk.store import query

__all__ = ["LIMITS", "Answer", "answer_of", "connect", "count"]


@dataclass(frozen=True)
class Answer:
    """The response to a request."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


LIMITS = Limits(body_bytes=1_000_000, waiting_bytes=3_000_000, connections=8, request_seconds=1.0, idle_seconds=20.0)


def connect(collector: Collector, timeout: float = 30.0) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", int(collector.url.rpartition(":")[2]), timeout=timeout)


def answer_of(connection: http.client.HTTPConnection) -> Answer:
    response = connection.getresponse()
    return Answer(response.status, dict(response.headers.items()), response.read())


def count(store: Path, view: str = "spans") -> int:
    return query(f"SELECT count(*) FROM {view}", path=store).scalar()
