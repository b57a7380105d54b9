"""Programs whose spans are all another library's, and a global provider that is a proxy, as Logfire's."""

from __future__ import annotations

import subprocess
import sys

import pytest
from otel_versions import needs_1_45

import llmops_sdk as llmops

PROXY = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

class Proxy(trace.TracerProvider):
    def __init__(self, provider):
        self.provider = provider
    def get_tracer(self, *args, **more):
        return self.provider.get_tracer(*args, **more)
    def add_span_processor(self, processor):
        self.provider.add_span_processor(processor)

trace.set_tracer_provider(Proxy(TracerProvider()))
import llmops_sdk as llmops
with llmops.span("ours"):
    with trace.get_tracer("library").start_as_current_span("theirs"):
        with llmops.span("below"):
            pass
"""
INSTRUMENTOR = """
from opentelemetry import trace
import opentelemetry.sdk.trace
import llmops_sdk as llmops
tracer = trace.get_tracer("library")
llmops.configure()
with tracer.start_as_current_span("theirs"):
    pass
"""
FASTAPI = """
from fastapi import FastAPI
from fastapi.testclient import TestClient
import llmops_sdk as llmops

llmops.configure()
app = FastAPI()

@app.get("/hello")
async def hello() -> str:
    return "hello"

with TestClient(app) as client:
    client.get("/hello")
"""
LAZY = """
import sys
import llmops_sdk as llmops
llmops.configure()
assert "opentelemetry.sdk.trace" not in sys.modules
"""


def run(program: str) -> None:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_spans_of_a_provider_behind_a_proxy_reach_the_store():
    run(PROXY)
    rows = llmops.query(
        "SELECT s.name, p.name FROM spans s LEFT JOIN spans p ON s.parent_span_id = p.span_id ORDER BY s.start_ns"
    ).rows()
    assert rows == [("ours", None), ("theirs", "ours"), ("below", "theirs")]


def test_other_libraries_spans_are_kept_after_configure_alone():
    run(INSTRUMENTOR)
    assert llmops.query("SELECT name, scope FROM spans").rows() == [("theirs", "library")]


@needs_1_45
def test_the_first_request_of_fastapi_is_kept_after_configure():
    run(FASTAPI)
    sql = "SELECT name FROM spans WHERE scope = 'fastapi' AND parent_span_id IS NULL"
    assert llmops.query(sql).rows() == [("GET /hello",)]


@pytest.mark.parametrize("program", [LAZY])
def test_configure_stays_lazy_where_no_library_records(program: str):
    run(program)
