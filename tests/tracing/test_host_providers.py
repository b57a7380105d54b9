"""An application with a tracer provider of its own: it stays, loses no span, and gets ours without content.

Each program runs in a process of its own: the global provider can be set only once.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

import llmops_sdk as llmops

_PROGRAM = """
import json
import logging
import llmops_sdk as llmops
from opentelemetry import propagate, trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace import sampling
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

logging.basicConfig(level="WARNING")
tracer = trace.get_tracer("some.library")

def library():
    with tracer.start_as_current_span("GET /", kind=SpanKind.CLIENT):
        with llmops.span("inside"):
            return 1

@llmops.trace
def outer(question):
    llmops.current_span().set({"step": 1})
    return library()

def call():
    with llmops.context(session_id="session-7", user_id="user-7", tags=["beta"]):
        return outer("Where is my card?")

memory = InMemorySpanExporter()

def host(**how):
    provider = TracerProvider(**how)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    return provider

def seen():
    return [
        {
            "name": span.name,
            "id": format(span.context.span_id, "016x"),
            "trace": format(span.context.trace_id, "032x"),
            "parent": span.parent and format(span.parent.span_id, "016x"),
            "kind": span.kind.name,
            "scope": span.instrumentation_scope.name,
            "status": span.status.status_code.name,
            "description": span.status.description,
            "attributes": dict(span.attributes),
            "events": [[event.name, dict(event.attributes)] for event in span.events],
        }
        for span in memory.get_finished_spans()
    ]

def tell(more=None):
    print(json.dumps({"spans": seen(), "global": type(trace.get_tracer_provider()).__name__, "more": more}))
"""


def run(program: str, stderr: str = "", **environ: str) -> Any:
    import os

    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM + program],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert stderr in done.stderr if stderr else done.stderr == ""
    return json.loads(done.stdout)


def tree(spans: list[dict[str, Any]]) -> dict[str, str | None]:
    """Return the parent's name of each span by its name; names are unique."""
    names = {span["id"]: span["name"] for span in spans}
    assert len(names) == len({span["name"] for span in spans}) == len(spans)
    return {span["name"]: names[span["parent"]] if span["parent"] else None for span in spans}


_TREE = {"outer": None, "GET /": "outer", "inside": "GET /"}
_OURS = "SELECT s.name, p.name FROM spans s LEFT JOIN spans p ON p.span_id = s.parent_span_id"


def test_plain_host_provider_gets_the_same_tree_and_ids():
    told = run("trace.set_tracer_provider(host())\ncall()\ntell()")
    assert told["global"] == "TracerProvider"
    assert tree(told["spans"]) == dict(llmops.query(_OURS).rows()) == _TREE
    here = {(row[0], row[1]) for row in llmops.query("SELECT trace_id, span_id FROM spans").rows()}
    assert {(span["trace"], span["id"]) for span in told["spans"]} == here
    outer = next(span for span in told["spans"] if span["name"] == "outer")
    assert (outer["scope"], outer["kind"], outer["status"]) == ("llmops_sdk", "INTERNAL", "OK")
    assert outer["attributes"]["step"] == 1


def test_content_sessions_and_users_do_not_reach_the_host():
    told = run(
        """
trace.set_tracer_provider(host())
call()

@llmops.trace
def failing(card):
    llmops.current_span().add_event("said", {"text": "a secret"})
    raise ValueError("the card 1234 is gone")

try:
    failing("1234")
except ValueError:
    pass
llmops.chat("Where is my card?", system="You answer for a bank.")
tell()
"""
    )
    everything = json.dumps(told["spans"])
    for text in ("card?", "session-7", "user-7", "beta", "1234", "a secret", "for a bank"):
        assert text not in everything
    by_name = {span["name"]: span for span in told["spans"]}
    failing = by_name["failing"]
    assert (failing["status"], failing["description"]) == ("ERROR", "ValueError")
    assert [event[0] for event in failing["events"]] == ["said", "exception"]
    chat = by_name["chat echo"]
    assert (chat["kind"], chat["attributes"]["gen_ai.operation.name"]) == ("INTERNAL", "chat")
    assert chat["attributes"]["gen_ai.usage.input_tokens"] > 0
    assert llmops.query("SELECT input->>'question', session_id FROM spans WHERE name = 'outer'").rows() == [
        ("Where is my card?", "session-7")
    ]
    assert "1234" in llmops.query("SELECT status_message FROM spans WHERE name = 'failing'").scalar()


def test_host_content_setting_sends_content_without_secrets():
    key = "sk-" + "proj-" + "a1B2" * 12
    told = run(
        f"trace.set_tracer_provider(host())\nouter('my key is {key}')\ntell()", LLMOPS_EXPORT__HOST_CONTENT="true"
    )
    outer = next(span for span in told["spans"] if span["name"] == "outer")
    assert json.loads(outer["attributes"]["input.value"])["question"].startswith("my key is [REDACTED")
    assert key not in json.dumps(told["spans"])
    assert llmops.query("SELECT sum(count) FROM losses WHERE what = 'secret'").scalar() == 1


def test_host_processor_sees_parents_start_before_children():
    """Like Sentry, the host builds its own tree as spans start and end, and reads the current span for its headers."""
    told = run(
        """
class Tree(SpanProcessor):
    def __init__(self):
        self.open, self.done = {}, []
    def on_start(self, span, parent_context=None):
        above = span.parent and self.open[span.parent.span_id]
        self.open[span.context.span_id] = [span.name, above and above[0]]
    def on_end(self, span):
        self.done.append(self.open.pop(span.context.span_id))

class Header(propagate.textmap.TextMapPropagator):
    fields = {"own-trace"}
    def inject(self, carrier, context=None, setter=propagate.textmap.default_setter):
        found = trace.get_current_span(context).get_span_context()
        setter.set(carrier, "own-trace", format(found.span_id, "016x"))
    def extract(self, carrier, context=None, getter=propagate.textmap.default_getter):
        return context

ours = Tree()
provider = TracerProvider()
provider.add_span_processor(ours)
trace.set_tracer_provider(provider)
propagate.set_global_textmap(Header())
call()
carrier = {}
with llmops.span("calling") as calling:
    llmops.inject(carrier)
tell([ours.done, ours.open, carrier == {"own-trace": calling.span_id}])
"""
    )
    assert told["more"] == [
        [["inside", "GET /"], ["GET /", "outer"], ["outer", None], ["calling", None]],
        {},
        True,
    ]
    assert llmops.query("SELECT count(*) FROM spans").scalar() == 4


_OTHER = """
import contextvars
import itertools
import threading
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

class OtherSpan(NonRecordingSpan):
    '''A span of an implementation that has nothing of the SDK.'''
    def __init__(self, name, context, parent, log):
        super().__init__(context)
        self.name, self.parent, self.log, self.attributes = name, parent, log, {}
    def is_recording(self):
        return True
    def set_attributes(self, attributes):
        self.attributes.update(attributes)
    def end(self, end_time=None):
        self.log.append(self)

class OtherTracer(trace.Tracer):
    ids = itertools.count(1000)
    def __init__(self, log):
        self.log = log
    def start_span(self, name, context=None, kind=SpanKind.INTERNAL, attributes=None, links=None, start_time=None,
                   record_exception=True, set_status_on_exception=True):
        above = trace.get_current_span(context).get_span_context()
        own = SpanContext(above.trace_id or next(self.ids), next(self.ids), False, TraceFlags(1))
        return OtherSpan(name, own, above.span_id, self.log)
    def start_as_current_span(self, name, *args, **kwargs):
        return trace.use_span(self.start_span(name), end_on_exit=True)

class OtherProvider(trace.TracerProvider):
    def __init__(self):
        self.log = []
    def get_tracer(self, name, *args, **kwargs):
        return OtherTracer(self.log)

other = OtherProvider()
"""


def test_provider_without_the_otel_sdk_gets_the_whole_tree():
    """Like Datadog, the host has spans that do not come from the SDK: they are in its tree only; ours are in both."""
    told = run(
        _OTHER
        + """
trace.set_tracer_provider(other)
call()
names = {span.get_span_context().span_id: span.name for span in other.log}
tell([[span.name, names.get(span.parent), "input.value" in span.attributes] for span in other.log])
"""
    )
    assert told["global"] == "OtherProvider"
    assert told["more"] == [["inside", "GET /", False], ["GET /", "outer", False], ["outer", None, False]]
    rows = llmops.query("SELECT name, trace_id, span_id, parent_span_id FROM spans ORDER BY start_ns").dicts()
    assert [row["name"] for row in rows] == ["outer", "inside"]
    # One trace, with the ids of the application's provider; the span in the middle is its own.
    assert rows[0]["trace_id"] == rows[1]["trace_id"] == f"{1000:032x}"
    assert [row["span_id"] for row in rows] == [f"{1001:016x}", f"{1003:016x}"]
    assert rows[1]["parent_span_id"] == f"{1002:016x}"


@pytest.mark.parametrize("kind", ["sdk", "other"])
def test_failing_host_provider_breaks_neither_call_nor_store(kind: str):
    broken = """
class Broken(SpanProcessor):
    def on_start(self, span, parent_context=None):
        raise RuntimeError("on start")
    def on_end(self, span):
        raise RuntimeError("on end")

class BrokenProvider(trace.TracerProvider):
    def get_tracer(self, *args, **kwargs):
        return BrokenTracer()

class BrokenTracer(trace.Tracer):
    def start_span(self, *args, **kwargs):
        raise RuntimeError("no span")
    def start_as_current_span(self, *args, **kwargs):
        raise RuntimeError("no span")

if KIND == "sdk":
    provider = TracerProvider()
    provider.add_span_processor(Broken())
else:
    provider = BrokenProvider()
trace.set_tracer_provider(provider)

@llmops.trace
def work():
    with llmops.span("part"):
        return 7

assert [work() for _ in range(3)] == [7, 7, 7]
tell()
"""
    run(f"KIND = {kind!r}\n{broken}", stderr="starting a span at the application's tracer failed")
    assert llmops.query("SELECT name, count(*) FROM spans GROUP BY ALL ORDER BY ALL").rows() == [
        ("part", 3),
        ("work", 3),
    ]


def test_provider_set_later_is_joined_if_the_place_is_free():
    told = run(
        """
llmops.configure(tracing={"global_provider": "never"})
call()
trace.set_tracer_provider(host())
call()
tell()
"""
    )
    assert told["global"] == "TracerProvider"
    assert tree(told["spans"]) == _TREE
    # Without a provider, nothing recorded the library's span.
    counts = dict(llmops.query("SELECT name, count(*) FROM spans GROUP BY ALL").rows())
    assert counts == {"outer": 2, "GET /": 1, "inside": 2}


def test_provider_set_after_ours_is_refused_and_no_span_is_lost():
    told = run(
        "call()\ntrace.set_tracer_provider(host())\ncall()\ntell()", stderr="Overriding of current TracerProvider"
    )
    assert told["spans"] == []
    assert dict(llmops.query("SELECT name, count(*) FROM spans GROUP BY ALL").rows()) == dict.fromkeys(_TREE, 2)


def test_processor_added_to_our_provider_gets_our_spans():
    told = run(
        """
call()
trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(memory))
call()
tell()
"""
    )
    assert tree(told["spans"]) == _TREE
    assert "card?" not in json.dumps(told["spans"])
    assert dict(llmops.query("SELECT name, count(*) FROM spans GROUP BY ALL").rows()) == dict.fromkeys(_TREE, 2)


def test_host_sampler_does_not_affect_the_store():
    told = run(
        """
trace.set_tracer_provider(host(sampler=sampling.ParentBased(sampling.ALWAYS_OFF)))
call()
headers = {}
with llmops.span("calling"):
    llmops.inject(headers)
from llmops_sdk.tracing import tracer_provider
with llmops.span("above"), tracer_provider().get_tracer("instrumentor").start_as_current_span("call"):
    with tracer_provider().get_tracer("instrumentor").start_as_current_span("within"):
        pass
tell(headers["traceparent"][-2:])
"""
    )
    assert told["spans"] == []
    assert int(told["more"], 16) & 1 == 0  # other services see the host's decision
    # "inside" is below a span that the host dropped.
    names = {row[0] for row in llmops.query("SELECT name FROM spans").rows()}
    assert names == {"outer", "calling", "above", "call", "within"}


def test_host_keeps_spans_that_the_environment_sampler_drops():
    told = run(
        "trace.set_tracer_provider(host(sampler=sampling.ALWAYS_ON))\ncall()\ntell()", OTEL_TRACES_SAMPLER="always_off"
    )
    assert tree(told["spans"]) == _TREE
    # The host samples the library's span.
    assert [row[0] for row in llmops.query("SELECT name FROM spans").rows()] == ["GET /"]


def test_disabled_sdk_adds_no_spans_to_the_host():
    told = run(
        """
trace.set_tracer_provider(host())
with llmops.span("nothing") as nothing:
    llmops.score("fine", True)
    call()
    headers = {}
    llmops.inject(headers)
assert llmops.chat("Hi").text == "Hi"
tell(headers)
""",
        LLMOPS_ENABLED="false",
    )
    assert tree(told["spans"]) == {"GET /": None}
    assert told["more"] == {}
    assert llmops.query("SELECT count(*) FROM spans").scalar() == 0


def test_foreign_span_below_a_disabled_span_logs_nothing():
    told = run(
        """
trace.set_tracer_provider(host())
with llmops.span("on"):
    pass
llmops.configure(enabled=False)
with llmops.span("off"), tracer.start_as_current_span("theirs"):
    pass
tell()
"""
    )
    assert tree(told["spans"]) == {"on": None, "theirs": None}


def test_configure_again_adds_no_second_recorder():
    told = run(
        """
trace.set_tracer_provider(host())
call()
memory.clear()
llmops.configure(store={"path": "other"})
call()
llmops.configure(export={"host_content": True}, store={"path": "other"})
outer("yes")
tell()
"""
    )
    assert [span["name"] for span in told["spans"]] == ["inside", "GET /", "outer"] * 2
    assert ["input.value" in span["attributes"] for span in told["spans"]] == [False] * 5 + [True]
    llmops.configure(store={"path": "other"})
    assert dict(llmops.query("SELECT name, count(*) FROM spans GROUP BY ALL").rows()) == dict.fromkeys(_TREE, 2)


def test_streams_and_async_calls_reach_the_host():
    told = run(
        """
import asyncio
trace.set_tracer_provider(host())

@llmops.trace
async def work():
    await asyncio.sleep(0)
    with tracer.start_as_current_span("theirs"):
        return 1

@llmops.trace
def numbers():
    yield 1
    yield 2

async def both():
    await asyncio.gather(work(), work())

asyncio.run(both())
assert list(numbers()) == [1, 2]
for _ in numbers():
    break
tell()
"""
    )
    names = sorted(span["name"] for span in told["spans"])
    assert names == ["numbers", "numbers", "theirs", "theirs", "work", "work"]
    closed = [span["attributes"].get("llmops.status") for span in told["spans"] if span["name"] == "numbers"]
    assert closed == [None, "closed"]
    parents = {span["id"]: span["name"] for span in told["spans"]}
    assert [parents[span["parent"]] for span in told["spans"] if span["name"] == "theirs"] == ["work", "work"]


def test_instrumentor_on_our_provider_hides_content_from_the_host():
    told = run(
        """
trace.set_tracer_provider(host())
from llmops_sdk.tracing import tracer_provider
instrumentor = tracer_provider().get_tracer("instrumentor")
with llmops.span("above"):
    with instrumentor.start_as_current_span("call", attributes={"input.value": "Where is my card?"}):
        with tracer.start_as_current_span("GET /"):
            pass
assert tracer_provider() is tracer_provider() is not trace.get_tracer_provider()
tell()
"""
    )
    assert "card?" not in json.dumps(told["spans"])
    assert tree(told["spans"]) == {"above": None, "call": "above", "GET /": "call"}
    assert dict(llmops.query(_OURS).rows()) == {"above": None, "call": "above", "GET /": "call"}
    assert llmops.query("SELECT input->>'$' FROM spans WHERE name = 'call'").scalar() == "Where is my card?"
