from __future__ import annotations

import logging
from typing import Any

import pytest

from llmops_sdk.config import Settings, configure
from llmops_sdk.export._destinations import Destination, find_destination, find_destinations
from llmops_sdk.export._sink import open_sink


def found(**export: Any) -> Destination | None:
    settings = configure(export=export)
    assert isinstance(settings, Settings)
    destinations = find_destinations(settings)
    return destinations[0] if destinations else None


def url(**export: Any) -> str | None:
    destination = found(**export)
    return destination.endpoint if destination else None


def test_nothing_is_exported_by_default() -> None:
    settings = configure()
    assert find_destinations(settings) == []
    assert [find_destination(settings, signal) for signal in ("metrics", "logs")] == [None, None]
    assert open_sink(configure(export__metrics={"exporters": []})) is None
    assert open_sink(configure(export__enabled=False)) is None


def test_base_url_gets_the_traces_path(monkeypatch: pytest.MonkeyPatch) -> None:
    assert url(endpoint="http://127.0.0.1:6006") == "http://127.0.0.1:6006/v1/traces"
    assert url(endpoint="http://127.0.0.1:6006/") == "http://127.0.0.1:6006/v1/traces"
    assert url(endpoint="https://host/api/otel") == "https://host/api/otel/v1/traces"
    assert url(endpoint="http://127.0.0.1:4317", protocol="grpc") == "http://127.0.0.1:4317"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://env:4318")
    assert url() == "http://env:4318/v1/traces"
    assert url(endpoint="http://set:4318") == "http://set:4318/v1/traces"


def test_traces_endpoint_variable_is_used_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://env:4318")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://env:4318/spans")
    assert url() == "http://env:4318/spans"
    assert url(endpoint="http://set:4318") == "http://set:4318/v1/traces"


def test_traces_exporter_none_turns_export_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://env:4318")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    assert found() is None


def test_headers_protocol_timeout_and_content_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://env:4317")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-a=1,x-b=two%20words")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "3")
    destination = found()
    assert destination == Destination(
        endpoint="http://env:4317",
        protocol="grpc",
        headers={"x-a": "1", "x-b": "two words"},
        timeout=3.0,
        content=False,
    )
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_ONLY")
    destination = found()
    assert destination is not None
    assert destination.content is True


@pytest.mark.parametrize("endpoint", ["127.0.0.1:6006", "ftp://host", "http://", "localhost", "file:///tmp"])
def test_invalid_url_logs_one_warning(endpoint: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert found(endpoint=endpoint) is None
    (line,) = [record.getMessage() for record in caplog.records if "OTLP endpoint" in record.getMessage()]
    assert "nothing is exported" in line


def test_grpc_accepts_host_and_port() -> None:
    assert url(endpoint="localhost:4317", protocol="grpc") == "localhost:4317"


def test_password_in_the_url_is_not_logged() -> None:
    password = "p" * 12
    destination = found(endpoint=f"https://me:{password}@host/x?token={password}", protocol="grpc")
    assert destination is not None
    assert password in destination.endpoint
    assert destination.shown == "https://host/x"
