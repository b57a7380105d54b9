"""Export, import into an empty store, export again: the rows are equal, in every form."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import example, given, settings

from llmops_sdk.store import StoreSink, connect, export, import_file
from llmops_sdk.store.schema._views import SPAN_COLUMNS
from llmops_sdk.tracing.records._records import LossRecord, ScoreRecord, Stamp

pytestmark = pytest.mark.thorough

NAMES = [key.name for key in SPAN_COLUMNS]
FORMS = ["parquet", "jsonl", "csv", "json"]

signs = st.sampled_from(
    ["", "=1", "'", "''", "-5", "+", "@x", "\t", "\r\n", "\n", '"', '""', ",", "\\", "null", "NaN", "\x00"]
)
texts = signs | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
finite = st.floats(allow_nan=False, allow_infinity=False)
numbers = st.integers(-(2**63), 2**63 - 1) | finite
plain = st.none() | st.booleans() | numbers | st.integers(2**64, 2**70) | texts
json_values = st.recursive(plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))
attribute_values = (
    st.none() | st.booleans() | numbers | texts | st.lists(texts, max_size=3) | st.lists(numbers, max_size=2)
)
attribute_values |= st.dictionaries(texts, st.booleans() | numbers | texts | st.lists(texts, max_size=2), max_size=2)
keys = texts.map("x.".__add__)
known = st.fixed_dictionaries(
    {},
    optional={
        "gen_ai.operation.name": texts, "gen_ai.provider.name": texts, "gen_ai.system": texts,
        "gen_ai.request.model": texts, "gen_ai.usage.input_tokens": st.integers(0, 2**63 - 1) | texts,
        "gen_ai.usage.cost": finite | texts, "gen_ai.response.finish_reasons": st.lists(texts, max_size=2),
        "gen_ai.response.time_to_first_chunk": st.floats(0, 1e6), "llmops.simulated": st.booleans(),
        "llmops.tags": st.lists(texts, max_size=2), "error.type": texts | st.lists(texts), "session.id": texts,
        "openinference.span.kind": texts, "input.mime_type": texts, "llmops.metadata.a": texts,
        "gen_ai.input.messages": st.lists(st.dictionaries(texts, json_values, max_size=2), max_size=2).map(
            lambda value: json.dumps(value).encode()),
        "llm.finish_reason": texts, "traceloop.entity.input": texts, "llm.input_messages.0.message.content": texts,
    },
)  # fmt: skip
attributes = st.tuples(st.dictionaries(keys, attribute_values, max_size=3), known).map(lambda two: two[0] | two[1])
stamps = st.builds(Stamp, session_id=st.none() | texts, tags=st.lists(texts, max_size=2).map(tuple))
spans = st.lists(
    st.fixed_dictionaries(
        {
            "name": texts,
            "kind": st.sampled_from(["chain", "llm", "embedding", "tool"]),
            "scope": st.sampled_from(["llmops_sdk", "a.library", ""]),
            "trace_id": st.integers(1, 2**128 - 1),
            "parent_id": st.integers(0, 2**64 - 1),
            "start_ns": st.integers(0, 2**62),
            "duration_ns": st.integers(0, 2**62),
            "status": st.sampled_from(["ok", "error", "cancelled", "closed", "unset"]),
            "status_message": st.none() | texts,
            "error_type": st.none() | texts,
            "input": st.none() | json_values.map(lambda value: json.dumps(value).encode()),
            "output": st.none() | json_values.map(lambda value: json.dumps(value).encode()),
            "attributes": attributes,
            "events": st.none()
            | st.lists(st.tuples(texts, st.integers(0, 2**62), st.dictionaries(texts, attribute_values, max_size=2)),
                       max_size=2),
            "links": st.none()
            | st.lists(st.tuples(st.integers(0, 2**128 - 1), st.integers(0, 2**64 - 1),
                                 st.dictionaries(texts, attribute_values, max_size=1)), max_size=2),
            "stamp": st.none() | stamps,
            "otel_kind": st.sampled_from(["internal", "client", "server", "producer", "consumer"]),
            "resource": st.dictionaries(st.sampled_from(["service.name", "a", "b"]), attribute_values, max_size=2),
        }
    ),
    min_size=1,
    max_size=8,
)  # fmt: skip


def rows(store: Path) -> list[dict[str, Any]]:
    with connect(path=store) as connection:
        found = connection.execute(f"SELECT {', '.join(NAMES)} FROM store.spans ORDER BY span_id").fetchall()
    return [dict(zip(NAMES, row, strict=True)) for row in found]


def different(one: Path, other: Path) -> list[tuple[str, Any, Any]]:
    """The cells in which two stores differ."""
    pairs = zip(rows(one), rows(other), strict=True)
    return [(name, a[name], b[name]) for a, b in pairs for name in NAMES if repr(a[name]) != repr(b[name])]


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=5)
@given(spans=spans)
@example(spans=[{"input": b'"=1"', "output": b'"{}"', "attributes": {"input.value": "old", "k": None}}])
@example(spans=[{"events": [("exception", 5, {"exception.message": "x" * 2_000})], "status_message": "y" * 2_000}])
def test_any_span_survives_every_form(form: str, spans: list[dict[str, Any]]):
    make = sys.modules["span_writer"].PlainSpan
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sink = StoreSink(folder / "first")
        assert sink.write([make(**{**span, "span_id": number}) for number, span in enumerate(spans, 1)]) == len(spans)
        sink.close(1.0)
        file = export(folder / f"spans.{form}", path=folder / "first").file
        done = import_file(file, path=folder / "second")
        assert (done.spans, done.present, done.rejected, done.ignored) == (len(spans), 0, 0, 0), done.problems
        assert different(folder / "first", folder / "second") == []
        with connect(path=folder / "second") as connection:
            assert connection.execute("FROM losses WHERE what = 'line'").fetchall() == []


@pytest.mark.parametrize("form", ["parquet", "jsonl", "csv"])
@settings(max_examples=3)
@given(
    scores=st.lists(
        st.builds(
            ScoreRecord,
            trace_id=st.none() | texts,
            span_id=st.none() | texts,
            name=texts.filter(bool),
            value=st.none() | finite,
            label=st.none() | texts,
            comment=st.none() | texts,
            source=texts,
            time_ns=st.integers(0, 2**62),
        ),
        min_size=1,
        max_size=4,
    ),
    losses=st.lists(
        st.builds(
            LossRecord,
            time_ns=st.integers(0, 2**62),
            what=texts.filter(bool),
            reason=texts,
            count=st.integers(0, 2**60),
            bytes=st.integers(0, 2**60),
        ),
        min_size=1,
        max_size=3,
    ),
)
def test_scores_and_losses_survive_every_form(form: str, scores: list[Any], losses: list[Any]):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sink = StoreSink(folder / "first")
        sink.write([*scores, *losses])
        sink.close(1.0)
        for what in ("scores", "losses"):
            file = export(folder / f"{what}.{form}", what=what, path=folder / "first").file
            import_file(file, path=folder / "second")
            # Again: what is there already is not doubled, be it a sum of counts.
            assert getattr(import_file(file, path=folder / "second"), what) == 0

            def shown(store: Path, view: str = what) -> list[str]:
                with connect(path=store) as connection:
                    return sorted(map(repr, connection.execute(f"FROM {view}").fetchall()))

            assert shown(folder / "second") == shown(folder / "first")
