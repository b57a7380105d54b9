"""Spans that follow the GenAI conventions fill the columns, recorded in process with structured or text values."""

from __future__ import annotations

import json
from typing import Any

import pytest
from otel_versions import needs_1_45
from otlp_samples import sample_span

import llmops_sdk as llmops
from llmops_sdk.store.lines._decode import RecordReader
from llmops_sdk.store.schema._views import SPAN_COLUMNS
from llmops_sdk.tracing import tracer_provider
from llmops_sdk.tracing.interop._convert import SpanConverter

FORMS = [pytest.param(lambda value: value, id="structured", marks=needs_1_45), pytest.param(json.dumps, id="text")]
SYSTEM = [{"type": "text", "content": "be kind"}]
ASKED = [{"role": "user", "parts": [{"type": "text", "content": "Hi"}, {"type": "generic_type", "x": 1}]}]
SAID = [{"role": "assistant", "parts": [{"type": "text", "content": "Hello"}], "finish_reason": "stop"}]


@pytest.mark.parametrize("form", FORMS)
def test_messages_and_instructions_fill_the_columns(form: Any):
    tracer = tracer_provider().get_tracer("library")
    call = {"gen_ai.operation.name": "chat", "gen_ai.input.messages": form(ASKED), "gen_ai.output.messages": form(SAID)}
    with tracer.start_as_current_span("call", attributes={**call, "gen_ai.system_instructions": form(SYSTEM)}):
        pass
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "add"}
    with tracer.start_as_current_span("tool", attributes=tool) as span:
        span.set_attribute("gen_ai.tool.call.arguments", form({"a": 1}))
        span.set_attribute("gen_ai.tool.call.result", form([2]))
    llmops.flush()

    (call_row,) = llmops.query("SELECT input_messages, output_messages FROM llm_calls").rows()
    assert json.loads(call_row[0]) == [{"role": "system", "parts": SYSTEM}, *ASKED]
    assert json.loads(call_row[1]) == SAID
    (tool_row,) = llmops.query("SELECT kind, input, output FROM spans WHERE name = 'tool'").rows()
    assert (tool_row[0], json.loads(tool_row[1]), json.loads(tool_row[2])) == ("tool", {"a": 1}, [2])


DOCUMENTS = [{"id": "d1", "score": 0.9, "content": "Cats purr."}, {"id": "d2", "score": 0.5}]


@pytest.mark.parametrize("form", FORMS)
def test_retrieval_fills_input_and_output_and_comes_back_for_backends(form: Any):
    attributes = {"gen_ai.operation.name": "retrieval", "gen_ai.data_source.id": "docs"}
    with tracer_provider().get_tracer("library").start_as_current_span("retrieval docs", attributes=attributes) as span:
        span.set_attribute("gen_ai.retrieval.query.text", "[cats] or dogs?")
        span.set_attribute("gen_ai.retrieval.documents", form(DOCUMENTS))
    llmops.flush()

    (row,) = llmops.query("SELECT kind, input, output, attributes FROM spans").rows()
    assert (row[0], json.loads(row[1]), json.loads(row[2])) == ("retriever", "[cats] or dogs?", DOCUMENTS)
    assert "gen_ai.retrieval" not in row[3]
    columns = ", ".join(column.name for column in SPAN_COLUMNS)
    (stored,) = llmops.query(f"SELECT {columns} FROM store.spans").dicts()
    record = RecordReader().record_of_row(stored)
    assert record is not None
    sent = SpanConverter(content=True)(record).attributes
    assert sent is not None
    assert sent["gen_ai.retrieval.query.text"] == "[cats] or dogs?"
    assert json.loads(str(sent["gen_ai.retrieval.documents"])) == DOCUMENTS


@pytest.mark.parametrize(
    "given",
    [
        {"gen_ai.request.reasoning.level": "low"},
        {"gen_ai.request.reasoning_effort": "low"},
        {"llm.invocation_parameters": '{"model": "m", "reasoning_effort": "low"}'},
        {"gen_ai.request.reasoning.level": "low", "gen_ai.request.reasoning_effort": "high"},
    ],
)
def test_reasoning_level_has_one_name(given: dict[str, str]):
    attributes = {"openinference.span.kind": "LLM", **given}
    with tracer_provider().get_tracer("library").start_as_current_span("call", attributes=attributes):
        pass
    llmops.flush()
    level = "attributes ->> '$.\"gen_ai.request.reasoning.level\"'"
    assert llmops.query(f"SELECT {level} FROM llm_calls").scalar() == "low"


def test_backends_get_newer_and_older_names():
    convert = SpanConverter(content=True)
    usage = {"gen_ai.usage.cache_creation.input_tokens": 5, "gen_ai.usage.reasoning.output_tokens": 7}
    made = convert(sample_span(kind="llm", attributes={**usage, "gen_ai.request.reasoning_effort": "low"})).attributes
    assert made is not None
    assert made["gen_ai.usage.cache_write.input_tokens"] == 5
    assert made["llm.token_count.completion_details.reasoning"] == 7
    assert made["gen_ai.request.reasoning.level"] == "low"

    retrieved = {"kind": "retriever", "input": b'{"query":"cats"}', "output": b'["a",{"content":"b"}]'}
    found = convert(sample_span(**retrieved)).attributes
    assert found is not None
    assert found["gen_ai.retrieval.query.text"] == "cats"
    assert json.loads(str(found["gen_ai.retrieval.documents"])) == [{"content": "a"}, {"content": "b"}]
    assert "cats" not in str(SpanConverter(content=False)(sample_span(**retrieved)).attributes)
