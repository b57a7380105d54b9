"""Spans below a caller in another process: its decision, its tracestate, and the flag of a remote parent."""

from __future__ import annotations

from typing import Any

from otlp_receiver import OtlpReceiver

import llmops_sdk as llmops
from llmops_sdk.config import Settings
from llmops_sdk.tracing.interop._convert import SpanConverter
from llmops_sdk.tracing.runtime import _start


def caller(number: int, flags: str) -> dict[str, str]:
    return {"traceparent": f"00-{number:032x}-{number:016x}-{flags}", "tracestate": "vendor=a,other=b"}


@llmops.trace
def inner() -> dict[str, str]:
    headers: dict[str, str] = {}
    llmops.inject(headers)
    return headers


def test_an_unsampled_caller_decides_what_is_exported_not_what_is_kept():
    with OtlpReceiver() as backend:
        llmops.configure(export={"endpoint": backend.url})
        with llmops.extract(caller(1, "00")), llmops.span("outer"):
            passed_on = inner()
            llmops.chat("q", model="offline/echo")
            from opentelemetry import trace

            with trace.get_tracer("other").start_as_current_span("foreign"):
                pass
        with llmops.extract(caller(1, "00")), trace.get_tracer("other").start_as_current_span("server"):
            inner()
        with llmops.extract(caller(2, "01")):
            inner()
        report = llmops.flush(60)
        names = [span.name for span in backend.spans]
    rows = llmops.query("SELECT name, trace_id FROM spans WHERE trace_id LIKE '%1' ORDER BY start_ns").rows()

    assert [row[0] for row in rows] == ["outer", "inner", "chat echo", "foreign", "server", "inner"]
    assert report.stored == 7
    assert names == ["inner"]
    assert passed_on["traceparent"].endswith("-00")
    assert passed_on["traceparent"].split("-")[1] == f"{1:032x}"


def test_local_sampling_by_the_parent_keeps_nothing_and_counts_it():
    llmops.configure(tracing={"local_sampling": "parent"})
    with llmops.extract(caller(3, "00")):
        inner()
    llmops.flush()
    assert llmops.query("SELECT count(*) FROM spans").rows() == [(0,)]
    assert llmops.query("SELECT what, reason, count FROM losses").rows() == [("trace", "caller_unsampled", 1)]


def test_a_new_start_decides_about_a_trace_anew():
    for local_sampling, kept in (("all", True), ("parent", False)):
        _start.reset()
        llmops.configure(tracing={"local_sampling": local_sampling})
        with llmops.extract(caller(5, "00")), llmops.span("below") as span:
            assert span.recording is kept


def test_tracestate_reaches_every_span_and_the_backend(sink: Any):
    _start.start_with(Settings(), [sink])
    with llmops.extract(caller(4, "01")), llmops.span("outer"), llmops.span("middle"):
        headers = inner()
    assert sorted(headers["tracestate"].split(",")) == ["other=b", "vendor=a"]
    convert = SpanConverter(content=True)
    made = {span.name: convert(span) for span in sink.spans}

    for span in made.values():
        state = span.get_span_context().trace_state  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
        assert dict(state) == {"vendor": "a", "other": "b"}
    remote = {name: span.parent is not None and span.parent.is_remote for name, span in made.items()}
    assert remote == {"outer": True, "middle": False, "inner": False}
