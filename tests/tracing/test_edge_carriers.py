"""Headers of every kind for `inject` and `extract`: what cannot be read or written is an error that says so."""

from __future__ import annotations

import types
from email.message import Message
from typing import Any

import pytest
from span_rows import context_unchanged, only

import llmops_sdk as llmops

TRACE, SPAN = "ab" * 16, "cd" * 8
PARENT = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize("carrier", [[("traceparent", PARENT)], None, "traceparent", 7, (), b"", {"traceparent"}])
def test_extract_from_a_non_mapping_raises(carrier: Any) -> None:
    wrong = pytest.raises(llmops.LLMOpsError, match=rf"{type(carrier).__name__}: give a dict")
    with context_unchanged(), wrong, llmops.extract(carrier):
        raise AssertionError


@pytest.mark.parametrize(
    "carrier", [[], None, "traceparent", 7, (), b"", bytearray(), {"traceparent"}, types.MappingProxyType({})]
)
def test_inject_into_a_non_mapping_raises(carrier: Any) -> None:
    with llmops.span("work"), pytest.raises(llmops.LLMOpsError, match=rf"{type(carrier).__name__}: give a dict"):
        llmops.inject(carrier)
    assert only("work")["status"] == "ok"


def as_message() -> Message:
    message = Message()
    message["TraceParent"] = PARENT
    return message


@pytest.mark.parametrize(
    "carrier",
    [
        {"traceparent": PARENT},
        {"TRACEPARENT": PARENT, "baggage": ""},
        {b"traceparent": PARENT.encode(), b"x": b"\xff"},
        types.MappingProxyType({"traceparent": PARENT}),
        {"traceparent": [PARENT]},
        {"traceparent": (PARENT.encode(),)},
        {"traceparent": PARENT, "wsgi.input": object(), 7: None},
        as_message(),
    ],
)
def test_every_kind_of_headers_continues_the_trace(carrier: Any) -> None:
    with context_unchanged(), llmops.extract(carrier), llmops.span("served"):
        pass
    row = only("served")
    assert (row["trace_id"], row["parent_span_id"]) == (TRACE, SPAN)


@pytest.mark.parametrize("value", ["", "00", PARENT[:-3], "x" * 10_000, b"\xff", 7, None, [], [None], {}, "00-0-0-0"])
def test_headers_without_a_trace_begin_a_trace(value: Any) -> None:
    with context_unchanged(), llmops.extract({"traceparent": value, "tracestate": value}), llmops.span("served"):
        pass
    assert "parent_span_id" not in only("served")
