"""Other libraries' OpenTelemetry spans, in a process of their own: the global provider can be set only once."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

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


def test_they_join_our_traces_in_both_directions_and_bear_the_stamps():
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


def test_another_librarys_current_span_can_be_written_on():
    run(
        _LIBRARY
        + """
with tracer.start_as_current_span("theirs"):
    llmops.current_span().set({"our.mark": 1})
    llmops.current_span().output = "kept off the host's span"
"""
    )
    # Nothing of ours had begun yet, so the provider was not ours: the wrapper did no harm.
    assert llmops.query("SELECT count(*) FROM spans").scalar() == 0
