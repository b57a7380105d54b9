"""Real senders: OpenTelemetry's own exporters, and this SDK's."""

from __future__ import annotations

import json

import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import llmops_sdk as llmops
from llmops_sdk.store import query


@pytest.mark.parametrize("compression", list(Compression))
def test_opentelemetry_exporter_delivers_spans(collector, store, compression):
    provider = TracerProvider(resource=Resource({"service.name": "other"}), shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=f"{collector.url}/v1/traces", compression=compression)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("a.library")
    with tracer.start_as_current_span("outer") as outer:
        outer.set_attribute("gen_ai.operation.name", "chat")
        outer.set_attribute("gen_ai.usage.input_tokens", 7)
        for number in range(600):
            with tracer.start_as_current_span(f"inner {number}"):
                pass
    provider.shutdown()
    rows = query("SELECT name, service, scope, input_tokens, kind FROM llm_calls", path=store).rows()
    assert rows == [("outer", "other", "a.library", 7, "llm")]
    trace_id = f"{outer.get_span_context().trace_id:032x}"
    found = query("SELECT count(*), count(DISTINCT span_id) FROM spans WHERE trace_id = $1", [trace_id], path=store)
    assert found.rows() == [(601, 601)]
    assert collector.counts.refused == {}


def test_our_exporter_delivers_spans_and_scores(collector, store, tmp_path):
    llmops.configure(
        model="offline/echo", store={"path": tmp_path / "own"}, export={"endpoint": collector.url, "content": True}
    )
    with llmops.context(session_id="s1", user_id="ada", tags=["shop"]), llmops.span("work", input={"a": 1}) as span:
        llmops.chat("hello")
        span.score("helpful", True, comment="yes")
    report = llmops.flush(timeout=30)
    assert (report.exported, report.pending, report.dropped) == (2, 0, 0)

    names = "name, kind, status, session_id, user_id, tags, input, input_messages, model, input_tokens, cost, simulated"
    own, collected = (
        query(f"SELECT {names} FROM llm_calls UNION ALL BY NAME SELECT name, kind, status, session_id, user_id, tags, "
              "input FROM spans WHERE kind = 'chain' ORDER BY name", path=path).rows()
        for path in (tmp_path / "own", store)
    )  # fmt: skip
    assert len(own) == 2
    assert collected == own
    scores = query("SELECT name, value, label, comment, source FROM scores", path=store).rows()
    assert scores == [("helpful", 1.0, "true", "yes", "user")]
    assert (
        json.loads(query("SELECT resource FROM spans", path=store).rows()[0][0])["telemetry.sdk.name"] == "llmops-sdk"
    )
    # Metrics are not accepted, and the exporter tries only once.
    assert collector.counts.refused in ({}, {404: 1})
