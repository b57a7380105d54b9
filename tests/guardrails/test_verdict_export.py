"""Verdicts leave as the conventions' events, without text of a user, and come back into `guard_verdicts`."""

from __future__ import annotations

import json

from otlp_receiver import OtlpReceiver

import llmops_sdk as llmops
from llmops_sdk.store import import_file, query
from llmops_sdk.testing import ScriptedProvider, use_provider
from llmops_sdk.tracing.records._guardrail_events import conventional_verdict, verdicts_of

NAMES = "gen_ai.guardrail."


def test_a_verdict_is_exported_as_the_conventions_event(card):
    with OtlpReceiver() as backend:
        llmops.configure(model="openai/gpt-4.1-mini", export={"endpoint": backend.url, "content": True})
        with use_provider(ScriptedProvider(["fine"])):
            llmops.chat(f"Charge {card} now", guards=["cards"])
        llmops.shutdown()
        assert card.encode() not in backend.everything()
        spans = [span for span in backend.spans if span.name.startswith("chat")]
    events = [attributes for name, _, attributes in spans[0].events if name == "gen_ai.guardrail.result"]
    first = next(one for one in events if one[f"{NAMES}source"] == "input")
    assert first[f"{NAMES}component.name"] == "cards"
    assert first[f"{NAMES}result.type"] == "action"
    assert first[f"{NAMES}result.value"] == "redact"
    assert first[f"{NAMES}result.reason"] == "1 card number"
    assert first[f"{NAMES}policy.version"] == "1:redact"
    assert json.loads(first["llmops.guard.findings"]) == [{"text": 0, "kind": "CARD", "start": 7, "end": 23}]


def test_an_exported_verdict_comes_back_as_it_was():
    verdict = {
        "guard": "g", "rail": "output", "action": "flag", "reason": "r", "version": "1", "score": 0.5, "threshold": 0.4,
        "findings": "[]", "truncated": True, "duration_ms": 0.1,
    }  # fmt: skip
    exported = ("gen_ai.guardrail.result", 7, conventional_verdict(verdict))
    other = ("mine", 8, {"a": 1})
    assert verdicts_of([exported, other]) == [("llmops.guard.verdict", 7, verdict), other]


def test_a_verdict_of_another_library_is_a_row_of_the_view(tmp_path):
    attributes = {
        f"{NAMES}component.name": "Contains PII", f"{NAMES}result.type": "tripwire_triggered",
        f"{NAMES}result.value": "true", f"{NAMES}source": "input", f"{NAMES}risk.score": 0.9,
    }  # fmt: skip
    event = {"timeUnixNano": "5", "name": "gen_ai.guardrail.result", "attributes": [
        {"key": key, "value": {"doubleValue": value} if isinstance(value, float) else {"stringValue": value}}
        for key, value in attributes.items()]}  # fmt: skip
    span = {"traceId": "0" * 31 + "1", "spanId": "0" * 15 + "1", "name": "guard", "startTimeUnixNano": "5",
            "endTimeUnixNano": "6", "events": [event]}  # fmt: skip
    file = tmp_path / "spans.jsonl"
    file.write_text(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}))
    import_file(file, path=tmp_path / "store")
    assert query("SELECT guard, rail, action, score FROM guard_verdicts", path=tmp_path / "store").rows() == [
        ("Contains PII", "input", "true", 0.9)
    ]
