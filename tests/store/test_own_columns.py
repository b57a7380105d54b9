"""`[store.columns]`: attributes and metadata as columns of the views."""

from __future__ import annotations

import duckdb
import pytest

import llmops_sdk as llmops
from llmops_sdk.errors import ConfigError, QueryError
from llmops_sdk.store import compact, connect, query
from llmops_sdk.store.reading._latest import TraceFilter, latest_traces
from llmops_sdk.store.reading.jobs._own_rows import own_rows
from llmops_sdk.store.schema._user_columns import column_sql

COLUMNS = {
    "tenant": "tenant",
    "candidates": {"attribute": "app.candidates", "type": "BIGINT"},
    "share": {"attribute": 'it\'s a/b~c "d"', "type": "DOUBLE"},
    "cold": {"attribute": "cold", "type": "BOOLEAN"},
    "began": {"attribute": "at", "type": "TIMESTAMP"},
    "shape": {"attribute": "shape", "type": "JSON"},
}


@pytest.fixture
def filled(store):
    llmops.configure(store={"path": store, "columns": COLUMNS}, model="offline/echo")
    with llmops.context(metadata={"tenant": "acme"}), llmops.span("outer", attributes={"app.candidates": 3}):
        with llmops.span("odd", attributes={"app.candidates": "many", 'it\'s a/b~c "d"': 0.5, "cold": True}):
            llmops.chat("Hi")
        with llmops.span("own", attributes={"tenant": "its own", "at": "2026-11-01T12:00:00", "shape": "{}"}):
            pass
    assert llmops.flush().pending == 0
    return store


@pytest.mark.parametrize("compacted", [False, True], ids=["lines", "Parquet"])
def test_attributes_and_metadata_become_columns(filled, compacted):
    if compacted:
        llmops.shutdown()
        assert compact(path=filled)
    rows = query("SELECT name, tenant, candidates, share, cold, began::VARCHAR, shape FROM spans ORDER BY name").rows()
    assert rows == [
        ("chat echo", "acme", None, None, None, None, None),
        ("odd", "acme", None, 0.5, True, None, None),
        ("outer", "acme", 3, None, None, None, None),
        ("own", "its own", None, None, None, "2026-11-01 12:00:00", '"{}"'),
    ]
    described = {row["column_name"]: row["column_type"] for row in query("DESCRIBE spans").dicts()}
    assert [described[name] for name in COLUMNS] == ["VARCHAR", "BIGINT", "DOUBLE", "BOOLEAN", "TIMESTAMP", "JSON"]


def test_llm_calls_and_traces_have_the_column(filled):
    assert query("SELECT tenant FROM llm_calls").rows() == [("acme",)]
    assert query("SELECT tenant, candidates, share, spans FROM traces").rows() == [("acme", 3, 0.5, 4)]
    with connect() as connection:
        assert connection.execute("SELECT count(*) FROM spans WHERE tenant = 'acme'").fetchone() == (3,)
    with pytest.raises(QueryError, match="Did you mean tenant"):
        query("SELECT tennant FROM spans")


def test_without_the_setting_the_column_is_unknown(filled):
    llmops.configure(store={"path": filled})
    with pytest.raises(QueryError, match='"tenant" not found'):
        query("SELECT tenant FROM spans")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"model": "app.model"}, r"store\.columns\.model: llm_calls already has a column of this name"),
        ({"name": "x"}, "spans, traces, llm_calls already has"),
        ({"errors": "x"}, "traces already has"),
        ({"mine": "session.id"}, "the attribute session.id already fills the column session_id"),
        ({"mine": "a\nb"}, "cannot be printed"),
    ],
)
def test_conflicting_column_raises_config_error_on_query(store, columns, message):
    llmops.configure(store={"path": store, "columns": columns})
    for ask in (lambda: query("SELECT 1"), connect):
        with pytest.raises(ConfigError, match=message) as caught:
            ask()
        assert caught.value.key == f"store.columns.{next(iter(columns))}"
    with llmops.span("goes on"):
        pass


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"Tenant": "x"}, "it must be a column name: lower-case letters"),
        ({'a"; DROP VIEW spans; --': "x"}, "it must be a column name: lower-case letters"),
        ({"a": {"attribute": "x", "type": "INT"}}, r'store\.columns\.a\.type = .INT.* must be "VARCHAR" or "BIGINT"'),
        ({"a": {"attribut": "x"}}, r"store\.columns\.a\.attribut"),
        ({"a": {"type": "JSON"}}, r"store\.columns\.a\.attribute is missing"),
        ({"a": 3}, r"store\.columns\.a = 3 is not valid"),
    ],
)
def test_invalid_column_setting_raises_config_error_on_configure(columns, message):
    with pytest.raises(ConfigError, match=message):
        llmops.configure(store={"columns": columns})


def test_column_sql_reads_attributes_of_any_name():
    for name in ("a.b", "a/b", "~", "'", '"', "0", "$", "a b", "日本"):
        sql = f"SELECT {column_sql(name, 'BIGINT')} FROM (SELECT json_object($name, 7) AS attributes)"
        with duckdb.connect() as connection:
            assert connection.execute(sql, {"name": name}).fetchone() == (7,), name


def test_an_attribute_may_be_called_as_a_table_of_the_store_is(store):
    columns = {"tier": "store.spans", "town": "store.town"}
    llmops.configure(store={"path": store, "columns": columns})
    with llmops.span("bought", attributes={"store.spans": "gold", "store.town": "Rome"}):
        pass
    assert llmops.flush().pending == 0

    page = latest_traces(store, "trace_id, start_time, tier, town", limit=5)
    assert [row[2:] for row in page.rows] == [("gold", "Rome")]
    filtered = latest_traces(store, "tier", limit=5, chosen=TraceFilter(where="tier = 'gold' AND town = 'Rome'"))
    assert filtered.rows == [("gold",)]
    assert own_rows("SELECT tier, town FROM spans", None, store).rows == [("gold", "Rome")]
