"""docs/clickhouse.sql in a real ClickHouse (chdb) over exported files: each view has the rows of DuckDB's view."""

from __future__ import annotations

import datetime
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from real_backends import environment

from llmops_sdk.store import StoreSink, compact, export, query
from llmops_sdk.store.schema._clickhouse import clickhouse
from llmops_sdk.store.schema._views import VIEWS
from llmops_sdk.tracing.records._records import RecordedSpan, ScoreRecord

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]  # the first use installs ClickHouse

HERE = Path(__file__).parent
EXPORTED = [view for view in VIEWS if view.exported]
AT = 1_795_000_000_123_456_789
ASSISTANT = HERE.parent / "store" / "bank_assistant.py"
# Messages of other libraries: the shape of the OpenAI API, tool calls, several parts, nothing.
MESSAGES = [
    [{"role": "user", "content": "Plain \"text\"\n日本"}],
    [{"role": "user", "content": [{"type": "text", "text": "1"}, {"type": "url"}, {"type": "text", "text": "2"}]}],
    [{"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "function": {"name": "f"}}]}],
    [{"role": "assistant", "parts": [{"type": "tool_call", "name": "f", "arguments": {"a": 1}}], "finish_reason": "s"}],
    [{"role": "tool", "parts": []}, {"parts": [{"type": "text", "content": ""}]}],
    [],
]  # fmt: skip
# A score of a trace, of a span without its trace, a later one that wins, a label with quotes, no span, a document.
SCORES: list[dict[str, Any]] = [
    {"trace_id": f"{1:032x}", "name": "helpful", "value": 0.25},
    {"span_id": f"{1:016x}", "name": "helpful", "value": 1.0},
    {"span_id": f"{1:016x}", "name": 'to"ne', "label": 'it\'s "kind"\n日本'},
    {"span_id": f"{2:016x}", "name": "helpful", "value": 0.125, "source": "judge"},
    {"span_id": f"{2**63:016x}", "name": "helpful", "value": 0.0},
    {"trace_id": f"{3:032x}", "span_id": f"{3:016x}", "document_id": "d1", "name": "relevant", "value": 1.0},
    {"session_id": "s1", "name": "solved", "value": 1.0},
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a day of the bank's assistant, and spans in the form of other libraries."""
    folder = tmp_path_factory.mktemp("clickhouse") / "store"
    subprocess.run([sys.executable, ASSISTANT, folder, "0"], check=True, capture_output=True, timeout=120)
    sink = StoreSink(folder)
    sink.write([
        RecordedSpan(
            name="odd", kind="llm", trace_id=number, span_id=number, parent_id=99, start_ns=AT + number,
            duration_ns=1_234_567, status="unset", resource={"service.name": "odd"},
            attributes={"gen_ai.input.messages": json.dumps(messages).encode(), "app.number": 0.1,
                        "llmops.tags": ("odd", f"n{number % 3}"), "session.id": f"s{number % 2}"},
            events=[("custom", AT, {"a": [1, 2], "b": None}), ("llmops.attempt", AT, {"attempt": 2}),
                    ("llmops.traffic", AT, {"policy": "limit", "decision": "waited", "wait_ms": 0.5, "limit": 3.0})],
        )
        for number, messages in enumerate(MESSAGES, 1)
    ])  # fmt: skip
    absent = dict.fromkeys(("trace_id", "span_id", "value", "label", "comment"))
    sink.write([
        ScoreRecord(**{**absent, "source": "user", "time_ns": AT + 1000 * number, **score})
        for number, score in enumerate(SCORES)
    ])  # fmt: skip
    sink.close(1.0)
    return folder


def _plain(value: Any, column_type: str) -> Any:
    if value is None:
        return None
    if column_type == "TIMESTAMP":
        return value if isinstance(value, datetime.datetime) else datetime.datetime.fromisoformat(value)
    return json.loads(value) if column_type == "JSON" else value


def _order(row: dict[str, Any]) -> str:
    # The ids come first, so that a differing row still stands beside its counterpart.
    ids = [row.get("trace_id"), row.get("span_id")]
    return json.dumps([ids, {k: v for k, v in row.items() if not isinstance(v, float)}], default=str, sort_keys=True)


@pytest.fixture(scope="module", params=[False, True], ids=["exported", "the store's own files of spans"])
def answers(request: Any, store: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[list[Any]]]:
    """Return each view's column names and rows in ClickHouse."""
    own: bool = request.param
    folder = tmp_path_factory.mktemp("files")
    files: dict[str, str] = {}
    for what in ("spans", "scores", "losses"):
        done = export(folder / f"{what}.parquet", what=what, path=store)
        assert done.rows > 0
        files[what] = f"file('{done.file}', Parquet)"
    if own:
        compact(path=store)
        files["spans"] = f"file('{store}/spans/*.parquet', Parquet)"
    ran = subprocess.run(
        [environment("chdb") / "python", HERE / "in_clickhouse.py", *(view.name for view in EXPORTED)],
        input=clickhouse(files), capture_output=True, text=True, check=True, timeout=600,
    )  # fmt: skip
    return dict(json.loads(line) for line in ran.stdout.splitlines())


@pytest.mark.parametrize("view", EXPORTED, ids=lambda view: view.name)
def test_view_has_the_rows_of_duckdb(store, answers, view):
    types = {column.name: column.type for column in view.columns}
    names, *rows = answers[view.name]
    assert names == list(types)
    theirs = [{name: _plain(value, types[name]) for name, value in zip(names, row, strict=True)} for row in rows]
    ours = [{n: _plain(v, types[n]) for n, v in row.items()} for row in query(f"FROM {view.name}", path=store).dicts()]
    assert len(ours) > 0
    assert len(theirs) == len(ours)
    for their, our in zip(sorted(theirs, key=_order), sorted(ours, key=_order), strict=True):
        for name, value in our.items():
            found = their[name]
            same = math.isclose(found, value) if isinstance(value, float) and found is not None else found == value
            assert same, (name, found, value, our)
