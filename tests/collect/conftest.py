"""What the collector's tests share."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from otlp_requests import simple_request, simple_span

from llmops_sdk.collect import Collector, Limits
from llmops_sdk.store import query


@dataclass(frozen=True)
class Answer:
    """What a request was answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Post = Callable[..., Answer]

LIMITS = Limits(body_bytes=1_000_000, waiting_bytes=3_000_000, connections=8, request_seconds=1.0, idle_seconds=20.0)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def collector(store: Path) -> Iterator[Collector]:
    with Collector(path=store, port=0, limits=LIMITS) as collector:
        yield collector


def connect(collector: Collector, timeout: float = 30.0) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", int(collector.url.rpartition(":")[2]), timeout=timeout)


def answer_of(connection: http.client.HTTPConnection) -> Answer:
    response = connection.getresponse()
    return Answer(response.status, dict(response.headers.items()), response.read())


@pytest.fixture
def post(collector: Collector) -> Post:
    """A request on a connection of its own; by default one span in JSON."""

    def send(body: bytes | None = None, path: str = "/v1/traces", method: str = "POST", **headers: str) -> Answer:
        content = json.dumps(simple_request([simple_span()])).encode() if body is None else body
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection = connect(collector)
        try:
            connection.request(method, path, content, {"Content-Type": "application/json", **named})
            return answer_of(connection)
        finally:
            connection.close()

    return send


def count(store: Path, view: str = "spans") -> int:
    return query(f"SELECT count(*) FROM {view}", path=store).scalar()
