"""A real Phoenix shows a program that only sets `OTEL_EXPORTER_OTLP_ENDPOINT`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests
from real_backends import Backend, eventually

QUESTION = "Where is my card?"
SYSTEM = "You answer for a bank."

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]  # the first use installs the server
Program = Callable[..., dict[str, Any]]


def spans_of(backend: Backend, project: str, trace_id: str, count: int) -> list[dict[str, Any]]:
    url = f"{backend.url}/v1/projects/{project}/spans"

    def read() -> list[dict[str, Any]]:
        answer = requests.get(url, params={"trace_id": trace_id, "limit": "100"}, timeout=10)
        return answer.json()["data"] if answer.ok else []

    return eventually(read, lambda spans: len(spans) >= count, f"{count} spans of {project}")


def only(spans: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (span,) = [span for span in spans if span["span_kind"] == kind]
    return span


@pytest.mark.parametrize("call", [0, 1], ids=["chat", "stream"])
def test_phoenix_shows_every_supported_field_of_the_model_span(
    phoenix: Backend, run_program: Program, call: int
) -> None:
    project = f"support-{call}"
    said = run_program(
        OTEL_EXPORTER_OTLP_ENDPOINT=phoenix.url, OTEL_SERVICE_NAME=project, LLMOPS_EXPORT__CONTENT="true"
    )
    assert (said["exported"], said["dropped"]) == (5, 0)
    response = said["responses"][call]
    spans = spans_of(phoenix, project, response["trace_id"], 3 if call == 0 else 2)
    llm = only(spans, "LLM")
    assert llm["context"] == {"trace_id": response["trace_id"], "span_id": response["span_id"]}
    assert (llm["name"], llm["status_code"]) == ("chat echo", "OK")
    shown = llm["attributes"]
    assert shown["llm.model_name"] == "echo"
    messages = [SYSTEM, QUESTION] if call == 0 else [QUESTION]
    assert [shown[f"llm.input_messages.{i}.message.content"] for i in range(len(messages))] == messages
    assert shown["llm.output_messages.0.message.role"] == "assistant"
    assert shown["llm.output_messages.0.message.content"] == response["text"]
    assert shown["output.value"] == response["text"]
    assert shown["llm.token_count.prompt"] == response["input_tokens"] > 0
    assert shown["llm.token_count.completion"] == response["output_tokens"] > 0
    assert shown["gen_ai.usage.cost"] == pytest.approx(response["cost"])
    assert response["cost"] > 0
    assert (shown["session.id"], shown["user.id"]) == ("session-7", "user-7")
    assert shown["tag.tags"] == ["beta"]
    assert shown["metadata.plan"] == "pro"
    agent = only(spans, "AGENT")
    assert llm["parent_id"] == agent["context"]["span_id"]
    assert json.loads(agent["attributes"]["input.value"]) == {"question": QUESTION}
    assert agent["attributes"]["session.id"] == "session-7"


def test_phoenix_groups_traces_by_session(phoenix: Backend, run_program: Program) -> None:
    said = run_program("session-8", OTEL_EXPORTER_OTLP_ENDPOINT=phoenix.url, OTEL_SERVICE_NAME="sessions")
    for response in said["responses"]:
        spans_of(phoenix, "sessions", response["trace_id"], 2)
    sessions = requests.get(f"{phoenix.url}/v1/projects/sessions/sessions", timeout=10).json()["data"]
    (session,) = [session for session in sessions if session["session_id"] == "session-8"]
    assert {trace["trace_id"] for trace in session["traces"]} == {item["trace_id"] for item in said["responses"]}


def test_phoenix_receives_spans_over_grpc(phoenix: Backend, run_program: Program) -> None:
    said = run_program(
        OTEL_EXPORTER_OTLP_ENDPOINT=phoenix.grpc_url,
        OTEL_EXPORTER_OTLP_PROTOCOL="grpc",
        OTEL_SERVICE_NAME="over-grpc",
        OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="SPAN_ONLY",
    )
    assert (said["exported"], said["dropped"]) == (5, 0)
    spans = spans_of(phoenix, "over-grpc", said["responses"][0]["trace_id"], 3)
    shown = only(spans, "LLM")["attributes"]
    assert shown["llm.output_messages.0.message.content"] == said["responses"][0]["text"]


def test_phoenix_gets_token_counts_but_no_content_by_default(phoenix: Backend, run_program: Program) -> None:
    said = run_program(OTEL_EXPORTER_OTLP_ENDPOINT=phoenix.url, OTEL_SERVICE_NAME="no-content")
    response = said["responses"][0]
    spans = spans_of(phoenix, "no-content", response["trace_id"], 3)
    shown = only(spans, "LLM")["attributes"]
    assert shown["llm.model_name"] == "echo"
    assert shown["llm.token_count.prompt"] == response["input_tokens"]
    assert shown["session.id"] == "session-7"
    everything = json.dumps(spans)
    for text in (QUESTION, SYSTEM, "Cards are posted", response["text"]):
        assert text not in everything
