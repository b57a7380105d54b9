"""A query returns at its deadline, within bounds of memory and disk, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import duckdb
import pytest

import llmops_sdk as llmops
from llmops_sdk.errors import QueryError
from llmops_sdk.store import query
from llmops_sdk.store.duck._functions import (
    ALLOWED_TABLE_FUNCTIONS,
    DENIED_FUNCTIONS,
    STATEFUL_FUNCTIONS,
    called_functions,
)
from llmops_sdk.store.reading._scope import QueryScope

pytestmark = pytest.mark.redteam

# One call of each keeps DuckDB busy for many seconds without looking for an interrupt.
STUBBORN = (
    "SELECT lpad('x', 900000000, 'y')",
    "SELECT list_sum(list_transform(range(30000000), lambda x: x % 7 + sqrt(x)))",
)
PROGRAM = """
import sys, time
from llmops_sdk.store import query
from llmops_sdk.errors import QueryError
query("SELECT 1", path=sys.argv[1])
before = time.monotonic()
try:
    query(sys.argv[2], path=sys.argv[1], timeout=0.3)
except QueryError as error:
    assert "took longer" in str(error), error
print(time.monotonic() - before)
"""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    llmops.configure(store={"path": tmp_path / "store"}, model="offline/echo")
    with llmops.span("one"):
        pass
    llmops.flush()
    return tmp_path / "store"


@pytest.mark.parametrize("sql", STUBBORN)
def test_query_returns_at_its_deadline_and_so_does_the_program(store: Path, sql: str) -> None:
    # At exit the program waits 5 seconds for the stopped query.
    arguments = [sys.executable, "-c", PROGRAM, str(store), sql]
    ran = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    assert float(ran.stdout) < 3.0


def test_event_loop_ends_without_waiting_for_a_stopped_query(store: Path) -> None:
    async def ask() -> None:
        with pytest.raises(QueryError, match="took longer"):
            await llmops.aquery(STUBBORN[1], path=store, timeout=0.2)

    before = time.monotonic()
    asyncio.run(ask())
    assert time.monotonic() - before < 5.0


def test_each_table_function_of_duckdb_is_classified() -> None:
    found = duckdb.connect().execute(
        "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type IN ('table', 'table_macro')"
    )
    new = {name for (name,) in found.fetchall()} - ALLOWED_TABLE_FUNCTIONS - DENIED_FUNCTIONS
    assert new == set(), "classify these in llmops_sdk/store/duck/_functions.py"


def test_each_function_with_side_effects_is_classified() -> None:
    harmless = {
        "current_connection_id", "current_query", "current_query_id", "current_transaction_id", "error",
        "gen_random_uuid", "random", "sleep_ms", "stats", "uuid", "uuidv4", "uuidv7", "vector_type",
    }  # fmt: skip
    found = duckdb.connect().execute(
        "SELECT DISTINCT function_name FROM duckdb_functions() WHERE has_side_effects AND function_type = 'scalar'"
    )
    new = {name for (name,) in found.fetchall()} - DENIED_FUNCTIONS - STATEFUL_FUNCTIONS - harmless
    assert new == set(), "classify these in llmops_sdk/store/duck/_functions.py"


@pytest.mark.parametrize(
    "sql",
    [
        "FROM enable_logging()",
        "SELECT * FROM query('FROM enable_logging()')",
        "FROM query /* ( */ ('SELECT 1')",
        "FROM \"query\"('SELECT 1')",
        "FROM main.QUERY('SELECT 1')",
        "FROM system.main.\"Query\" -- x\n ('SELECT 1')",
        "FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
        "SELECT 'é', (SELECT count(*) FROM glob('*'))",
        "WITH x AS (FROM read_text('*')) FROM x",
        "SELECT write_log('x')",
        "EXPLAIN ANALYZE FROM enable_profiling()",
        "FROM spans, LATERAL (FROM glob('*'))",
    ],
)
def test_denied_functions_are_refused_by_name(store: Path, sql: str) -> None:
    with pytest.raises(QueryError, match="may not call"):
        query(sql, path=store)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM spans WHERE name = 'query('",
        "SELECT name AS query, 'glob(' AS \"read_csv\" FROM spans /* enable_logging() */",
        "FROM generate_series(1, 3)",
        "SELECT unnest([1, 2]), e.value FROM json_each('[1]') AS e",
        "FROM histogram(spans, duration_ms)",
        "SELECT count(*) FROM duckdb_columns()",
        "DESCRIBE spans",
        "SUMMARIZE spans",
        "SHOW TABLES",
    ],
)
def test_ordinary_queries_still_run(store: Path, sql: str) -> None:
    query(sql, path=store)


def test_state_does_not_reach_the_next_query(store: Path) -> None:
    def draws() -> object:
        query("SELECT setseed(0.5)", path=store)
        return query("SELECT random()", path=store).scalar()

    assert len({draws() for _ in range(3)}) == 3


def test_memory_and_spilled_bytes_are_bounded(store: Path) -> None:
    settings = (
        "SELECT value FROM duckdb_settings() WHERE name IN ('memory_limit', 'max_temp_directory_size') ORDER BY name"
    )
    spill, memory = (text for (text,) in query(settings, path=store).rows())
    assert spill == "8.0 GiB"
    amount, unit = memory.split()
    assert unit == "MiB" or float(amount) <= 4.0


def test_names_before_a_parenthesis_are_found_in_any_spelling() -> None:
    sql = 'SELECT é(1), "a""b"(2), x.upper(), \'no(\'::VARCHAR, $$no($$, f -- no(\n (3)'
    assert called_functions(sql) == {"é", 'a"b', "upper", "f"}


@pytest.mark.parametrize(
    ("column", "hint"),
    [
        ("latency", "duration_ms"),
        ("timestamp", "start_time"),
        ("tenant", "[store.columns]"),
        ("metadata", "llmops.metadata.KEY"),
        ("prompt_tokens", "input_tokens"),
        ("Total_Tokens", "input_tokens + output_tokens"),
    ],
)
def test_usual_names_of_columns_lead_to_ours(store: Path, column: str, hint: str) -> None:
    with pytest.raises(QueryError) as caught:
        query(f"SELECT {column} FROM llm_calls", path=store)
    assert hint in str(caught.value)
    assert "llmops schema" in str(caught.value)


def test_isolated_query_returns_the_same_rows_and_types(store: Path) -> None:
    sql = (
        "SELECT i AS \"a b\", sum(i) OVER () AS huge, 'x' || i AS text, [i, 2] AS list, {'k': i::HUGEINT} AS struct, "
        "INTERVAL 1 DAY AS span, NULL AS nothing, now() AS zoned IS NOT NULL AS dated, 1.5::DECIMAL(4, 1) AS exact, "
        "'{\"a\": 1}'::JSON AS json FROM range(3) AS t(i) ORDER BY i DESC"
    ).replace("now() AS zoned IS NOT NULL AS dated", "TIMESTAMP '2026-01-02 03:04:05' AS moment")
    here, there = query(sql, path=store), query(sql, path=store, isolated=True)
    assert there.columns == here.columns
    assert there.types == here.types
    assert there.rows() == here.rows()
    counted = query("SELECT count(*) FROM spans WHERE name = $name", {"name": "one"}, path=store, isolated=True)
    assert counted.scalar() == 1


@pytest.mark.parametrize(
    ("sql", "part"),
    [
        ("SELECT latency FROM spans", "duration_ms"),
        ("FROM enable_logging()", "may not call"),
        ("DROP VIEW spans", "only reads"),
    ],
)
def test_isolated_query_reports_errors(store: Path, sql: str, part: str) -> None:
    with pytest.raises(QueryError, match=part):
        query(sql, path=store, isolated=True)


@pytest.mark.thorough
def test_isolated_query_is_killed_when_it_needs_too_much_memory(store: Path) -> None:
    greedy = (
        "SELECT length(lpad('x', 900000000, 'y')) + sum(length(lpad(i::VARCHAR, 900000000, 'y'))) FROM range(20) t(i)"
    )
    with pytest.raises(QueryError):
        query(greedy, path=store, timeout=20, isolated=True)


def test_cancelling_the_scope_kills_an_isolated_query(store: Path) -> None:
    endless = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range * b.range % 7 = 3"
    scope = QueryScope(60)
    ended: list[QueryError] = []

    def ask() -> None:
        with scope, pytest.raises(QueryError) as caught:
            query(endless, path=store, isolated=True)
        ended.append(caught.value)

    asking = threading.Thread(target=ask)
    asking.start()
    while asking.is_alive():
        scope.cancel()
        asking.join(0.05)
    assert len(ended) == 1


def test_isolated_query_ends_at_its_deadline_and_leaves_nothing_on_the_disk(store: Path) -> None:
    endless = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range * b.range % 7 = 3"
    with pytest.raises(QueryError, match=r"longer than 0\.2 s and was killed"):
        query(endless, path=store, isolated=True, timeout=0.2)
    assert not [entry for entry in (store / "tmp").glob("*") if not entry.name.startswith(f"{os.getpid()}-")]


def test_isolated_query_imports_nothing_from_the_working_folder(store: Path) -> None:
    Path("duckdb.py").write_text("raise SystemExit('planted')")
    assert query("SELECT 1", path=store, isolated=True).scalar() == 1
