"""Fixtures of the collector's tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from collect_client import LIMITS, Answer, answer_of, connect
from otlp_requests import simple_request, simple_span

from llmops_sdk.collect import Collector

Post = Callable[..., Answer]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def collector(store: Path) -> Iterator[Collector]:
    with Collector(path=store, port=0, limits=LIMITS) as collector:
        yield collector


@pytest.fixture
def post(collector: Collector) -> Post:
    """Send a request on its own connection. Default: one span in JSON."""

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
