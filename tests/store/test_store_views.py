"""Views have the columns and types of docs/schema.md, and their totals are right."""

from __future__ import annotations

import datetime
import subprocess
import sys
from pathlib import Path

import pytest
from schema_page import reference

from llmops_sdk.store import StoreSink, query
from llmops_sdk.store.schema._clickhouse import clickhouse
from llmops_sdk.store.schema._views import VIEWS

START = 1_795_000_000_000_000_000
BEGAN = datetime.datetime(2026, 11, 18, 11, 6, 40)  # noqa: DTZ001 - times are naive and in UTC

FIXED = {
    "spans": """trace_id span_id parent_span_id name kind start_time start_ns duration_ms status status_message
        error_type input output service session_id user_id tags simulated attributes""",
    "llm_calls": """trace_id span_id operation provider request_model model input_tokens output_tokens cache_read_tokens
        reasoning_tokens cost ttft_ms finish_reason cache attempts prompt_name prompt_version input_messages
        output_messages""",
    "attempts": """trace_id span_id attempt provider model start_time duration_ms status status_code error_type
        retry_after reason cost""",
    "cache_lookups": "trace_id span_id tier hit similarity age_s decision reason saved_cost",
    "guard_verdicts": "trace_id span_id guard rail action reason duration_ms",
    "traffic": "trace_id span_id time policy decision deployment subject reason wait_ms cost",
    "scores": "trace_id span_id name value label comment source time session_id document_id target",
    "losses": "time what reason count bytes",
    "datasets": "name version time items erased latest source",
    "dataset_items": "dataset version latest item_id input expected metadata source_trace_id",
}


def test_schema_page_is_up_to_date():
    written = Path(__file__).parents[2] / "docs" / "schema.md"
    assert written.read_text(encoding="utf-8") == reference(), "run `make docs`"


def test_clickhouse_statements_are_up_to_date():
    written = Path(__file__).parents[2] / "docs" / "clickhouse.sql"
    assert written.read_text(encoding="utf-8") == clickhouse(), "make docs"


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
@pytest.mark.parametrize("filled", [False, True], ids=["no store", "a store"])
def test_view_has_documented_columns_and_types(store, ask, make_span, view, filled):
    if filled:
        sink = StoreSink(store)
        sink.write([make_span(kind="llm", attributes={"gen_ai.input.messages": b'[{"role":"user","content":"x"}]'})])
        sink.close(1.0)
    described = [(row["column_name"], row["column_type"]) for row in ask(f"DESCRIBE {view.name}").dicts()]
    assert described == [(column.name, column.type) for column in view.columns]
    assert ask(view.example).columns


@pytest.mark.parametrize("view", FIXED)
def test_promised_columns_exist(view):
    columns = [column.name for column in next(found for found in VIEWS if found.name == view).columns]
    fixed = set(FIXED[view].split()) | (set(FIXED["spans"].split()) if view == "llm_calls" else set())
    assert fixed <= set(columns)
    # docs/stability.md promises the columns that docs/schema.md marks.
    assert set(next(found for found in VIEWS if found.name == view).fixed.split()) == fixed


def test_messages_serve_as_input_and_output(sink, make_span, ask):
    asked, said = b'[{"role":"user","content":"Q"}]', b'[{"role":"assistant","content":"A"}]'
    messages = {"gen_ai.input.messages": asked, "gen_ai.output.messages": said}
    sink.write([
        make_span(kind="llm", span_id=1, attributes=messages),
        make_span(kind="llm", span_id=2, trace_id=2, attributes=messages, input=b'"own"', output=b'"too"'),
    ])  # fmt: skip
    found = [(asked.decode(), said.decode()), ('"own"', '"too"')]
    for view in ("spans", "llm_calls", "traces"):
        assert ask(f"SELECT input, output FROM {view} ORDER BY trace_id").rows() == found, view


def test_reading_creates_no_folder(store, ask):
    assert ask("SELECT count(*) FROM spans").scalar() == 0
    assert not store.exists()


def test_trace_totals_add_up_its_spans(sink, make_span, ask):
    call = {"gen_ai.usage.input_tokens": 5, "gen_ai.usage.output_tokens": 2, "gen_ai.usage.cost": 0.5}
    sink.write([
        make_span(kind="llm", span_id=2, parent_id=1, start_ns=START + 1_000_000, attributes=call, input=b'"second"'),
        make_span(kind="llm", span_id=3, parent_id=1, start_ns=START + 2_000_000, duration_ns=9_000_000, status="error",
                  attributes={"llmops.simulated": True}),
        make_span(name="root", span_id=1, duration_ns=8_000_000, input=b'"first"', output=b'"last"',
                  attributes={"session.id": "s"}),
        make_span(name="still running's child", trace_id=2, span_id=9, parent_id=8),
    ])  # fmt: skip
    done, running = ask("FROM traces ORDER BY trace_id").dicts()
    assert done == {
        "trace_id": f"{1:032x}", "name": "root", "start_time": BEGAN,
        "duration_ms": 11.0, "status": "ok", "service": "tests", "session_id": "s", "user_id": None, "simulated": True,
        "spans": 3, "llm_calls": 2, "errors": 1, "input_tokens": 5, "output_tokens": 2, "cost": 0.5,
        "input": '"first"', "output": '"last"', "tags": [], "models": [], "scores": None,
    }  # fmt: skip
    assert (running["name"], running["status"], running["cost"]) == ("still running's child", None, None)


def test_events_appear_in_their_views(sink, make_span, ask):
    sink.write([
        make_span(events=[
            ("llmops.attempt", START, {"attempt": 1, "provider": "p", "model": "m", "start_ns": START + 1_000,
                "duration_ms": 1.5, "status": "error", "status_code": 429, "error_type": "RateLimitError",
                "retry_after": 2.0, "reason": "first"}),
            ("llmops.attempt", START, {"attempt": "not a number", "status": "ok", "cost": 0.1}),
            ("llmops.cache.lookup", START, {"tier": "exact", "hit": False, "decision": "miss"}),
            ("llmops.guard.verdict", START, {"guard": "cards", "rail": "input", "action": "redact"}),
            ("exception", START, {"exception.type": "ValueError"}),
        ]),
        make_span(span_id=2),
    ])  # fmt: skip
    first, second = ask("FROM attempts").dicts()
    assert (first["attempt"], first["status_code"], first["retry_after"]) == (1, 429, 2.0)
    assert first["start_time"] == BEGAN + datetime.timedelta(microseconds=1)
    assert (second["attempt"], second["status"], second["cost"]) == (None, "ok", 0.1)
    assert ask("SELECT tier, hit, decision FROM cache_lookups").rows() == [("exact", False, "miss")]
    assert ask("SELECT guard, rail, action FROM guard_verdicts").rows() == [("cards", "input", "redact")]
    assert ask("SELECT count(*), count(DISTINCT name) FROM events").rows() == [(5, 4)]


def test_importing_the_store_does_not_import_duckdb():
    code = "import sys, llmops_sdk.store; sys.exit('duckdb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_query_reads_the_configured_store(monkeypatch, store, make_span):
    sink = StoreSink(store)
    sink.write([make_span()])
    monkeypatch.setenv("LLMOPS_STORE__PATH", str(store))
    assert query("SELECT count(*) FROM spans").scalar() == 1
    sink.close(1.0)
