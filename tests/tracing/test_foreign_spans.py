"""Other libraries' OpenTelemetry spans. Each test runs a process: the global provider can be set only once."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

import llmops_sdk as llmops


def run(program: str) -> Any:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout or "null")


_LIBRARY = """
import json
import llmops_sdk as llmops
from opentelemetry import trace
from opentelemetry.trace import SpanKind

tracer = trace.get_tracer("some.library")

def library():
    with tracer.start_as_current_span("GET /", kind=SpanKind.CLIENT, attributes={"http.status": 200}) as span:
        span.add_event("sent", {"bytes": 3})
        with llmops.span("inside the library"):
            pass
        return llmops.current_span().span_id

@llmops.trace
def outer():
    return library()
"""


def test_foreign_spans_join_our_traces_and_get_the_context():
    run(
        _LIBRARY
        + """
with llmops.context(session_id="s", tags=["t"]):
    outer()
"""
    )
    rows = llmops.query(
        "SELECT s.name, p.name, s.session_id, s.tags, s.status FROM spans s "
        "LEFT JOIN spans p ON s.parent_span_id = p.span_id ORDER BY s.start_ns"
    ).rows()
    assert [row[:3] for row in rows] == [
        ("outer", None, "s"),
        ("GET /", "outer", "s"),
        ("inside the library", "GET /", "s"),
    ]
    assert llmops.query("SELECT attributes->>'http.status' FROM spans WHERE name = 'GET /'").rows() == [("200",)]
    assert llmops.query("SELECT name, attributes->>'bytes' FROM events").rows() == [("sent", "3")]


def test_attributes_can_be_set_on_a_foreign_current_span():
    run(
        _LIBRARY
        + """
with tracer.start_as_current_span("theirs"):
    llmops.current_span().set({"our.mark": 1})
    llmops.current_span().output = "kept off the host's span"
"""
    )
    # None of our spans had started yet, so the provider was not ours.
    assert llmops.query("SELECT count(*) FROM spans").scalar() == 0


def test_content_of_foreign_spans_is_dropped_if_capture_is_off(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LLMOPS_CAPTURE__CONTENT", "false")
    run(
        _LIBRARY
        + """
llmops.configure()
attributes = {"input.value": "a prompt", "gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
try:
    with llmops.span("ours"), tracer.start_as_current_span("call", attributes=attributes) as call:
        call.add_event("gen_ai.user.message", {"content": "a prompt", "role": "user"})
        raise ValueError("a prompt")
except ValueError:
    pass
"""
    )
    (row,) = llmops.query("FROM llm_calls").dicts()
    assert (row["model"], row["status"], row["error_type"]) == ("m", "error", "ValueError")
    assert "a prompt" not in str(row)


def test_call_described_by_two_libraries_counts_once():
    run(
        _LIBRARY
        + """
call = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 5}
openinference = {"llm.system": "openai"}

with llmops.span("ours", kind="llm"):  # declares a call without naming a model: the calls are below it
    with tracer.start_as_current_span("outer", attributes=openinference) as outer:
        with tracer.start_as_current_span("inner", attributes=call):
            with tracer.start_as_current_span("POST"):
                pass
        outer.set_attributes({"openinference.span.kind": "LLM", "llm.token_count.prompt": 5})
with llmops.span("answer"):
    with tracer.start_as_current_span("first", attributes=call):
        pass
    with tracer.start_as_current_span("second", attributes=call):
        pass
"""
    )
    assert llmops.query("SELECT name, input_tokens FROM llm_calls ORDER BY start_ns").rows() == [
        ("ours", None),
        ("outer", 5),
        ("first", 5),
        ("second", 5),
    ]
    assert llmops.query("SELECT name, kind FROM spans WHERE name IN ('inner', 'POST') ORDER BY name").rows() == [
        ("POST", "chain"),
        ("inner", "chain"),
    ]
    assert llmops.query("SELECT sum(input_tokens) FROM traces").scalar() == 15


def test_own_call_with_instrumented_vendor_client_counts_once():
    run(
        _LIBRARY
        + """
from llmops_sdk.tracing import start_span

# As chat() starts its span, before it calls the vendor's client.
ours = start_span("chat m", kind="llm", otel_kind="client", attributes={"gen_ai.operation.name": "chat"})
with ours.activate(), tracer.start_as_current_span("ChatCompletion", attributes={"openinference.span.kind": "LLM"}):
    pass
ours.end()
"""
    )
    assert llmops.query("SELECT name FROM llm_calls").rows() == [("chat m",)]
    assert llmops.query("SELECT count(*) FROM spans").scalar() == 2
