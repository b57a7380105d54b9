"""The standard variables of OpenTelemetry."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from llmops_sdk import config

BASE = "http://collector:4318"


def load(monkeypatch: pytest.MonkeyPatch, environ: Mapping[str, str], **overrides: object) -> config.Settings:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return config.load(**overrides)


def test_service_name(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = {"OTEL_RESOURCE_ATTRIBUTES": "team=x,service.name=my%20shop,service.version=1"}
    assert load(monkeypatch, resource).service == "my shop"
    settings = load(monkeypatch, {"OTEL_SERVICE_NAME": "shop"})
    assert (settings.service, settings.source("service")) == ("shop", "environment: OTEL_SERVICE_NAME")
    assert load(monkeypatch, {}, service="mine").service == "mine"


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": BASE}, f"{BASE}/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": f"{BASE}/"}, f"{BASE}/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "  "}, None),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{BASE}/in"}, f"{BASE}/in"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://b", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": BASE}, BASE),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": BASE, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, BASE),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": BASE, "OTEL_TRACES_EXPORTER": "none"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": BASE, "OTEL_TRACES_EXPORTER": "console"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": BASE, "OTEL_TRACES_EXPORTER": "console, otlp"}, f"{BASE}/v1/traces"),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, "http://localhost:4318/v1/traces"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "http://localhost:4317"),
    ],
)
def test_where_spans_go(monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], url: str | None) -> None:
    assert load(monkeypatch, environ).export.traces_url == url


@pytest.mark.parametrize("variable", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
def test_our_endpoint_wins_and_gets_no_headers_of_another_backend(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    settings = load(
        monkeypatch,
        {variable: "http://other:4318/x", "OTEL_EXPORTER_OTLP_HEADERS": "x-auth=theirs"},
        export={"endpoint": BASE},
    )
    assert settings.export.traces_url == f"{BASE}/v1/traces"
    assert settings.export.headers == {}


def test_headers_alone_serve_our_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    headers = {"OTEL_EXPORTER_OTLP_HEADERS": "X-Auth=a%3Db , x-b=2"}
    assert load(monkeypatch, headers, export__endpoint=BASE).export.headers == {"x-auth": "a=b", "x-b": "2"}
    traces = {"OTEL_EXPORTER_OTLP_TRACES_HEADERS": "x-c=3"}
    assert load(monkeypatch, traces).export.headers == {"x-c": "3"}, "in place of the general ones"


def test_a_base_url_from_above_overrules_a_whole_url_from_below(
    monkeypatch: pytest.MonkeyPatch, own_surroundings: object
) -> None:
    from pathlib import Path

    Path("llmops.toml").write_text(f"[export]\ntraces_endpoint = '{BASE}/file'\n")
    assert config.load().export.traces_url == f"{BASE}/file"
    monkeypatch.setenv("LLMOPS_EXPORT__ENDPOINT", "http://env")
    assert config.load().export.traces_url == "http://env/v1/traces"


def test_protocol_and_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    general = {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", "OTEL_EXPORTER_OTLP_TIMEOUT": "3"}
    traces = {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "1.5"}
    export = load(monkeypatch, general).export
    assert (export.protocol, export.timeout) == ("http/protobuf", 3.0)
    export = load(monkeypatch, traces).export
    assert (export.protocol, export.timeout) == ("grpc", 1.5)


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("NO_CONTENT", False),
        ("SPAN_ONLY", True),
        ("EVENT_ONLY", False),
        ("SPAN_AND_EVENT", True),
        ("true", True),
        ("False", False),
    ],
)
def test_content_leaves_only_when_a_switch_says_so(monkeypatch: pytest.MonkeyPatch, text: str, content: bool) -> None:
    assert config.load().export.content is False
    variable = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": text}
    assert load(monkeypatch, variable).export.content is content
    assert load(monkeypatch, {}, export__content=not content).export.content is not content


def test_disabled(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch, {"OTEL_SDK_DISABLED": "TRUE"}).enabled is False
    assert load(monkeypatch, {"LLMOPS_ENABLED": "true"}).enabled is True


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("OTEL_SDK_DISABLED", "perhaps"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "-1"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "nan"),
        ("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "maybe"),
    ],
)
def test_an_unknown_value_is_ignored_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, variable: str, text: str
) -> None:
    assert load(monkeypatch, {variable: text}) == config.Settings(store={"path": config.load().store.path})
    messages = {record.getMessage() for record in caplog.records if record.levelname == "WARNING"}
    assert len(messages) == 1
    assert variable in messages.pop()
