"""Every written value is read back."""

from __future__ import annotations

import json
import math
import sys
import tempfile
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from llmops_sdk.store import StoreSink, query
from llmops_sdk.tracing.records._records import LossRecord, ScoreRecord, Stamp

HOSTILE = [
    "", " ", "line\nbreak", "car\rriage", "nul\x00inside", "\x1b[31mred", "a\u2028b", "\u202eright left", "quote\"s'",
    "back\\slash", "\\ud800 spelled", "😀", "é", "{}", "null", "NaN", "\x7f", "'; DROP VIEW spans; --", "x" * 100_000,
]  # fmt: skip

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
plain = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | texts
finite = st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    plain | finite, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)
)
attribute_values = (
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | texts | finite | st.lists(texts, max_size=3) | st.lists(finite)
)


@pytest.fixture(scope="module")
def module_span():
    return sys.modules["span_writer"].PlainSpan


@settings(max_examples=20)
@given(
    spans=st.lists(
        st.fixed_dictionaries(
            {
                "name": texts,
                "trace_id": st.integers(1, 2**128 - 1),
                "span_id": st.integers(1, 2**64 - 1),
                "parent_id": st.integers(0, 2**64 - 1),
                "start_ns": st.integers(0, 2**62),
                "duration_ns": st.integers(0, 2**50),
                "status_message": st.none() | texts,
                "input": st.none() | values.map(lambda value: json.dumps(value).encode()),
                "attributes": st.none() | st.dictionaries(texts.map("x.".__add__), attribute_values, max_size=4),
                "events": st.none()
                | st.lists(
                    st.tuples(texts, st.integers(0, 2**62), st.dictionaries(texts, attribute_values, max_size=2)),
                    max_size=2,
                ),
            }
        ),
        min_size=1,
        max_size=4,
    )
)
def test_any_span_is_read_back_unchanged(module_span, spans):
    with tempfile.TemporaryDirectory() as folder:
        sink = StoreSink(Path(folder))
        assert sink.write([module_span(**span) for span in spans]) == len(spans)
        sink.close(1.0)
        found = query("FROM spans", path=folder).dicts()
        assert not query("FROM losses", path=folder).rows()
    assert len(found) == len(spans)
    for row, span in zip(found, spans, strict=True):
        assert row["name"] == span["name"]
        assert row["trace_id"] == f"{span['trace_id']:032x}"
        assert row["span_id"] == f"{span['span_id']:016x}"
        assert row["parent_span_id"] == (f"{span['parent_id']:016x}" if span["parent_id"] else None)
        assert row["start_ns"] == span["start_ns"]
        assert row["duration_ms"] == span["duration_ns"] / 1e6
        assert row["status_message"] == span["status_message"]
        # JSON null and nothing at all are both NULL.
        sent = None if span["input"] is None else json.loads(span["input"])
        assert (None if row["input"] is None else json.loads(row["input"])) == sent
        assert json.loads(row["attributes"] or "{}") == (span["attributes"] or {})
        events = [(e["name"], e["time_ns"], e["attributes"]) for e in json.loads(row["events"] or "[]")]
        assert events == (span["events"] or [])


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_read_back_unchanged(sink, make_span, ask, text):
    sink.write(
        [
            make_span(
                name=text,
                input=json.dumps(text).encode(),
                attributes={"k": text, "user.id": text},
                stamp=Stamp(tags=(text,)),
            )
        ]
    )
    row = ask("SELECT name, input, attributes->>'$.k', user_id, tags FROM spans").rows()[0]
    assert (row[0], json.loads(row[1]), *row[2:]) == (text, text, text, text, [text])


def test_lone_surrogates_are_replaced_and_counted(sink, make_span, ask):
    sink.write([make_span(name="bad \ud800", attributes={"k\udfff": "v\udc00"}, input=b'{"a": "\\ud800"}')])
    row = ask("SELECT name, attributes, input FROM spans").rows()[0]
    assert row == ("bad \ufffd", '{"k\ufffd":"v\ufffd"}', '{"a":"\ufffd"}')
    assert ask("SELECT count FROM losses WHERE what = 'text' AND reason = 'not_unicode'").scalar() == 4


def test_numbers_beyond_json_become_text(sink, make_span, ask):
    attributes = {
        "nan": math.nan,
        "inf": [1.0, -math.inf],
        "huge": 2**80,
        "longest": 10**5000,
        "gen_ai.usage.cost": math.nan,
    }
    sink.write([make_span(kind="llm", attributes=attributes)])
    kept = json.loads(ask("SELECT attributes FROM spans").scalar())
    assert kept.pop("longest") == hex(10**5000)
    assert kept == {"nan": "NaN", "inf": [1.0, "-Infinity"], "huge": str(2**80), "gen_ai.usage.cost": "NaN"}
    assert ask("SELECT cost FROM llm_calls").scalar() is None


def test_invalid_attribute_value_loses_only_itself(sink, make_span, ask):
    cycle: list[object] = []
    cycle.append(cycle)
    sink.write(
        [make_span(attributes={"object": object(), "set": {1}, 7: "seven", "cycle": cycle}), make_span(name="two")]
    )
    first, second = ask("SELECT attributes FROM spans ORDER BY name DESC").rows()
    kept = json.loads(first[0])
    assert (kept["object"], kept["set"], kept["7"]) == ("<object>", [1], "seven")
    assert second[0] is None
    assert dict(ask("SELECT reason, count FROM losses").rows()) == {"not_json": 1, "too_deep": 1}


def test_multiline_or_invalid_json_harms_no_other_line(sink, make_span, ask):
    sink.write(
        [
            make_span(name="a", input=b'{\n "a":\r\n 1}'),
            make_span(name="b", input=b"not \n json \\ud8"),
            make_span(name="c"),
        ]
    )
    assert [row[0] for row in ask("SELECT input FROM spans WHERE name IN ('a', 'c') ORDER BY name")] == [
        '{"a":1}',
        None,
    ]
    assert json.loads(ask("SELECT input FROM spans WHERE name = 'b'").scalar()) == "not   json \\ud8"


def test_too_large_line_loses_its_largest_value(sink, make_span, ask):
    big = json.dumps("x" * 9_000_000).encode()
    sink.write([make_span(input=big, output=b'"kept"'), make_span(name="y" * 9_000_000)])
    rows = ask("SELECT input, output, length(name) FROM spans ORDER BY length(name)").rows()
    assert json.loads(rows[0][0]) == {"llmops.truncated": True, "bytes": len(big)}
    assert rows[0][1] == '"kept"'
    assert rows[1][2] == 1000
    assert dict(ask("SELECT what, bytes FROM losses WHERE reason = 'too_large'").rows()) == {
        "input": len(big),
        "name": 9_000_002,
    }


def test_latest_score_wins_and_losses_are_read_back(sink, ask):
    def score(**fields):
        base = {"trace_id": "t", "span_id": None, "name": "good", "value": None, "label": None, "comment": None}
        return ScoreRecord(**{**base, "source": "user", "time_ns": 1_000, **fields})

    sink.write(
        [
            score(value=0.0, time_ns=2_000),
            score(value=1.0, comment="\ud800 changed", time_ns=3_000),
            score(span_id="s", label="yes", value=math.nan),
            LossRecord(time_ns=1_000, what="span", reason="queue_full", count=3, bytes=10),
        ]
    )
    assert ask("SELECT span_id, value, label, comment FROM scores ORDER BY span_id").rows() == [
        ("s", None, "yes", None),
        (None, 1.0, None, "\ufffd changed"),
    ]
    assert set(ask("SELECT what, reason, count, bytes FROM losses").rows()) == {
        ("span", "queue_full", 3, 10),
        ("value", "not_finite", 1, 0),
        ("text", "not_unicode", 1, 0),
    }
