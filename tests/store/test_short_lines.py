"""The fast path for plain spans writes the same bytes as the slow path."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from otlp_samples import sample_span

from llmops_sdk.store.lines._encode import MAX_LINE, Encoder

NUMBERS = st.integers(min_value=1, max_value=2**63 - 1)
CONTENT = st.none() | st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
).map(orjson.dumps)


def both(**changes: Any) -> tuple[bytes, bytes]:
    record = sample_span(**changes)
    encoder = Encoder()
    short = encoder.span_line(record)
    return short, encoder._long_line(record)


@given(
    name=st.text(),
    trace_id=NUMBERS,
    span_id=NUMBERS,
    parent_id=st.just(0) | NUMBERS,
    start_ns=NUMBERS,
    duration_ns=st.just(0) | NUMBERS,
    status=st.sampled_from(["ok", "error", "cancelled", "closed", "unset"]),
    kind=st.sampled_from(["chain", "tool", "llm"]),
    otel_kind=st.sampled_from(["internal", "client"]),
    input=CONTENT,
    output=CONTENT,
)
def test_fast_and_slow_path_write_equal_bytes(**changes: Any) -> None:
    short, long = both(**changes)
    assert short == long
    assert orjson.loads(short)["name"] == changes["name"]


@pytest.mark.parametrize("content", [b'{"a":\n1}', b'"\\ud800"', b'"\\uDFFF"', b'{\r"a":1}'])
def test_content_that_breaks_lines_is_repaired(content: bytes) -> None:
    short, long = both(input=content)
    assert short == long
    assert short.count(b"\n") == 1
    orjson.loads(short)


def test_one_torn_line_is_repaired_and_none_is_doubled() -> None:
    encoder = Encoder()
    contents = [b'"plain"', b'{"a":\n1}', b'"\\ud83d\\ude00"', b'"C:\\\\users"', b'"\\ud800"'] * 40
    records = [sample_span(input=content, span_id=number + 1) for number, content in enumerate(contents)]
    records[7] = sample_span(input=b'"\\udfff"', attributes={"own": "\ud800"}, span_id=8)
    lines = encoder.span_lines(records)
    rows = [orjson.loads(line) for line in lines]
    assert [line.count(b"\n") for line in lines] == [1] * len(records)
    assert [int(row["span_id"], 16) for row in rows] == [record.span_id for record in records]
    assert [row["input"] for row in rows[:5]] == ["plain", {"a": 1}, "\U0001f600", "C:\\users", "\ufffd"]
    assert encoder.losses["text", "not_unicode"] == 40 + 2


def test_repaired_line_keeps_its_resource() -> None:
    torn = sample_span(input=b'"\\ud800"', resource={"service.name": "one"})
    whole = sample_span(resource={"service.name": "two"}, span_id=2)
    rows = [orjson.loads(line) for line in Encoder().span_lines([torn, whole])]
    assert [row["service"] for row in rows] == ["one", "two"]


def test_name_of_a_str_subclass_runs_no_application_code() -> None:
    class Loud(str):
        __slots__ = ()

        def __hash__(self) -> int:
            raise RuntimeError

        __eq__ = __hash__  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]

    short, long = both(name=Loud("loud"))
    assert short == long
    assert orjson.loads(short)["name"] == "loud"


@pytest.mark.parametrize("name", ["\ud800", 'a"b\\c', "a\nb", "x" * 1_000, ""])
def test_fast_and_slow_path_agree_on_any_name(name: str) -> None:
    short, long = both(name=name)
    assert short == long
    orjson.loads(short)


def test_name_cache_is_bounded() -> None:
    encoder = Encoder()
    for number in range(5_000):
        assert orjson.loads(encoder.span_line(sample_span(name=f"n{number}")))["name"] == f"n{number}"
    assert len(encoder._heads) <= 1_024


def test_too_long_line_is_cut() -> None:
    short, _ = both(input=orjson.dumps("x" * (MAX_LINE + 1)))
    assert len(short) <= MAX_LINE


def test_changed_resource_changes_the_line() -> None:
    encoder = Encoder()
    rows = [
        orjson.loads(encoder.span_line(sample_span(resource={"service.name": name}))) for name in ("one", "two", "one")
    ]
    assert [row["service"] for row in rows] == ["one", "two", "one"]
    assert [row["resource"] for row in rows] == [{"service.name": name} for name in ("one", "two", "one")]
