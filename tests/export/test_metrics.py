"""Metrics of model calls as a backend receives them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from array import array
from typing import Any

import pytest
from otlp_receiver import BlackHole, GrpcOtlpReceiver, OtlpReceiver, ReceivedPoint, Reply
from otlp_samples import sample_span

import llmops_sdk as llmops
from llmops_sdk.export._destinations import Destination
from llmops_sdk.export.metrics import _chunk_times
from llmops_sdk.export.metrics._measured import measure
from llmops_sdk.export.metrics._sink import MetricsSink

SECONDS = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]
TOKENS = [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864]
DURATION, USAGE = "gen_ai.client.operation.duration", "gen_ai.client.token.usage"
INFERENCE, EMBEDDINGS = "gen_ai.client.inference.duration", "gen_ai.client.embeddings.duration"
INPUT, OUTPUT = (f"gen_ai.client.inference.operation.{side}_tokens" for side in ("input", "output"))
EMBEDDED = "gen_ai.client.embeddings.operation.input_tokens"
NEW_FIRST, NEW_CHUNK = (f"gen_ai.client.inference.time_{end}" for end in ("to_first_chunk", "per_output_chunk"))
COUNTER = "gen_ai.client.inference.usage."
FIRST, CHUNK = "gen_ai.client.operation.time_to_first_chunk", "gen_ai.client.operation.time_per_output_chunk"
CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-x",
    "gen_ai.response.model": "gpt-x-1",
    "server.address": "api.example",
    "server.port": 443,
}


def call(seconds: float = 0.05, **changes: Any) -> Any:
    more = changes.pop("attributes", {})
    used = {"gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 7, "llmops.attempts": 1}
    return sample_span(kind="llm", duration_ns=int(seconds * 1e9), attributes={**CALL, **used, **more}, **changes)


def sent(*records: Any) -> list[ReceivedPoint]:
    with OtlpReceiver() as backend:
        sink = MetricsSink(Destination(endpoint=f"{backend.url}/v1/metrics", signal="metrics", headers={}))
        sink.write(records)
        assert sink.flush(30.0)
        sink.close(5.0)
        return backend.exports[-1] if backend.exports else []


def test_histograms_follow_the_genai_conventions() -> None:
    points = {(point.metric, point.attributes.get("gen_ai.token.type")): point for point in sent(call(0.05), call(0.5))}
    assert set(points) == {
        (DURATION, None), (INFERENCE, None), (USAGE, "input"), (USAGE, "output"), (INPUT, None), (OUTPUT, None)
    }  # fmt: skip
    assert (points[INPUT, None].sum, points[INPUT, None].bounds, points[INPUT, None].attributes) == (200, TOKENS, CALL)
    assert (points[OUTPUT, None].sum, points[OUTPUT, None].unit) == (14, "{token}")
    duration = points[DURATION, None]
    assert (duration.unit, duration.bounds, duration.attributes) == ("s", SECONDS, CALL)
    assert (duration.count, duration.sum) == (2, pytest.approx(0.55))
    assert duration.buckets == [0, 0, 0, 1, 0, 0, 1, *[0] * 8]
    tokens = points[USAGE, "input"]
    assert (tokens.unit, tokens.bounds) == ("{token}", TOKENS)
    assert (tokens.count, tokens.sum, tokens.attributes) == (2, 200, {**CALL, "gen_ai.token.type": "input"})
    assert points[USAGE, "output"].sum == 14


def test_stream_records_the_times_between_chunks() -> None:
    stream = call(attributes={"gen_ai.request.stream": True, "gen_ai.response.time_to_first_chunk": 0.25})
    _chunk_times.keep(stream.span_id, array("d", [1.0, 1.03, 1.13]))
    points = {point.metric: point for point in sent(stream)}
    assert (points[FIRST].count, points[FIRST].sum, points[FIRST].bounds) == (1, 0.25, SECONDS)
    assert (points[CHUNK].count, points[CHUNK].sum) == (2, pytest.approx(0.13))
    assert points[CHUNK].buckets == [0, 0, 1, 0, 1, *[0] * 10]
    assert (points[NEW_FIRST].sum, points[NEW_CHUNK].buckets) == (0.25, points[CHUNK].buckets)
    assert (points[FIRST].attributes, points[CHUNK].unit) == (CALL, "s")
    assert _chunk_times.take(stream.span_id) is None


def test_error_type_is_only_on_the_duration() -> None:
    failed, newer = sent(sample_span(kind="llm", status="error", error_type="ServerError", attributes=CALL))
    assert (failed.metric, failed.attributes) == (DURATION, {**CALL, "error.type": "ServerError"})
    assert (newer.metric, newer.attributes) == (INFERENCE, failed.attributes)


def test_cached_answer_records_no_tokens() -> None:
    served, newer = sent(call(attributes={"llmops.cache": "exact", "gen_ai.response.time_to_first_chunk": 0.1}))
    assert (served.metric, served.attributes) == (DURATION, {**CALL, "llmops.cache": "exact"})
    assert newer.metric == INFERENCE


def test_embeddings_have_a_duration_of_their_own() -> None:
    embedded = sent(sample_span(kind="embedding", attributes={**CALL, "gen_ai.operation.name": "embeddings"}))
    assert {point.metric for point in embedded} == {DURATION, EMBEDDINGS}
    used = {**CALL, "gen_ai.operation.name": "embeddings", "gen_ai.usage.input_tokens": 3}
    (tokens,) = (point for point in sent(sample_span(kind="embedding", attributes=used)) if point.metric == EMBEDDED)
    assert (tokens.sum, tokens.bounds) == (3, TOKENS)


def test_counters_have_each_kind_of_token() -> None:
    parts = {
        "gen_ai.usage.cache_read.input_tokens": 40,
        "gen_ai.usage.cache_creation.input_tokens": 5,
        "gen_ai.usage.reasoning.output_tokens": 3,
    }
    failed = sample_span(kind="llm", status="error", error_type="ServerError", attributes={**CALL, "server.port": 1})
    cached = call(attributes={"llmops.cache": "exact"})
    embedded = sample_span(kind="embedding", attributes={**CALL, "gen_ai.operation.name": "embeddings"})
    with OtlpReceiver() as backend:
        sink = MetricsSink(Destination(endpoint=f"{backend.url}/v1/metrics", signal="metrics", headers={}))
        sink.write([call(attributes=parts), call(), failed, cached, embedded])
        assert sink.flush(30.0)
        sink.close(5.0)
        found = backend.counters
    every = {**CALL, "gen_ai.token.modality": "unknown"}
    assert found.pop(f"{COUNTER}input_tokens") == [(every, 200), ({**every, "server.port": 1}, 0)]
    assert found.pop(f"{COUNTER}output_tokens") == [(every, 14), ({**every, "server.port": 1}, 0)]
    assert found == {
        f"{COUNTER}cache_read.input_tokens": [(every, 40)],
        f"{COUNTER}cache_write.input_tokens": [(every, 5)],
        f"{COUNTER}reasoning.output_tokens": [(every, 3)],
    }


@pytest.mark.parametrize(
    "record",
    [
        sample_span(),
        sample_span(kind="tool", attributes={"gen_ai.operation.name": "execute_tool"}),
        sample_span(kind="llm", scope="another.library", attributes=CALL),
    ],
)
def test_spans_that_are_not_our_calls_are_not_measured(record: Any) -> None:
    assert measure(record) is None


@pytest.mark.parametrize("status", [404, 405, 415, 501])
def test_backend_without_metrics_gets_no_second_request(status: int, caplog: pytest.LogCaptureFixture) -> None:
    losses: list[tuple[str, str, int, int]] = []
    with OtlpReceiver(refuse={"metrics": status}) as backend:
        destination = Destination(endpoint=f"{backend.url}/v1/metrics", signal="metrics", headers={})
        sink = MetricsSink(destination, lose=lambda *loss: losses.append(loss))
        for _ in range(3):
            sink.write([call()])
            sink.flush(30.0)
        sink.close(5.0)
        assert backend.requests("metrics") == 1
    (line,) = [record.getMessage() for record in caplog.records if record.name == "llmops_sdk"]
    assert f"HTTP {status}" in line
    assert "OTEL_METRICS_EXPORTER=none" in line
    assert losses == [("export_metrics", "not_supported", 1, 0)]


def test_metrics_are_sent_over_grpc() -> None:
    with GrpcOtlpReceiver() as backend:
        sink = MetricsSink(Destination(endpoint=backend.url, signal="metrics", protocol="grpc", headers={"x-a": "1"}))
        sink.write([call()])
        assert sink.flush(30.0)
        sink.close(5.0)
        assert {point.metric for point in backend.exports[-1]} == {DURATION, INFERENCE, USAGE, INPUT, OUTPUT}
        assert backend.headers[0]["x-a"] == "1"
    with GrpcOtlpReceiver(traces_only=True) as backend:
        losses: list[tuple[str, str, int, int]] = []
        destination = Destination(endpoint=backend.url, signal="metrics", protocol="grpc", headers={})
        sink = MetricsSink(destination, lose=lambda *loss: losses.append(loss))
        sink.write([call()])
        sink.flush(30.0)
        sink.close(5.0)
        assert losses == [("export_metrics", "not_supported", 1, 0)]


def test_failed_metrics_are_sent_later(caplog: pytest.LogCaptureFixture) -> None:
    with OtlpReceiver([Reply(400)]) as backend:
        sink = MetricsSink(Destination(endpoint=f"{backend.url}/v1/metrics", signal="metrics", headers={}))
        sink.write([call()])
        assert not sink.flush(30.0)
        sink.write([call()])
        assert sink.flush(30.0)
        sink.close(5.0)
        (duration,) = backend.points(DURATION)
        assert duration.count == 2
    # Of this backend: the thread of an earlier test's sink may still tell of its own.
    said = [record.getMessage() for record in caplog.records]
    assert sum(f"{backend.url}/v1/metrics did not accept metrics" in one for one in said) == 1


def test_calls_beyond_the_queue_are_counted() -> None:
    losses: list[tuple[str, str, int, int]] = []
    with OtlpReceiver() as backend:
        destination = Destination(endpoint=f"{backend.url}/v1/metrics", signal="metrics", headers={})
        sink = MetricsSink(destination, max_calls=3, lose=lambda *loss: losses.append(loss))
        sink.write([call() for _ in range(5)])
        assert sink.flush(30.0)
        sink.close(5.0)
        (duration,) = backend.points(DURATION)
    assert (duration.count, losses) == (3, [("export_metrics", "queue_full", 2, 0)])


def test_silent_backend_bounds_flush_and_close() -> None:
    with BlackHole() as hole:
        sink = MetricsSink(Destination(endpoint=f"{hole.url}/v1/metrics", signal="metrics", headers={}))
        sink.write([call()])
        begun = time.monotonic()
        assert not sink.flush(0.2)
        sink.close(5.0)
        assert time.monotonic() - begun < 4.5


def test_client_calls_arrive_as_metrics() -> None:
    with OtlpReceiver() as backend:
        outage = {"model": "offline/echo", "options": {"failures": {"sequence": ["server"]}}}
        llmops.configure(export={"endpoint": backend.url}, models={"failing": outage}, service="shop")
        llmops.chat("Hi", model="offline/echo")
        assert len(list(llmops.stream("one two three", model="offline/echo"))) > 2
        with pytest.raises(llmops.ServerError):
            llmops.chat("Hi", model="failing", retry=False)
        llmops.embed(["a"], model="offline/echo")
        report = llmops.flush(30.0)
        assert (report.stored, report.exported) == (4, 4)
        durations = {
            (point.attributes["gen_ai.operation.name"], point.attributes.get("error.type")): point.count
            for point in backend.points(DURATION)
        }
        assert durations == {("chat", None): 2, ("chat", "ServerError"): 1, ("embeddings", None): 1}
        (first,), (gaps,) = backend.points(FIRST), backend.points(CHUNK)
        assert (first.count, first.attributes["gen_ai.provider.name"]) == (1, "offline")
        assert gaps.count >= 2
        assert first.resource["service.name"] == "shop"


def test_metrics_exporter_none_turns_metrics_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    with OtlpReceiver() as backend:
        llmops.configure(export={"endpoint": backend.url})
        llmops.chat("Hi", model="offline/echo")
        assert llmops.flush(30.0).exported == 1
        assert backend.paths == ["/v1/traces"]


HOST = """
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
import llmops_sdk as llmops
reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider([reader]))
for _ in llmops.stream("one two three", model="offline/echo"): pass
llmops.flush(30)
data = reader.get_metrics_data()
for scope in data.resource_metrics[0].scope_metrics:
    for metric in scope.metrics:
        point = metric.data.data_points[0]
        shown = (point.count, len(point.explicit_bounds)) if hasattr(point, "count") else (point.value,)
        print(scope.scope.name, metric.name, *shown)
"""


@pytest.mark.parametrize("endpoint", [False, True])
def test_application_meter_provider_gets_the_metrics(endpoint: bool, tmp_path: Any) -> None:
    with OtlpReceiver() as backend:
        environ = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": backend.url if endpoint else ""}
        run = subprocess.run(
            [sys.executable, "-c", HOST],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert backend.requests("metrics") == 0, "not twice to the same backend"
    found = {line.split()[1]: line.split()[2:] for line in run.stdout.splitlines() if line.startswith("llmops_sdk ")}
    histograms = {DURATION, INFERENCE, USAGE, INPUT, OUTPUT, FIRST, CHUNK, NEW_FIRST, NEW_CHUNK}
    assert set(found) == histograms | {f"{COUNTER}input_tokens", f"{COUNTER}output_tokens"}
    assert found[DURATION] == ["1", "14"]


def test_nothing_is_measured_without_backend_and_meter_provider() -> None:
    sink = MetricsSink(None)
    sink.write([call()])
    assert not sink._has_work()
    sink.close(1.0)


FORK = """
import os, sys
import llmops_sdk as llmops
llmops.chat("Hi", model="offline/echo")
llmops.flush(30)
child = os.fork()
llmops.chat("Hi", model="offline/echo")
report = llmops.flush(30)
if child == 0:
    os._exit(report.pending)
sys.exit(os.waitpid(child, 0)[1])
"""


def test_forked_child_sends_its_own_metrics(tmp_path: Any) -> None:
    with OtlpReceiver() as backend:
        environ = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": backend.url}
        command = [sys.executable, "-W", "ignore", "-c", FORK]
        subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, timeout=60, check=True)
        latest = {
            point.resource["process.pid"]: point.count
            for points in backend.exports
            for point in points
            if point.metric == DURATION
        }
    assert sorted(latest.values()) == [1, 2]
