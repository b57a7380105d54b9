"""`span`, `context`, `current_span`, `score`, `inject` and `extract`, and OpenTelemetry's interface."""

from __future__ import annotations

import asyncio
import json
import math
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry import trace as otel_trace
from opentelemetry.trace import Link, SpanContext, Status, StatusCode, TraceFlags

import llmops_sdk as llmops
from llmops_sdk.tracing import start_span


def test_span_block_records_content_attributes_and_times(sink):
    with llmops.span("rank", kind="reranker", input=["a"], attributes={"a.b": 1}, k=2) as span:
        assert llmops.current_span() is span
        assert otel_trace.get_current_span() is span
        span.output = {"best": "a"}
        span.usage(input_tokens=3, cost=0.5, model="m")
    found = sink.only()
    assert (found.name, found.kind, found.status) == ("rank", "reranker", "ok")
    assert (json.loads(found.input), json.loads(found.output)) == (["a"], {"best": "a"})
    assert dict(found.attributes) == {
        "a.b": 1,
        "k": 2,
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.cost": 0.5,
        "gen_ai.response.model": "m",
    }
    assert (f"{found.trace_id:032x}", f"{found.span_id:016x}") == (span.trace_id, span.span_id)
    assert (span.input, span.output) == (["a"], {"best": "a"})


async def test_span_works_with_async_with(sink):
    async with llmops.span("block") as span:
        await asyncio.sleep(0)
        assert llmops.current_span() is span
    assert sink.only().status == "ok"


def test_changes_after_the_end_are_ignored(sink):
    with llmops.span("done") as span:
        pass
    span.set(late=1)
    span.output = "late"
    span.add_event("late")
    span.update_name("late")
    span.end()
    found = sink.only()
    assert (found.name, found.attributes, found.output, found.events) == ("done", None, None, None)
    assert not span.is_recording()


def test_opentelemetry_methods_record_events_links_and_status(sink):
    other = SpanContext(1, 2, True, TraceFlags(1))
    with llmops.span("s") as span:
        span.set_attribute("list", [1, 2])
        span.set_attribute("mixed", [1, "a"])
        span.set_attribute("object", {"k": object})
        span.add_event("e", {"n": 1}, timestamp=5)
        span.add_link(other, {"why": "x"})
        span.update_name("renamed")
        span.set_status(Status(StatusCode.ERROR, "bad"))
        span.set_status(StatusCode.UNSET)
        assert span.get_span_context().trace_flags.sampled
    found = sink.only()
    assert (found.name, found.status, found.status_message) == ("renamed", "error", "bad")
    assert found.attributes["list"] == (1, 2)
    assert json.loads(found.attributes["mixed"]) == [1, "a"]
    assert json.loads(found.attributes["object"]) == {"k": {"$type": "builtins.type", "name": "builtins.object"}}
    assert found.events == [("e", 5, {"n": 1})]
    assert found.links == [(1, 2, {"why": "x"})]
    assert Link(other).context is other


def test_events_beyond_the_bound_are_counted_as_lost(sink):
    with llmops.span("many") as span:
        for i in range(1_100):
            span.add_event("e", {"i": i})
    assert len(sink.only().events) == 1_000
    assert [(loss.what, loss.reason, loss.count) for loss in sink.losses] == [("event", "too_many", 100)]


def test_current_span_without_a_span_does_nothing(sink):
    span = llmops.current_span()
    span.set(a=1)
    span.usage(cost=1.0)
    span.input = 1
    span.add_event("e")
    span.score("s", 1)
    assert (span.recording, span.trace_id, span.is_recording()) == (False, "0" * 32, False)
    assert (sink.spans, sink.scores) == ([], [])


def test_nested_contexts_merge_and_the_inner_wins(sink):
    with llmops.context(session_id="s1", user_id="u1", tags=["a"], metadata={"k": 1, "l": 1}, prompt=("p", "1")):
        with llmops.context(user_id="u2", tags=["b", "a"], metadata={"k": 2}), llmops.span("inner"):
            pass
        with llmops.span("outer"):
            pass
    with llmops.span("outside"):
        pass
    inner = sink.named("inner").stamp
    assert (inner.session_id, inner.user_id, inner.tags) == ("s1", "u2", ("a", "b"))
    assert (inner.metadata, inner.prompt_name, inner.prompt_version) == ({"k": 2, "l": 1}, "p", "1")
    assert sink.named("outer").stamp.user_id == "u1"
    assert sink.named("outside").stamp is None


def test_bare_string_for_tags_raises_type_error():
    with pytest.raises(TypeError, match=r"tags=\['beta'\]"), llmops.context(tags="beta"):
        pass


async def test_context_follows_into_to_thread_and_tasks(sink):
    @llmops.trace("leaf")
    def leaf() -> None: ...

    with llmops.context(session_id="s"), llmops.span("root"):
        await asyncio.to_thread(leaf)
        await asyncio.create_task(asyncio.to_thread(leaf))
    leaves = [span for span in sink.spans if span.name == "leaf"]
    assert [span.parent_id for span in leaves] == [sink.named("root").span_id] * 2
    assert {span.stamp.session_id for span in leaves} == {"s"}


def test_plain_thread_pool_loses_the_context(sink):
    with llmops.span("root"), ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: llmops.current_span().recording).result() is False


@pytest.mark.parametrize(
    ("value", "number", "label"),
    [(0.5, 0.5, None), (1, 1.0, None), (True, 1.0, "true"), (False, 0.0, "false"), ("good", None, "good")],
)
def test_score_value_becomes_number_and_label(sink, value, number, label):
    with llmops.span("judged") as span:
        llmops.score("quality", value, comment="why", source="reviewer")
    (score,) = sink.scores
    assert (score.name, score.value, score.label) == ("quality", number, label)
    assert (score.span_id, score.trace_id) == (span.span_id, span.trace_id)
    assert (score.comment, score.source) == ("why", "reviewer")


def test_ended_span_can_be_scored_by_id(sink):
    llmops.score("late", 1, trace_id="AB" * 16)
    assert (sink.scores[0].trace_id, sink.scores[0].span_id) == ("ab" * 16, None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "without a current span"),
        ({"span_id": "xyz"}, "16 hex digits"),
        ({"trace_id": "12"}, "32 hex digits"),
    ],
)
def test_score_without_valid_target_raises(sink, arguments, message):
    with pytest.raises(llmops.LLMOpsError, match=message):
        llmops.score("x", 1, **arguments)


def test_non_finite_score_raises(sink):
    with pytest.raises(llmops.LLMOpsError, match="finite"):
        llmops.score("x", math.nan, trace_id="ab" * 16)


def test_extract_continues_the_trace_of_inject(sink):
    headers: dict[str, str] = {}
    with llmops.span("client") as client:
        llmops.inject(headers)
    with llmops.extract({"Traceparent": headers["traceparent"]}), llmops.span("server"):
        pass
    server = sink.named("server")
    assert f"{server.trace_id:032x}" == client.trace_id
    assert f"{server.parent_id:016x}" == client.span_id
    assert not llmops.current_span().recording


def test_unsampled_caller_is_recorded_and_passed_on_unsampled(sink):
    with llmops.extract({"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-00"}), llmops.span("server") as span:
        carrier: dict[str, str] = {}
        llmops.inject(carrier)
        assert carrier["traceparent"] == f"00-{'ab' * 16}-{span.span_id}-00"
    assert [one.name for one in sink.spans] == ["server"]


def test_activate_neither_ends_span_nor_records_error(sink):
    span = start_span("long", kind="llm", otel_kind="client", attributes={"a": 1})
    seen: list[object] = []

    def body() -> None:
        with span.activate():
            seen.append(llmops.current_span())
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        body()
    assert seen == [span]
    assert not llmops.current_span().recording
    span.end()
    found = sink.only()
    assert (found.status, found.events, found.otel_kind, found.attributes) == ("ok", None, "client", {"a": 1})


@pytest.mark.parametrize(
    ("name", "argument", "kept"),
    [
        ("always_off", "", 0),
        ("always_on", "", 20),
        ("traceidratio", "0", 0),
        ("parentbased_traceidratio", "1.0", 20),
        ("parentbased_always_off", "", 0),
    ],
)
def test_standard_sampler_variables_decide_which_traces_are_recorded(monkeypatch, name, argument, kept):
    from llmops_sdk.config import Settings
    from llmops_sdk.tracing.runtime import _start as _runtime
    from tests.tracing.conftest import MemorySink

    monkeypatch.setenv("OTEL_TRACES_SAMPLER", name)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", argument)
    sink = MemorySink()
    _runtime.start_with(Settings(), [sink])
    for _ in range(10):
        with llmops.span("root"), llmops.span("child"):
            assert llmops.current_span().get_span_context().is_valid
    assert len(sink.spans) == kept
    for trace in {span.trace_id for span in sink.spans}:
        assert len([span for span in sink.spans if span.trace_id == trace]) == 2
