"""Scores as the event `gen_ai.evaluation.result`."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from otlp_receiver import BlackHole, GrpcOtlpReceiver, OtlpReceiver

import llmops_sdk as llmops
from llmops_sdk.export._destinations import Destination
from llmops_sdk.export._span_sink import OtlpSink
from llmops_sdk.tracing.records._records import ScoreRecord

COMMENT = "planted-" + "c0de" * 4


def judged(url: str, *, content: bool) -> tuple[str, str]:
    llmops.configure(export={"endpoint": url, "content": content})
    answer = llmops.chat("Hi", model="offline/echo")
    assert answer.trace_id is not None
    assert answer.span_id is not None
    llmops.score("helpful", 0.25, span_id=answer.span_id, trace_id=answer.trace_id, label="poor", comment=COMMENT)
    assert llmops.flush(30.0).pending == 0
    return answer.trace_id, answer.span_id


@pytest.mark.parametrize("content", [False, True])
def test_score_is_an_event_on_its_span(content: bool) -> None:
    with OtlpReceiver() as backend:
        ids = judged(backend.url, content=content)
        (event,) = backend.logs
        assert (COMMENT.encode() in backend.everything()) is content
    assert (event.event, event.scope) == ("gen_ai.evaluation.result", "llmops_sdk")
    assert (event.trace_id, event.span_id) == ids
    expected: dict[str, Any] = {
        "gen_ai.evaluation.name": "helpful",
        "gen_ai.evaluation.score.value": 0.25,
        "gen_ai.evaluation.score.label": "poor",
        "llmops.score.source": "user",
    }
    assert event.attributes == expected | ({"gen_ai.evaluation.explanation": COMMENT} if content else {})
    assert event.resource["telemetry.sdk.name"] == "llmops-sdk"
    assert event.time_ns > 0


def test_trace_score_has_no_span_id() -> None:
    with OtlpReceiver() as backend:
        llmops.configure(export={"endpoint": backend.url})
        llmops.score("resolved", "yes", trace_id="ab" * 16)
        llmops.flush(30.0)
        (event,) = backend.logs
    assert (event.trace_id, event.span_id) == ("ab" * 16, "")
    assert event.attributes["gen_ai.evaluation.score.label"] == "yes"
    assert "gen_ai.evaluation.score.value" not in event.attributes


def test_secrets_in_score_and_resource_are_redacted(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "AKIA" + "Q7WERTYUIOPASDFG"
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", f"team={secret}")
    with OtlpReceiver() as backend:
        llmops.configure(export={"endpoint": backend.url, "content": True})
        llmops.score("helpful", True, trace_id="ab" * 16, comment=f"the key is {secret}")
        llmops.chat("Hi", model="offline/echo")
        llmops.flush(30.0)
        assert backend.logs
        assert backend.exports
        assert secret.encode() not in backend.everything()
    assert backend.logs[0].resource["team"] == "[REDACTED:aws_access_key]"


def test_logs_exporter_none_turns_scores_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_LOGS_EXPORTER", "none")
    with OtlpReceiver() as backend:
        judged(backend.url, content=True)
        assert (backend.requests("logs"), backend.requests("traces")) == (0, 1)


def score(**changes: Any) -> ScoreRecord:
    fields = {"trace_id": "ab" * 16, "span_id": "cd" * 8, "name": "n", "value": 1.0, "label": None, "comment": None}
    return ScoreRecord(**{**fields, "source": "user", "time_ns": 1, **changes})


@pytest.mark.parametrize("status", [404, 405, 415])
def test_backend_without_logs_gets_no_second_request(status: int, caplog: pytest.LogCaptureFixture) -> None:
    losses: list[tuple[str, str, int, int]] = []
    with OtlpReceiver(refuse={"logs": status}) as backend:
        destination = Destination(endpoint=f"{backend.url}/v1/logs", signal="logs", headers={})
        sink = OtlpSink(destination, lose=lambda *loss: losses.append(loss))
        sink.write([score()])
        sink.flush(30.0)
        sink.write([score(), score()])
        sink.flush(30.0)
        sink.close(5.0)
        assert backend.requests("logs") == 1
    (line,) = [record.getMessage() for record in caplog.records if record.name == "llmops_sdk"]
    assert "OTEL_LOGS_EXPORTER=none" in line
    assert {(what, reason) for what, reason, _, _ in losses} == {("export_scores", "not_supported")}
    assert sum(count for _, _, count, _ in losses) == 3


def test_scores_are_sent_over_grpc() -> None:
    with GrpcOtlpReceiver() as backend:
        sink = OtlpSink(Destination(endpoint=backend.url, signal="logs", protocol="grpc", headers={}))
        sink.write([score(comment="no", name="lone \ud83d surrogate")])
        assert sink.flush(30.0)
        sink.close(5.0)
        (event,) = backend.logs
    assert event.attributes["gen_ai.evaluation.name"] == "lone \ufffd surrogate"


PROGRAM = """
import time, llmops_sdk as llmops
answer = llmops.chat("Hi", model="offline/echo")
llmops.score("helpful", True, span_id=answer.span_id, trace_id=answer.trace_id)
"""


@pytest.mark.thorough
def test_three_silent_signals_share_the_bound_of_exit(tmp_path: Any) -> None:
    timed = "import sys, time, atexit\nlate = []\natexit.register(lambda: print(time.monotonic() - late[0]))\n"
    program = timed + PROGRAM + "llmops.flush(0.0)\nlate.append(time.monotonic())\n"
    with BlackHole() as hole:
        environ = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": hole.url}
        run = subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    # 2 s of waiting, and the imports on a busy machine.
    assert float(run.stdout) < 6.0
    assert len(list((tmp_path / ".llmops" / "wal").glob("*.ndjson"))) >= 1
