from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from otlp_receiver import BlackHole, GrpcOtlpReceiver, OtlpReceiver, Reply, unused_port
from otlp_samples import sample_span

from llmops_sdk._util._guard import raise_in_tests
from llmops_sdk.export._destinations import Destination
from llmops_sdk.export._sink import ExportSink
from llmops_sdk.export._span_sink import OtlpSink
from llmops_sdk.tracing.records._records import LossRecord, RecordedSpan, ScoreRecord

Losses = list[tuple[str, str, int, int]]


@contextmanager
def opened(url: str, *, losses: Losses | None = None, **more: object) -> Iterator[OtlpSink]:
    bounds = {key: more.pop(key) for key in ("max_spans", "max_bytes") if key in more}
    kept: Losses = [] if losses is None else losses
    destination = Destination(**{"endpoint": url, "headers": {}, "content": True, **more})  # type: ignore[arg-type]
    sink = OtlpSink(destination, lose=lambda *loss: kept.append(loss), **bounds)  # type: ignore[arg-type]
    try:
        yield sink
    finally:
        sink.close(0.0)


def http(backend: OtlpReceiver | BlackHole) -> str:
    return backend.url + "/v1/traces"


def test_spans_are_sent_once_in_order_and_counted() -> None:
    with OtlpReceiver() as backend, opened(http(backend)) as sink:
        spans = [sample_span(name=f"n{number}") for number in range(1300)]
        assert sink.write(spans) == 1300
        assert sink.flush(30.0)
        assert (sink.name, sink.exported, sink.pending, sink.dropped) == ("otlp", 1300, 0, 0)
        assert [span.name for span in backend.spans] == [span.name for span in spans]
        assert len(backend.bodies) == 3  # of at most 512 spans


def test_scores_and_losses_are_not_sent_as_spans() -> None:
    score = ScoreRecord(
        trace_id="1", span_id=None, name="n", value=1.0, label=None, comment=None, source="user", time_ns=1
    )
    loss = LossRecord(time_ns=1, what="span", reason="queue_full", count=1)
    with OtlpReceiver() as backend, opened(http(backend)) as sink:
        assert sink.write([score, loss]) == 0
        assert sink.write([score, sample_span()]) == 1
        assert sink.flush(30.0)
        assert len(backend.spans) == 1


def test_span_that_one_of_two_backends_takes_counts_as_taken() -> None:
    with OtlpReceiver() as backend, opened(http(backend)) as first, opened(http(backend), max_spans=0) as full:
        for parts in ([first, full], [full, first]):
            assert ExportSink(parts).write([sample_span(), sample_span()]) == 2


def test_request_stays_below_the_size_limit() -> None:
    with OtlpReceiver() as backend, opened(http(backend)) as sink:
        sink.write([sample_span(output=b'"' + b"x" * 500_000 + b'"') for _ in range(20)])
        assert sink.flush(30.0)
        assert len(backend.spans) == 20
        assert max(len(body) for body in backend.bodies) < 4 * 1024 * 1024


def test_configured_headers_are_sent() -> None:
    with OtlpReceiver() as backend, opened(http(backend), headers={"X-Project": "blue"}) as sink:
        sink.write([sample_span()])
        assert sink.flush(30.0)
        sent = {name.lower(): value for name, value in backend.headers[0].items()}
        assert (sent["x-project"], sent["content-type"]) == ("blue", "application/x-protobuf")


def test_gzip_is_used_if_the_variable_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    with OtlpReceiver() as backend, opened(http(backend)) as sink:
        sink.write([sample_span(name="packed")])
        assert sink.flush(30.0)
        assert backend.headers[0]["Content-Encoding"] == "gzip"
        assert backend.spans[0].name == "packed"


@pytest.mark.parametrize("replies", [[Reply(503)], [Reply(429, {"Retry-After": "0"}), Reply(502)]])
def test_backend_gets_everything_once_after_failures(replies: list[Reply]) -> None:
    with OtlpReceiver(replies) as backend, opened(http(backend)) as sink:
        spans = [sample_span() for _ in range(40)]
        sink.write(spans)
        assert sink.flush(30.0)
        assert backend.refused == len(replies)
        assert sorted(span.span_id for span in backend.spans) == sorted(f"{span.span_id:016x}" for span in spans)
        assert (sink.exported, sink.pending, sink.dropped, sink.failures) == (40, 0, 0, 0)


def test_failed_batch_is_sent_when_the_backend_is_back(caplog: pytest.LogCaptureFixture) -> None:
    port = unused_port()
    with opened(f"http://127.0.0.1:{port}/v1/traces", timeout=0.2) as sink, caplog.at_level(logging.DEBUG):
        sink.write([sample_span(name="first")])
        wait_for_failures(sink, 2)
        sink.write([sample_span(name="second")])
        assert sink.pending == 2
        with OtlpReceiver(port=port) as backend:
            assert sink.flush(30.0)
            assert [span.name for span in backend.spans] == ["first", "second"]
    ours = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(ours) == 1, [record.getMessage() for record in ours]
    assert f"http://127.0.0.1:{port}/v1/traces" in ours[0].getMessage()


def wait_for_failures(sink: OtlpSink, count: int) -> None:
    end = time.monotonic() + 30
    pause = threading.Event()
    while sink.failures < count:
        assert time.monotonic() < end
        sink.flush(0.0)  # sends at once
        pause.wait(0.01)


@pytest.mark.parametrize("status", [400, 401, 404, 500, 302])
def test_final_refusal_is_counted_without_retry(status: int) -> None:
    losses: Losses = []
    with OtlpReceiver([Reply(status)]) as backend, opened(http(backend), losses=losses) as sink:
        sink.write([sample_span(), sample_span()])
        assert not sink.flush(30.0)
        assert losses == [("export", "refused", 2, 0)]
        assert (sink.exported, sink.pending, sink.dropped) == (0, 0, 2)
        sink.write([sample_span(name="next")])
        assert sink.flush(30.0)
        assert [span.name for span in backend.spans] == ["next"]


def test_too_large_request_is_halved() -> None:
    losses: Losses = []
    with OtlpReceiver([Reply(413), Reply(413)]) as backend, opened(http(backend), losses=losses) as sink:
        sink.write([sample_span(name=str(number)) for number in range(8)])
        assert sink.flush(30.0)
        assert [span.name for span in backend.spans] == [str(number) for number in range(8)]
        assert losses == []


def test_single_too_large_span_is_lost_alone() -> None:
    losses: Losses = []
    with OtlpReceiver([Reply(413)]) as backend, opened(http(backend), losses=losses) as sink:
        sink.write([sample_span()])
        assert not sink.flush(30.0)
        assert losses == [("export", "refused", 1, 0)]
        assert backend.spans == []


def test_partial_success_counts_rejected_spans() -> None:
    partial = ExportTraceServiceResponse()
    partial.partial_success.rejected_spans = 2
    losses: Losses = []
    reply = Reply(200, body=partial.SerializeToString(), takes=True)
    with OtlpReceiver([reply]) as backend, opened(http(backend), losses=losses) as sink:
        sink.write([sample_span() for _ in range(5)])
        assert not sink.flush(30.0)
        assert (sink.exported, sink.dropped) == (3, 2)
        assert losses == [("export", "rejected", 2, 0)]


def test_full_queue_drops_the_newest_and_counts_it() -> None:
    losses: Losses = []
    with BlackHole() as backend, opened(http(backend), losses=losses, max_spans=3) as sink:
        assert sink.write([sample_span() for _ in range(5)]) == 3
        assert sink.write([sample_span()]) == 0
        assert (sink.pending, sink.dropped, sink.exported) == (3, 3, 0)
        assert [(what, reason, count) for what, reason, count, _ in losses] == [
            ("export", "queue_full", 2),
            ("export", "queue_full", 1),
        ]


def test_queue_is_bounded_by_bytes() -> None:
    losses: Losses = []
    with BlackHole() as backend, opened(http(backend), losses=losses, max_bytes=100_000) as sink:
        assert sink.write([sample_span(input=b"1" * 40_000) for _ in range(3)]) == 2
        assert losses[0][:3] == ("export", "queue_full", 1)
        assert losses[0][3] >= 40_000


def test_write_does_not_wait_for_a_hanging_backend() -> None:
    with BlackHole() as backend, opened(http(backend)) as sink:
        sink.write([sample_span()])
        begun = time.monotonic()
        for _ in range(100):
            sink.write([sample_span()])
        assert time.monotonic() - begun < 5  # the exporter's time-out is 10 s
        assert not sink.flush(0.05)
        assert sink.pending == 101


def test_unsent_and_later_spans_count_as_dropped_after_close() -> None:
    losses: Losses = []
    with BlackHole() as backend, opened(http(backend), losses=losses) as sink:
        sink.write([sample_span(), sample_span()])
        sink.close(0.1)
        assert [(what, reason, count) for what, reason, count, _ in losses] == [("export", "unfinished", 2)]
        assert sink.write([sample_span()]) == 0
        assert losses[1][:3] == ("export", "closed", 1)
        assert (sink.pending, sink.dropped) == (0, 3)
        sink.close(0.1)
        assert len(losses) == 2


def test_close_sends_the_queue() -> None:
    with OtlpReceiver() as backend, opened(http(backend)) as sink:
        sink.write([sample_span() for _ in range(700)])
        sink.close(30.0)
        assert len(backend.spans) == 700
        assert (sink.exported, sink.dropped) == (700, 0)


def test_unconvertible_span_is_lost_alone() -> None:
    raise_in_tests(False)  # as in an application
    losses: Losses = []
    broken: RecordedSpan = sample_span(start_ns="never")
    with OtlpReceiver() as backend, opened(http(backend), losses=losses) as sink:
        sink.write([sample_span(name="a"), broken, sample_span(name="b")])
        assert not sink.flush(30.0)
        assert [span.name for span in backend.spans] == ["a", "b"]
        assert losses == [("export", "rejected", 1, 0)]


def test_application_exporter_keeps_its_log_lines(caplog: pytest.LogCaptureFixture) -> None:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    from llmops_sdk.tracing.interop._convert import SpanConverter

    with OtlpReceiver([Reply(400), Reply(400)]) as backend, opened(http(backend)) as sink:
        sink.write([sample_span()])
        sink.flush(30.0)
        theirs = OTLPSpanExporter(endpoint=http(backend))
        theirs.export([SpanConverter(content=True)(sample_span())])
        theirs.shutdown()
    lines = [record.name for record in caplog.records if record.levelno >= logging.WARNING]
    assert sorted(lines) == ["llmops_sdk", "opentelemetry.exporter.otlp.proto.http.trace_exporter"]


def test_spans_are_sent_over_grpc() -> None:
    with (
        GrpcOtlpReceiver([grpc.StatusCode.UNAVAILABLE]) as backend,
        opened(backend.url, protocol="grpc", headers={"X-Project": "blue"}) as sink,
    ):
        sink.write([sample_span(name="a"), sample_span(name="b")])
        assert sink.flush(30.0)
        assert [span.name for span in backend.spans] == ["a", "b"]
        assert backend.headers[0]["x-project"] == "blue"
        assert (sink.exported, sink.dropped) == (2, 0)


def test_grpc_refusal_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    losses: Losses = []
    with (
        GrpcOtlpReceiver([grpc.StatusCode.UNAUTHENTICATED]) as backend,
        opened(backend.url, protocol="grpc", losses=losses) as sink,
    ):
        sink.write([sample_span()])
        assert not sink.flush(30.0)
        assert losses == [("export", "refused", 1, 0)]
    assert [record.name for record in caplog.records if record.levelno >= logging.WARNING] == ["llmops_sdk"]


def test_each_of_several_grpc_refusals_is_counted() -> None:
    # The exporter's logger drops a line that it wrote in the last 20 s; three refusals are within two such periods.
    losses: Losses = []
    with (
        GrpcOtlpReceiver([grpc.StatusCode.UNAUTHENTICATED] * 3) as backend,
        opened(backend.url, protocol="grpc", losses=losses) as sink,
    ):
        for _ in range(3):
            sink.write([sample_span()])
            assert not sink.flush(30.0)
    assert losses == [("export", "refused", 1, 0)] * 3
