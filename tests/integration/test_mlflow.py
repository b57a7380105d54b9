"""A real MLflow shows a program that only sets OpenTelemetry's standard variables."""

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


def plain(value: dict[str, Any] | None) -> Any:
    """Return an OTLP value in JSON as a Python value."""
    if not value:
        return None
    ((value_type, inner),) = value.items()
    if value_type == "array_value":
        return [plain(item) for item in inner.get("values", [])]
    if value_type == "kvlist_value":
        return {item["key"]: plain(item.get("value")) for item in inner.get("values", [])}
    return int(inner) if value_type == "int_value" else inner


def test_mlflow_shows_every_supported_field_of_the_model_span(mlflow: Backend, run_program: Program) -> None:
    said = run_program(
        OTEL_EXPORTER_OTLP_ENDPOINT=mlflow.url,
        OTEL_EXPORTER_OTLP_HEADERS="x-mlflow-experiment-id=0",
        OTEL_SERVICE_NAME="support",
        LLMOPS_EXPORT__CONTENT="true",
    )
    assert (said["exported"], said["dropped"]) == (5, 0)
    response = said["responses"][0]

    def read() -> dict[str, Any]:
        url = f"{mlflow.url}/api/3.0/mlflow/traces/get"
        answer = requests.get(url, params={"trace_id": f"tr-{response['trace_id']}"}, timeout=10)
        return answer.json().get("trace", {}) if answer.ok else {}

    trace = eventually(read, lambda trace: len(trace.get("spans", [])) >= 3, "the trace")
    info = trace["trace_info"]
    assert info["state"] == "OK"
    assert info["trace_metadata"]["mlflow.trace.session"] == "session-7"
    assert info["trace_metadata"]["mlflow.trace.user"] == "user-7"
    tokens = json.loads(info["trace_metadata"]["mlflow.trace.tokenUsage"])
    assert (tokens["input_tokens"], tokens["output_tokens"]) == (response["input_tokens"], response["output_tokens"])
    assert info["tags"]["service.name"] == "support"

    spans = {
        span["name"]: {item["key"]: plain(item["value"]) for item in span["attributes"]} for span in trace["spans"]
    }
    shown = spans["chat echo"]
    assert shown["mlflow.spanType"] == "LLM"
    assert shown["mlflow.llm.model"].rpartition("/")[2] == "echo"
    assert [part["content"] for message in shown["mlflow.spanInputs"] for part in message["parts"]] == [
        SYSTEM,
        QUESTION,
    ]
    assert shown["mlflow.spanOutputs"] == response["text"]
    assert shown["gen_ai.usage.cost"] == pytest.approx(response["cost"])
    assert response["cost"] > 0
    agent = spans["support.answer"]
    assert agent["mlflow.spanType"] == "AGENT"
    assert agent["mlflow.spanInputs"] == {"question": QUESTION}


def test_program_continues_when_mlflow_rejects_spans(mlflow: Backend, run_program: Program) -> None:
    said = run_program(OTEL_EXPORTER_OTLP_ENDPOINT=mlflow.url)
    assert said["exported"] == 0
    assert said["responses"][0]["text"]
