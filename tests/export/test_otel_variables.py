"""Check the table of OpenTelemetry's variables in docs/export.md: each variable has its effect, or none."""

from __future__ import annotations

import os
import re
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from otlp_receiver import GrpcOtlpReceiver, OtlpReceiver, ReceivedSpan
from otlp_samples import sample_span

import llmops_sdk as llmops
from llmops_sdk import config
from llmops_sdk.export._destinations import Destination
from llmops_sdk.export._span_sink import OtlpSink

PAGE = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(OTEL_\w+)` \| (yes|no) \| (yes|no) \| (.+) \|$", PAGE, re.MULTILINE)
HONOURED = {name for name, _, honoured, _ in ROWS if honoured == "yes"}
LEFT_ALONE = [name for name, _, honoured, _ in ROWS if honoured == "no"]
BY_SIGNAL = {name for name, by_signal, _, _ in ROWS if by_signal == "yes"}

Set = Callable[..., None]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Set:
    def put(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return put


def ran(program: str, folder: Path, **environ: str) -> str:
    command = [sys.executable, "-c", f"import llmops_sdk as llmops\n{program}"]
    environment = {**os.environ, **environ}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=True
    ).stdout.strip()


def exported(**changes: Any) -> ReceivedSpan:
    with OtlpReceiver() as backend:
        sink = OtlpSink(Destination(endpoint=f"{backend.url}/v1/traces", headers={}, content=True))
        sink.write([sample_span(**changes)])
        assert sink.flush(30.0)
        sink.close(5.0)
        return backend.spans[0]


# --- one check for each row ---------------------------------------------------------------------------------------


def disabled(put: Set, folder: Path) -> None:
    put(OTEL_SDK_DISABLED="true")
    assert config.load().enabled is False


def service(put: Set, folder: Path) -> None:
    put(OTEL_SERVICE_NAME="shop")
    assert config.load().service == "shop"


def resource(put: Set, folder: Path) -> None:
    with OtlpReceiver() as backend:
        put(OTEL_RESOURCE_ATTRIBUTES="team=a%20b", OTEL_EXPORTER_OTLP_ENDPOINT=backend.url)
        answer = llmops.chat("Hi", model="offline/echo")
        llmops.score("good", True, trace_id=answer.trace_id)
        llmops.flush(30.0)
        found = [backend.spans[0].resource, backend.logs[0].resource, backend.exports[0][0].resource]
    assert [one["team"] for one in found] == ["a b"] * 3


def propagators(put: Set, folder: Path) -> None:
    program = "carrier = {}\nwith llmops.span('a'): llmops.inject(carrier)\nprint(sorted(carrier))"
    assert ran(program, folder, OTEL_PROPAGATORS="none") == "[]"
    assert ran(program, folder, OTEL_PROPAGATORS="tracecontext") == "['traceparent']"


def kept(parent: str) -> bool:
    header = f"00-{'ab' * 16}-{'cd' * 8}-{parent}"
    with llmops.extract({"traceparent": header} if parent else {}), llmops.span("a") as span:
        return span.recording


_SAMPLERS = {
    ("always_on", ""): "True True True",
    ("always_off", ""): "False False False",
    ("traceidratio", "0"): "False False False",
    ("traceidratio", "1"): "True True True",
    ("parentbased_always_on", ""): "True True False",
    ("parentbased_always_off", ""): "False True False",
    ("parentbased_traceidratio", "0.0"): "False True False",
    ("parentbased_traceidratio", "1.0"): "True True False",
}


def sampler(put: Set, folder: Path) -> None:
    for (name, argument), expected in _SAMPLERS.items():
        put(OTEL_TRACES_SAMPLER=name, OTEL_TRACES_SAMPLER_ARG=argument)
        llmops.configure(service=name + argument, tracing={"local_sampling": "parent"})
        assert " ".join(str(kept(parent)) for parent in ("", "01", "00")) == expected, (name, argument)


def exporters(put: Set, folder: Path) -> None:
    put(OTEL_TRACES_EXPORTER="console", OTEL_METRICS_EXPORTER="none", OTEL_LOGS_EXPORTER="none")
    export = config.load().export
    assert (export.exporters, export.metrics.exporters, export.logs.exporters) == (("console",), (), ())


def interval(put: Set, folder: Path) -> None:
    with OtlpReceiver() as backend:
        put(OTEL_METRIC_EXPORT_INTERVAL="20", OTEL_EXPORTER_OTLP_ENDPOINT=backend.url)
        llmops.chat("Hi", model="offline/echo")
        backend.wait_until(lambda: bool(backend.exports), "metrics without a flush")


def temporality(put: Set, folder: Path) -> None:
    counts: dict[str, list[int]] = {}
    for preference in ("cumulative", "delta"):
        put(OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=preference)
        with OtlpReceiver() as backend:
            llmops.configure(export={"endpoint": backend.url})
            for _ in range(2):
                llmops.chat("Hi", model="offline/echo")
                llmops.flush(30.0)
            counts[preference] = [
                point.count for one in backend.exports for point in one if "operation.duration" in point.metric
            ]
    assert counts == {"cumulative": [1, 2], "delta": [1, 1]}


def aggregation(put: Set, folder: Path) -> None:
    put(OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION="base2_exponential_bucket_histogram")
    with OtlpReceiver() as backend:
        llmops.configure(export={"endpoint": backend.url})
        llmops.chat("Hi", model="offline/echo")
        llmops.flush(30.0)
        assert backend.requests("metrics") == 1
        assert backend.exports == [[]], "no histogram of explicit buckets among them"


MANY = {**{f"own.{number}": "x" * 50 for number in range(20)}, "gen_ai.operation.name": "chat"}


def count_limit(variable: str) -> Callable[[Set, Path], None]:
    def check(put: Set, folder: Path) -> None:
        put(**{variable: "6"})
        found = exported(attributes=MANY).attributes
        assert len(found) == 6
        assert {"gen_ai.operation.name", "openinference.span.kind"} <= found.keys()

    return check


def length_limit(variable: str) -> Callable[[Set, Path], None]:
    def check(put: Set, folder: Path) -> None:
        put(**{variable: "5"})
        assert exported(attributes={"own": "x" * 50, "number": 7}).attributes["own"] == "xxxxx"

    return check


EVENTS = [(f"e{number}", 1, {"a": 1, "b": 2}) for number in range(5)]
LINKS = [(1, number + 1, {"a": 1, "b": 2}) for number in range(5)]


def events_and_links(put: Set, folder: Path) -> None:
    put(OTEL_SPAN_EVENT_COUNT_LIMIT="2", OTEL_SPAN_LINK_COUNT_LIMIT="3")
    put(OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT="1", OTEL_LINK_ATTRIBUTE_COUNT_LIMIT="1")
    found = exported(events=EVENTS, links=LINKS)
    assert [name for name, _, _ in found.events] == ["e3", "e4"]
    assert len(found.links) == 3
    assert [len(kept) for _, _, kept in (*found.events, *found.links)] == [1] * 5


def content(put: Set, folder: Path) -> None:
    put(OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="SPAN_AND_EVENT")
    assert config.load().export.content is True


CHECKS: dict[str, Callable[[Set, Path], None]] = {
    "OTEL_SDK_DISABLED": disabled,
    "OTEL_SERVICE_NAME": service,
    "OTEL_RESOURCE_ATTRIBUTES": resource,
    "OTEL_PROPAGATORS": propagators,
    "OTEL_TRACES_SAMPLER": sampler,
    "OTEL_TRACES_SAMPLER_ARG": sampler,
    "OTEL_TRACES_EXPORTER": exporters,
    "OTEL_METRICS_EXPORTER": exporters,
    "OTEL_LOGS_EXPORTER": exporters,
    "OTEL_METRIC_EXPORT_INTERVAL": interval,
    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": temporality,
    "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": aggregation,
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": count_limit("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"),
    "OTEL_ATTRIBUTE_COUNT_LIMIT": count_limit("OTEL_ATTRIBUTE_COUNT_LIMIT"),
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": length_limit("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT"),
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": length_limit("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"),
    "OTEL_SPAN_EVENT_COUNT_LIMIT": events_and_links,
    "OTEL_SPAN_LINK_COUNT_LIMIT": events_and_links,
    "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT": events_and_links,
    "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT": events_and_links,
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": content,
}


def test_documented_variables_and_checks_match() -> None:
    assert len(ROWS) == len({name for name, *_ in ROWS}) > 30
    assert set(CHECKS) | BY_SIGNAL == HONOURED


@pytest.mark.parametrize("name", [name for name in CHECKS if name != "OTEL_TRACES_SAMPLER_ARG"])
def test_honoured_variable_has_its_effect(name: str, environment: Set, tmp_path: Path) -> None:
    CHECKS[name](environment, tmp_path)


@pytest.mark.parametrize("name", LEFT_ALONE)
def test_ignored_variable_changes_nothing(name: str, environment: Set) -> None:
    before, span = config.load(), exported(name="same", trace_id=1, span_id=2)
    environment(**{name: "1"})
    assert config.load() == before
    assert exported(name="same", trace_id=1, span_id=2) == span


# --- those of one signal each ---------------------------------------------------------------------------------------


def variable(name: str, signal: str) -> str:
    return name.replace("_OTLP_", f"_OTLP_{signal.upper()}_") if signal else name


def sent_by(backend: Any) -> dict[str, int]:
    """Return how many requests of each signal a call and a score cause."""
    answer = llmops.chat("Hi", model="offline/echo")
    llmops.score("good", True, trace_id=answer.trace_id)
    llmops.flush(30.0)
    return {"traces": len(backend.spans), "metrics": len(backend.exports), "logs": len(backend.logs)}


@pytest.mark.parametrize("signal", ["", "traces", "metrics", "logs"])
def test_endpoint_headers_and_compression_apply_by_signal(signal: str, environment: Set) -> None:
    with OtlpReceiver() as backend:
        url = backend.url if not signal else f"{backend.url}/v1/{signal}"
        environment(**{variable("OTEL_EXPORTER_OTLP_ENDPOINT", signal): url})
        environment(**{variable("OTEL_EXPORTER_OTLP_HEADERS", signal): "x-who=me"})
        environment(**{variable("OTEL_EXPORTER_OTLP_COMPRESSION", signal): "gzip"})
        assert sent_by(backend) == {name: int(signal in {"", name}) for name in ("traces", "metrics", "logs")}
        for headers in backend.headers:
            named = {name.lower(): value for name, value in headers.items()}
            assert (named["x-who"], named["content-encoding"]) == ("me", "gzip")


@pytest.mark.parametrize("signal", ["", "traces", "metrics", "logs"])
def test_protocol_insecure_and_timeout_apply_by_signal(signal: str, environment: Set) -> None:
    with GrpcOtlpReceiver() as backend:
        address = backend.url.removeprefix("http://")
        environment(**{variable("OTEL_EXPORTER_OTLP_ENDPOINT", signal): address})
        environment(**{variable("OTEL_EXPORTER_OTLP_PROTOCOL", signal): "grpc"})
        environment(**{variable("OTEL_EXPORTER_OTLP_INSECURE", signal): "true"})
        environment(**{variable("OTEL_EXPORTER_OTLP_TIMEOUT", signal): "7"})
        export = config.load().export
        timeouts = {"traces": export.timeout, "metrics": export.metrics.timeout, "logs": export.logs.timeout}
        assert timeouts[signal or "traces"] == 7.0
        assert sent_by(backend) == {name: int(signal in {"", name}) for name in ("traces", "metrics", "logs")}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    for name in ("server", "client"):
        made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
        made += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{name}.key", "-out", f"{name}.pem"]
        subprocess.run(made, cwd=folder, check=True, capture_output=True, timeout=60)
    return folder


@pytest.mark.parametrize("signal", ["", "traces", "metrics", "logs"])
def test_certificates_apply_by_signal(signal: str, environment: Set, certificates: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    context.load_verify_locations(certificates / "client.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    environment(REQUESTS_CA_BUNDLE=str(certificates / "client.pem"))  # as companies set it for all programs
    with OtlpReceiver(tls=context) as backend:
        url = backend.url if not signal else f"{backend.url}/v1/{signal}"
        environment(**{variable("OTEL_EXPORTER_OTLP_ENDPOINT", signal): url})
        environment(**{variable("OTEL_EXPORTER_OTLP_CERTIFICATE", signal): str(certificates / "server.pem")})
        environment(**{variable("OTEL_EXPORTER_OTLP_CLIENT_KEY", signal): str(certificates / "client.key")})
        environment(**{variable("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", signal): str(certificates / "client.pem")})
        assert sent_by(backend) == {name: int(signal in {"", name}) for name in ("traces", "metrics", "logs")}


def test_environment_headers_do_not_reach_other_backends(environment: Set) -> None:
    environment(OTEL_EXPORTER_OTLP_ENDPOINT="http://other.example:4318", OTEL_EXPORTER_OTLP_HEADERS="x-auth=theirs")
    with OtlpReceiver() as backend:
        llmops.configure(export={"endpoint": backend.url})
        assert sent_by(backend) == {"traces": 1, "metrics": 1, "logs": 1}
        assert b"theirs" not in backend.everything()
    with GrpcOtlpReceiver() as grpc:
        llmops.configure(export={"endpoint": grpc.url, "protocol": "grpc"})
        assert sent_by(grpc)["traces"] == 1
        assert b"theirs" not in grpc.everything()
