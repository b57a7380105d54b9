"""Traces in memory: every field of a span, the store's views, and the earlier runtime afterwards."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path

import pytest
from opentelemetry import trace as otel_trace

import llmops_sdk as llmops
from llmops_sdk.testing import Traces, capture_traces


@llmops.trace(kind="tool", attributes={"unit": "EUR"})
def convert(amount: int) -> dict[str, int]:
    if amount < 0:
        raise ValueError("below zero")
    llmops.current_span().add_event("rate", {"value": 2})
    return {"converted": amount * 2}


def test_a_span_has_all_that_was_recorded(llmops_traces: Traces):
    with llmops.context(session_id="s1", user_id="u1", tags=["a"]), llmops.span("outer") as outer:
        convert(3)
    span = llmops_traces.one("convert")

    assert (span.kind, span.status, span.status_message, span.error_type) == ("tool", "ok", None, None)
    assert (span.input, span.output) == ({"amount": 3}, {"converted": 6})
    assert span.attributes == {"unit": "EUR"}
    assert [(event.name, event.attributes) for event in span.events] == [("rate", {"value": 2})]
    assert (span.trace_id, span.parent_span_id) == (outer.trace_id, outer.span_id)
    assert len(span.span_id) == 16
    assert (span.session_id, span.user_id, span.tags) == ("s1", "u1", ("a",))
    assert span.duration_ms > 0
    assert span.start_ns > 1_600_000_000_000_000_000
    assert (span.scope, span.otel_kind) == ("llmops_sdk", "internal")
    assert span.parent == llmops_traces.one("outer")
    assert llmops_traces.one("outer").parent is None
    with pytest.raises(dataclasses.FrozenInstanceError):
        span.name = "other"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def test_an_error_is_on_its_span(llmops_traces: Traces):
    with pytest.raises(ValueError, match="below zero"):
        convert(-1)
    span = llmops_traces.one("convert")
    assert (span.status, span.error_type, span.status_message) == ("error", "ValueError", "below zero")
    assert [event.name for event in span.events] == ["exception"]
    assert span.output is None


def test_messages_on_a_span_are_decoded(llmops_traces: Traces):
    llmops.chat("Hi", system="Be brief.", model="offline/echo")
    (span,) = llmops_traces.spans
    assert span.kind == "llm"
    assert span.attributes["gen_ai.output.messages"][0]["parts"] == [{"type": "text", "content": "Hi"}]


def test_spans_are_in_start_order(llmops_traces: Traces):
    with llmops.span("a"):
        with llmops.span("b"), llmops.span("c"):
            pass
        with llmops.span("b"):
            pass
    assert [span.name for span in llmops_traces.spans] == ["a", "b", "c", "b"]
    assert [span.parent and span.parent.name for span in llmops_traces.spans] == [None, "a", "b", "a"]
    assert [span.name for span in llmops_traces.named("b")] == ["b", "b"]
    assert repr(llmops_traces) == "Traces(a, b, c, b)"


def test_one_lists_the_recorded_names_when_it_fails(llmops_traces: Traces):
    with pytest.raises(AssertionError, match="0 spans are named 'x'; recorded, by their start: none"):
        llmops_traces.one("x")
    for _ in range(2):
        with llmops.span("twice"):
            pass
    with pytest.raises(AssertionError, match=r"2 spans are named 'twice'; .*: 'twice', 'twice'"):
        llmops_traces.one("twice")


def test_a_trace_deeper_than_the_stack_is_captured(llmops_traces: Traces):
    spans = [llmops.span(f"level {n}") for n in range(2000)]
    for span in spans:
        span.__enter__()
    for span in reversed(spans):
        span.__exit__(None, None, None)
    assert [span.name for span in llmops_traces.spans] == [f"level {n}" for n in range(2000)]
    deepest = llmops_traces.one("level 1999")
    assert deepest.parent is not None
    assert deepest.parent.name == "level 1998"


def test_the_views_are_those_of_the_store(llmops_traces: Traces, tmp_path: Path):
    def work() -> None:
        with llmops.context(session_id="s1", metadata={"plan": "gold"}), llmops.span("outer") as span:
            convert(1)
            llmops.chat("Hi", model="offline/echo")
            span.score("good", True)

    work()
    views = ["spans", "traces", "llm_calls", "attempts", "cache_lookups", "guard_verdicts", "events", "scores"]
    described = {view: llmops_traces.sql(f"DESCRIBE {view}").rows() for view in [*views, "messages", "losses"]}
    counts = {view: llmops_traces.sql(f"SELECT count(*) FROM {view}").scalar() for view in described}
    assert counts["spans"] == 3
    assert counts["scores"] == counts["attempts"] == counts["llm_calls"] == counts["traces"] == 1

    llmops.configure(store={"path": tmp_path / "store"})
    stored = Path(tmp_path / "store")
    assert not stored.exists()
    with pytest.raises(llmops.QueryError):
        llmops_traces.sql("SELECT no_such FROM spans")
    assert llmops_traces.sql("SELECT session_id FROM spans WHERE name = ?", ["convert"]).rows() == [("s1",)]
    plan = """SELECT attributes->>'$."llmops.metadata.plan"' FROM spans WHERE name = $name"""
    assert llmops_traces.sql(plan, {"name": "convert"}).scalar() == "gold"
    assert described == {view: llmops.query(f"DESCRIBE {view}", path=stored).rows() for view in described}


def test_rows_outlive_the_query(llmops_traces: Traces):
    for n in range(3000):
        with llmops.span(f"span {n}"):
            pass
    result = llmops_traces.sql("SELECT name FROM spans ORDER BY start_ns, name")
    llmops_traces.clear()
    assert len({name for (name,) in result}) == 3000
    assert llmops_traces.spans == []
    assert llmops_traces.sql("SELECT count(*) FROM spans").scalar() == 0


def test_flush_counts_as_with_the_store(llmops_traces: Traces):
    with llmops.span("one"):
        pass
    assert llmops.flush().stored == 1
    assert llmops.flush().pending == llmops.flush().dropped == 0


def test_spans_of_other_threads_and_libraries_are_there(llmops_traces: Traces):
    thread = threading.Thread(target=convert, args=(1,))
    thread.start()
    thread.join()
    with llmops.span("ours"), otel_trace.get_tracer("somebody.else").start_as_current_span("theirs") as other:
        other.set_attribute("gen_ai.operation.name", "chat")
    theirs = llmops_traces.one("theirs")
    assert (theirs.scope, theirs.kind) == ("somebody.else", "llm")
    assert theirs.parent == llmops_traces.one("ours")
    assert llmops_traces.one("convert").parent is None


def test_the_earlier_runtime_returns_after_the_block(tmp_path: Path):
    llmops.configure(store={"path": tmp_path / "store"})
    with llmops.span("before"):
        pass
    with capture_traces() as traces:
        with llmops.span("captured"):
            pass
        with capture_traces() as inner, llmops.span("nested"):
            pass
        with llmops.span("captured too"):
            pass
    with llmops.span("after"):
        pass

    assert [span.name for span in traces.spans] == ["captured", "captured too"]
    assert [span.name for span in inner.spans] == ["nested"]
    assert llmops.query("SELECT name FROM spans ORDER BY start_ns").rows() == [("before",), ("after",)]
    assert llmops.flush().stored == 2


def test_the_earlier_runtime_returns_after_an_error(tmp_path: Path):
    llmops.configure(store={"path": tmp_path / "store"})
    with pytest.raises(RuntimeError, match="test failed"), capture_traces():
        raise RuntimeError("test failed")
    with llmops.span("after"):
        pass
    assert llmops.query("SELECT name FROM spans").rows() == [("after",)]


def test_a_new_configuration_applies_inside_and_afterwards(tmp_path: Path):
    with llmops.span("before"):
        pass
    with capture_traces() as traces:
        llmops.configure(capture={"content": False}, store={"path": tmp_path / "other"})
        convert(1)
        llmops.configure(enabled=False, store={"path": tmp_path / "other"})
        with llmops.span("off"):
            pass
        llmops.configure(store={"path": tmp_path / "other"})
        convert(2)
    with llmops.span("after"):
        pass

    assert [(span.name, span.input) for span in traces.spans] == [("convert", None), ("convert", {"amount": 2})]
    assert llmops.query("SELECT name FROM spans").rows() == [("after",)]


def test_it_records_even_with_the_sdk_disabled_outside(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LLMOPS_ENABLED", "false")
    with capture_traces() as traces:
        convert(1)
    assert [span.name for span in traces.spans] == ["convert"]
    assert not Path(".llmops").exists()


def test_spans_after_shutdown_are_there_as_well(llmops_traces: Traces):
    llmops.shutdown()
    convert(1)
    assert llmops_traces.one("convert").output == {"converted": 2}
