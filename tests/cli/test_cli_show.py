"""`llmops show`: repeated ids, deep traces, scores and metadata."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import llmops_sdk as llmops

TRACE = "1" * 32


def otlp(path: Path, spans: list[dict[str, object]]) -> Path:
    body = {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}
    path.write_text(json.dumps(body))
    return path


def span(number: int, parent: int = 0, name: str = "", **more: object) -> dict[str, object]:
    made = {
        "traceId": TRACE, "spanId": f"{number:016x}", "name": name or f"span {number}",
        "startTimeUnixNano": str(1_700_000_000_000_000_000 + number),
        "endTimeUnixNano": str(1_700_000_000_000_001_000 + number), **more,
    }  # fmt: skip
    return {**made, "parentSpanId": f"{parent:016x}"} if parent else made


@pytest.fixture
def imported(command, tmp_path: Path):
    def go(spans: list[dict[str, object]]) -> Path:
        store = tmp_path / "store"
        ran = command("import", otlp(tmp_path / "spans.json", spans), "--force", "--store", store)
        assert ran.status == 0, ran.err
        return store

    return go


def test_spans_with_one_id_all_stay_in_the_tree(command, imported) -> None:
    call = {"attributes": [{"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}}]}
    store = imported([
        span(1), span(2, 1, "first", **call), {**span(3, 1, "second", **call), "spanId": f"{2:016x}"},
        span(4, 2, "child"),
    ])  # fmt: skip
    out = command("show", TRACE, "--store", store).out
    assert [out.count(name) for name in ("span 1", "first", "second", "child")] == [1, 1, 1, 1]
    assert "again" in out
    shown = json.loads(command("show", TRACE, "--format", "json", "--store", store).out)
    assert len(shown["spans"]) == 4


def test_deep_trace_prints_bounded_lines(command, imported) -> None:
    store = imported([span(number, number - 1) for number in range(1, 3_001)])
    ran = command("show", TRACE, "--store", store)
    assert len(ran.out) < 200_000
    assert "2,500 more spans; --limit 0 and --depth 0 show all" in ran.err
    everything = command("show", TRACE, "--limit", "0", "--store", store)
    assert everything.out.count("span ") == 3_000
    assert max(map(len, everything.out.splitlines())) < 250
    assert "level 3000: " in everything.out
    few = command("show", TRACE, "--depth", "3", "--store", store)
    assert few.out.count("span ") == 3
    assert "2,997 more spans" in few.err


def test_scores_and_metadata_are_shown(command, tmp_path: Path) -> None:
    store = tmp_path / "store"
    llmops.configure(store={"path": store}, model="offline/echo")
    with llmops.context(metadata={"tenant": "acme"}), llmops.span("root") as root:
        llmops.score("helpful", 0.5, comment="rather")
        llmops.score("tone", "kind", trace_id=root.trace_id)
    llmops.flush()
    out = command("show", root.trace_id, "--store", store).out
    assert "helpful = 0.5: rather" in out
    assert "tone = kind" in out
    assert "tenant=acme" in out
    shown = json.loads(command("show", root.trace_id, "--format", "json", "--store", store).out)
    assert [one["name"] for one in shown["scores"] + shown["spans"][0]["scores"]] == ["tone", "helpful"]


@pytest.mark.parametrize(
    ("counts", "shown"), [({}, "? → ?"), ({"input": 7}, "7 → ?"), ({"input": 0, "output": 3}, "0 → 3")]
)
def test_unknown_token_counts_are_not_shown_as_zero(command, imported, counts, shown) -> None:
    texts = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
    attributes = [{"key": key, "value": {"stringValue": text}} for key, text in texts.items()]
    for side, count in counts.items():
        attributes.append({"key": f"gen_ai.usage.{side}_tokens", "value": {"intValue": str(count)}})
    store = imported([span(1, attributes=attributes)])
    assert f"{shown} tokens" in command("show", TRACE, "--store", store).out
