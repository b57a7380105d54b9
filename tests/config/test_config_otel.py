"""OpenTelemetry's standard variables."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from llmops_sdk import config
from llmops_sdk.errors import ConfigError

BASE = "http://collector:4318"


def load(monkeypatch: pytest.MonkeyPatch, environ: Mapping[str, str], **overrides: object) -> config.Settings:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return config.load(**overrides)


def test_service_name_comes_from_otel_variables(monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_otel_variables_set_the_endpoint_of_spans(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], url: str | None
) -> None:
    assert load(monkeypatch, environ).export.traces_url == url


@pytest.mark.parametrize("variable", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
def test_own_endpoint_gets_no_headers_of_another_backend(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    settings = load(
        monkeypatch,
        {variable: "http://other:4318/x", "OTEL_EXPORTER_OTLP_HEADERS": "x-auth=theirs"},
        export={"endpoint": BASE},
    )
    assert settings.export.traces_url == f"{BASE}/v1/traces"
    assert settings.export.headers == {}


def test_otel_headers_apply_to_our_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    headers = {"OTEL_EXPORTER_OTLP_HEADERS": "X-Auth=a%3Db , x-b=2"}
    assert load(monkeypatch, headers, export__endpoint=BASE).export.headers == {"x-auth": "a=b", "x-b": "2"}
    traces = {"OTEL_EXPORTER_OTLP_TRACES_HEADERS": "x-c=3"}
    assert load(monkeypatch, traces).export.headers == {"x-c": "3"}, "in place of the general ones"


def test_higher_base_url_overrides_a_lower_complete_url(
    monkeypatch: pytest.MonkeyPatch, own_surroundings: object
) -> None:
    from pathlib import Path

    Path("llmops.toml").write_text(f"[export]\ntraces_endpoint = '{BASE}/file'\n")
    monkeypatch.setenv("LLMOPS_CONFIG_FILE", "llmops.toml")
    assert config.load().export.traces_url == f"{BASE}/file"
    monkeypatch.setenv("LLMOPS_EXPORT__ENDPOINT", "http://env")
    assert config.load().export.traces_url == "http://env/v1/traces"


def test_protocol_and_timeout_come_from_otel_variables(monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_otel_content_switch_sets_content_export(monkeypatch: pytest.MonkeyPatch, text: str, content: bool) -> None:
    assert config.load().export.content is False
    variable = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": text}
    assert load(monkeypatch, variable).export.content is content
    assert load(monkeypatch, {}, export__content=not content).export.content is not content


def test_otel_sdk_disabled_turns_tracing_off(monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_unknown_otel_value_is_ignored_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, variable: str, text: str
) -> None:
    plain = config.load()
    folders = {"store": {"path": plain.store.path}, "cassettes": {"folder": plain.cassettes.folder}}
    assert load(monkeypatch, {variable: text}) == config.Settings(**folders)
    messages = {record.getMessage() for record in caplog.records if record.levelname == "WARNING"}
    assert len(messages) == 1
    assert variable in messages.pop()


TRACES, METRICS, LOGS = (f"{BASE}/v1/{signal}" for signal in ("traces", "metrics", "logs"))
HERE = {"OTEL_EXPORTER_OTLP_ENDPOINT": BASE}


@pytest.mark.parametrize(
    ("environ", "urls"),
    [
        (HERE, (TRACES, METRICS, LOGS)),
        ({**HERE, "OTEL_METRICS_EXPORTER": "none"}, (TRACES, None, LOGS)),
        ({**HERE, "OTEL_LOGS_EXPORTER": "none"}, (TRACES, METRICS, None)),
        ({**HERE, "OTEL_TRACES_EXPORTER": "none"}, (None, METRICS, LOGS)),
        ({**HERE, "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "grpc"}, (TRACES, BASE, LOGS)),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": BASE}, (BASE, None, None)),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": BASE}, (None, BASE, None)),
        ({"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": BASE}, (None, None, BASE)),
        ({"OTEL_METRICS_EXPORTER": "otlp"}, (None, "http://localhost:4318/v1/metrics", None)),
        ({"OTEL_LOGS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, (None, None, "http://localhost:4317")),
    ],
)
def test_otel_variables_set_the_endpoint_of_each_signal(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], urls: tuple[str | None, ...]
) -> None:
    export = load(monkeypatch, environ).export
    assert (export.traces_url, export.metrics_url, export.logs_url) == urls
    assert load(monkeypatch, {}, export__enabled=False).export.metrics_url is None


def test_signals_have_their_own_headers_protocol_and_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": BASE,
        "OTEL_EXPORTER_OTLP_HEADERS": "x-a=general",
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "x-a=traces",
        "OTEL_EXPORTER_OTLP_LOGS_HEADERS": "x-a=logs",
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc",
        "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT": "2",
    }
    export = load(monkeypatch, environ).export
    assert export.headers == {"x-a": "traces"}
    assert (export.metrics.headers, export.logs.headers) == ({"x-a": "general"}, {"x-a": "logs"})
    assert (export.protocol, export.metrics.protocol) == ("grpc", "http/protobuf")
    assert (export.timeout, export.metrics.timeout, export.logs.timeout) == (10.0, 2.0, None)


def test_trace_headers_are_not_sent_with_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": BASE, "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "x-a=traces"}
    assert load(monkeypatch, environ).export.metrics.headers == {}


def test_otel_headers_are_not_sent_to_another_metrics_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://other:4318", "OTEL_EXPORTER_OTLP_HEADERS": "x-auth=theirs"}
    export = load(monkeypatch, environ, export={"metrics": {"endpoint": BASE}}).export
    assert (export.metrics.endpoint, export.metrics.headers, export.headers) == (BASE, {}, {"x-auth": "theirs"})
    environ = {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://o", "OTEL_EXPORTER_OTLP_METRICS_HEADERS": "x-auth=theirs"}
    export = load(monkeypatch, environ, export={"endpoint": BASE}).export
    assert (export.metrics_url, export.metrics.headers) == (f"{BASE}/v1/metrics", None)


def test_otel_traces_exporter_selects_exporters(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert load(monkeypatch, {}).export.exporters == ("otlp",)
    assert load(monkeypatch, {"OTEL_TRACES_EXPORTER": "console,otlp"}).export.exporters == ("console", "otlp")
    assert load(monkeypatch, {"OTEL_TRACES_EXPORTER": "none"}).export.exporters == ()
    assert not caplog.records
    assert load(monkeypatch, {"OTEL_TRACES_EXPORTER": "zipkin,console"}).export.exporters == ("console",)
    assert [record.getMessage() for record in caplog.records] == [
        'llmops: unknown exporter "zipkin" is ignored: use none or otlp or console'
    ]
    with pytest.raises(ConfigError, match="exporters"):
        load(monkeypatch, {}, export={"exporters": ["zipkin"]})


def test_unsupported_otlp_json_has_a_clear_message(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert load(monkeypatch, {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}).export.protocol == "http/protobuf"
    (line,) = {record.getMessage() for record in caplog.records}
    assert line == (
        "llmops: OTEL_EXPORTER_OTLP_PROTOCOL=http/json is ignored: OTLP as JSON is not supported; "
        "use http/protobuf or grpc"
    )
