"""The view `traffic` and the column `deployment`: from events and attributes, through every way in and out."""

from __future__ import annotations

import json

import pytest

import llmops_sdk as llmops
from llmops_sdk.errors import RateLimitError
from llmops_sdk.providers import Embeddings, Response
from llmops_sdk.shared._decisions import record_decision
from llmops_sdk.store import export, import_file, query
from llmops_sdk.testing import ScriptedProvider, use_provider
from llmops_sdk.tracing.privacy._content import event_without_content

TRAFFIC = "SELECT policy, decision, deployment, subject, reason, wait_ms, value, limit_value, cost FROM traffic"
WAITED = ("limit", "waited", "east", "ada", "concurrency", 12.5, 8.0, 8.0, None)
LOST = ("hedge", "lost", "east", None, None, None, None, None, 0.25)


def record_two() -> None:
    with llmops.span("call"):
        record_decision(
            "limit", "waited", deployment="east", subject="ada", reason="concurrency", wait_ms=12.5, value=8, limit=8
        )
        record_decision("hedge", "lost", deployment="east", cost=0.25)


def test_decisions_are_rows(own_surroundings):
    record_two()
    rows = llmops.query(TRAFFIC).rows()
    assert rows == [WAITED, LOST]
    assert (
        llmops.query("SELECT count(*) FROM traffic JOIN spans USING (span_id) WHERE time >= start_time").scalar() == 2
    )


@pytest.mark.parametrize("form", ["parquet", "jsonl", "csv", "json"])
def test_decisions_survive_export_and_import(own_surroundings, tmp_path, form):
    record_two()
    llmops.shutdown()
    file = export(tmp_path / f"spans.{form}").file
    import_file(file, path=tmp_path / "second")
    assert query(f"{TRAFFIC} ORDER BY policy DESC", path=tmp_path / "second").rows() == [WAITED, LOST]


def test_numbers_of_the_wrong_type_are_null(sink, make_span, ask):
    fields = {"policy": "limit", "decision": 3, "wait_ms": "long", "limit": [1], "value": 2}
    sink.write([make_span(events=[("llmops.traffic", 5, fields)]), make_span(span_id=2)])
    assert ask("SELECT policy, decision, wait_ms, limit_value, value FROM traffic").rows() == [
        ("limit", "3", None, None, 2.0)
    ]


def test_decisions_leave_without_content():
    fields = {"policy": "budget", "decision": "refused", "subject": "daily", "limit": 5.0, "value": 4.9, "wait_ms": 1.0,
              "deployment": "east", "reason": "hard", "cost": 0.1}  # fmt: skip
    assert event_without_content("llmops.traffic", {**fields, "prompt": "text"}) == fields


def test_the_deployment_of_an_answer_is_a_column():
    with use_provider(ScriptedProvider([Response(text="a", deployment="east"), Response(text="b")])):
        answers = [llmops.chat("Hi", model="offline/echo") for _ in range(2)]
    assert [answer.deployment for answer in answers] == ["east", None]
    rows = llmops.query("SELECT deployment, attributes FROM llm_calls ORDER BY start_time").rows()
    assert [row[0] for row in rows] == ["east", None]
    assert all("llmops.deployment" not in json.loads(row[1]) for row in rows)


def test_the_deployment_of_a_failed_call_and_of_embeddings_is_a_column():
    made = Embeddings(vectors=[[1.0]], model="m", provider="p", deployment="west")
    with use_provider(ScriptedProvider([RateLimitError("slow down", deployment="east"), made])):
        with pytest.raises(RateLimitError):
            llmops.chat("Hi", model="offline/echo", retry=False)
        assert llmops.embed(["x"], model="offline/echo").deployment == "west"
    rows = llmops.query("SELECT status, deployment FROM llm_calls ORDER BY start_time").rows()
    assert rows == [("error", "east"), ("ok", "west")]


def test_the_deployment_of_an_attempt_is_a_column(sink, make_span, ask):
    sink.write([make_span(events=[("llmops.attempt", 5, {"attempt": 1, "deployment": "east"})])])
    assert ask("SELECT attempt, deployment FROM attempts").rows() == [(1, "east")]
