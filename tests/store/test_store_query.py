"""Queries: what they may, what they say when they fail, and how they end."""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import signal
import subprocess
import sys
import threading
from pathlib import Path

import duckdb
import pytest

from llmops_sdk.errors import MissingDependencyError, QueryError
from llmops_sdk.store import StoreSink, aquery, connect, query
from llmops_sdk.store.reading._query import connect_lean
from llmops_sdk.store.schema._views import VIEWS

ENDLESS = "SELECT count(*) FROM range(1000000000000) a, range(1000000000) b WHERE a.range % 7 = b.range % 11"


@pytest.fixture
def filled(store, make_span):
    sink = StoreSink(store)
    sink.write([make_span(name=f"n{number}", span_id=number) for number in (1, 2, 3)])
    sink.close(1.0)
    return store


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT name FROM spans",
        "  with a as (select name from spans) from a -- all of them;",
        "FROM spans SELECT name;\n",
        "SELECT name FROM spans -- comment without end",
        "VALUES (1), (2), (3)",
        "PIVOT (SELECT 'x' AS k, name FROM spans) ON k USING count(*) GROUP BY name",
    ],
)
def test_statements_that_read(filled, ask, sql):
    assert len(ask(sql)) == 3


@pytest.mark.parametrize(
    "sql", ["DESCRIBE spans", "SUMMARIZE spans", "SHOW TABLES", "EXPLAIN FROM spans", "EXPLAIN ANALYZE FROM spans"]
)
def test_statements_about_the_store(filled, ask, sql):
    assert len(ask(sql)) > 0


@pytest.mark.parametrize(
    "sql",
    [
        "DROP VIEW spans", "INSERT INTO spans SELECT * FROM spans", "CREATE TABLE t AS SELECT 1", "SET threads = 1",
        "COPY (SELECT 1) TO '{folder}/out.csv'", "ATTACH '{folder}/other.db'", "INSTALL httpfs", "LOAD httpfs",
        "PRAGMA database_list", "CALL pragma_version()", "EXPLAIN ANALYZE COPY (SELECT 1) TO '{segment}'",
        "EXPLAIN ANALYZE CREATE TABLE t AS SELECT 1", "EXPLAIN /* */ ANALYZE DROP VIEW spans",
        "EXPORT DATABASE '{folder}/all'", "BEGIN", "PREPARE p AS SELECT 1", "USE store",
    ],
)  # fmt: skip
def test_statements_that_do_more_than_read_are_refused(filled, ask, sql):
    segment = next((filled / "wal").iterdir())
    before = segment.read_bytes()
    with pytest.raises(QueryError, match=r"a query only reads .* this is [A-Z]+"):
        ask(sql.format(folder=filled.parent, segment=segment))
    assert segment.read_bytes() == before
    assert {path.name for path in filled.parent.iterdir()} == {"store"}


@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')", "SELECT * FROM read_text('/etc/passwd')", "FROM read_blob('/etc/p*')",
        "FROM glob('/etc/*')", "FROM read_parquet('http://127.0.0.1:9/x.parquet')", "FROM '/etc/passwd'",
        "FROM read_json('{folder}/MANIFEST.json')",
    ],
)  # fmt: skip
def test_no_file_but_the_stores_lines_is_read(filled, ask, sql, trusted):
    sql = sql.format(folder=filled)
    if not trusted:
        with pytest.raises(QueryError, match=r"may not call|disabled by configuration|does not exist"):
            ask(sql)
    with connect(path=filled, trusted=trusted) as connection:
        if trusted and ("read_text" in sql or "glob" in sql or "json" in sql):
            assert connection.execute(f"SELECT count(*) FROM ({sql.replace('SELECT * ', '')})").fetchone() != (0,)
        elif not trusted:
            with pytest.raises(duckdb.Error):
                connection.execute(sql)


def test_a_lean_connection_reads_in_one_thread_and_is_confined_like_any(filled):
    with connect_lean(filled) as connection:
        settings = "SELECT current_setting('threads'), current_setting('enable_external_file_cache')"
        assert connection.execute(settings).fetchone() == (1, False)
        assert connection.execute("SELECT count(*) FROM spans").fetchone() == (3,)
        with pytest.raises(duckdb.Error):
            connection.execute("SET threads = 2")


@pytest.mark.parametrize(
    "sql",
    [
        "COPY (SELECT 1) TO '{folder}/out.csv'", "ATTACH '{folder}/other.db'", "INSTALL httpfs", "LOAD httpfs",
        "SET enable_external_access = true", "SET allowed_directories = ['/']", "RESET lock_configuration",
        "EXPORT DATABASE '{folder}/all'", "CREATE SECRET (TYPE http)",
    ],
)  # fmt: skip
def test_a_connection_is_confined_until_trusted(filled, sql):
    with connect(path=filled) as connection, pytest.raises(duckdb.Error):
        connection.execute(sql.format(folder=filled.parent))
    assert {path.name for path in filled.parent.iterdir()} == {"store"}


def test_every_view_is_found_however_it_is_asked_for(ask):
    names = {view.name for view in VIEWS}
    assert {row[0] for row in ask("SHOW TABLES")} == names
    assert {
        row[0] for row in ask("SELECT view_name FROM duckdb_views() WHERE schema_name = 'main' AND NOT internal")
    } == names
    assert ask('SELECT count(*) FROM "SPANS", main.Losses').scalar() == 0


def test_a_connection_has_the_views_and_takes_tables_of_its_own(filled):
    with connect(path=filled) as connection:
        connection.execute("CREATE TABLE mine AS SELECT name FROM spans")
        assert connection.execute("SELECT count(*) FROM mine JOIN spans USING (name)").fetchone() == (3,)


def test_a_local_variable_is_no_table(ask):
    import pandas as pd

    frame = pd.DataFrame({"a": [1]})
    with pytest.raises(QueryError, match="Table with name frame does not exist"):
        ask("FROM frame")
    assert len(frame) == 1


def test_an_error_shows_the_place_and_the_nearest_names(ask):
    with pytest.raises(QueryError) as caught:
        ask("SELECT\n  modle\nFROM llm_calls")
    message = str(caught.value)
    assert "Did you mean model? " in message  # not `mode`, which is in another view
    shown, caret = message.splitlines()[-2:]
    assert shown == "LINE 2:   modle"
    assert caret == "          ^^^^^"
    assert caught.value.sql == "SELECT\n  modle\nFROM llm_calls"
    with pytest.raises(QueryError, match=r"Did you mean llm_calls\? The views are spans, traces"):
        ask("FROM llm_call")
    with pytest.raises(QueryError, match=r'syntax error at or near "\+"') as caught:
        ask("SELECT 1 +")
    assert "LINE 1: SELECT 1 +" in str(caught.value)
    assert pickle.loads(pickle.dumps(caught.value)).sql == "SELECT 1 +"


@pytest.mark.parametrize("sql", ["", "-- nothing", "SELECT 1; SELECT 2", "SELECT 1) FROM (SELECT 2", "SELECT '\ud800'"])
def test_what_is_not_one_statement_is_refused(ask, sql):
    with pytest.raises(QueryError):
        ask(sql)


@pytest.mark.parametrize(
    ("sql", "params", "message"),
    [
        ("SELECT ?, ?", [1], "has 2 parameters, but 1 given"),
        ("SELECT 1", [1], "has 0 parameters, but 1 given"),
        ("SELECT $a", {"b": 1}, r"has \$a, but \$b given"),
        ("SELECT ?", None, "has 1 parameter, but 0 given"),
        ("SELECT ?", "x", "a list or a mapping, not str"),
    ],
)
def test_parameters_that_do_not_fit(ask, sql, params, message):
    with pytest.raises(QueryError, match=message):
        ask(sql, params)


def test_parameters(ask):
    assert ask("SELECT ?, ?", [1, "x'"]).rows() == [(1, "x'")]
    assert ask("SELECT $b, $a, $b", {"a": 1, "b": None}).rows() == [(None, 1, None)]
    assert ask("EXPLAIN SELECT $1", [1]).columns == ("explain_key", "explain_value")


def test_the_result_and_its_shapes(filled, ask):
    result = ask("SELECT name, start_time, duration_ms, now() AS asked, 1 AS a, 2 AS a FROM spans ORDER BY name")
    assert result.columns == ("name", "start_time", "duration_ms", "asked", "a", "a_1")
    assert result.types[:4] == ("VARCHAR", "TIMESTAMP", "DOUBLE", "TIMESTAMP")
    assert len(result) == 3
    assert list(result) == result.rows() == list(result)
    assert result.dicts()[0]["name"] == result.scalar() == "n1"
    assert result.df().shape == result.pl().shape == result.arrow().shape == (3, 6)
    assert result.df()["name"].tolist() == result.pl()["name"].to_list() == result.arrow()["name"].to_pylist()
    assert ask("SELECT 1 WHERE false").scalar() is None


def test_a_library_that_is_not_there_is_named(filled):
    program = (
        "import sys; sys.modules['pandas'] = None; sys.modules['polars'] = None; sys.modules['pyarrow'] = None\n"
        "from llmops_sdk.store import query; r = query('SELECT 1', path=sys.argv[1])\n"
        "for shape in (r.df, r.pl, r.arrow):\n"
        "    try: shape()\n"
        f"    except {MissingDependencyError.__name__} as error: print(error)\n"
    )
    program = "from llmops_sdk.errors import MissingDependencyError\n" + program
    ran = subprocess.run([sys.executable, "-c", program, str(filled)], capture_output=True, text=True, check=True)
    assert [line.split("[")[1] for line in ran.stdout.splitlines()] == ['pandas]"', 'polars]"', 'arrow]"']


def test_what_is_shown_cannot_move_the_cursor_or_be_markup(ask, capsys):
    result = ask("SELECT chr(27) || '[31mred' AS a, '<b>' || chr(10) || '日本' AS b, chr(8238) AS c, NULL AS d")
    result.show()
    shown = capsys.readouterr().out
    assert shown.splitlines() == [
        "a            b          c       d",
        "-----------  ---------  ------  -",
        "\\x1b[31mred  <b>\\n日本  \\u202e",
        "(1 row)",
    ]
    assert "<td>&lt;b&gt;\\n日本</td>" in result._repr_html_()
    ask("FROM range(50)").show(max_rows=2)
    assert capsys.readouterr().out.endswith("(50 rows, the first 2 shown)\n")


def test_a_query_that_takes_too_long_is_ended(ask, store):
    with pytest.raises(QueryError, match=r"longer than 0\.2 s"):
        query(ENDLESS, path=store, timeout=0.2)
    assert ask("SELECT 1").scalar() == 1


async def test_the_async_twin(filled):
    assert (await aquery("SELECT count(*) FROM spans WHERE name = $1", ["n1"], path=filled)).scalar() == 1
    with pytest.raises(QueryError, match=r"longer than 0\.2 s"):
        await aquery(ENDLESS, path=filled, timeout=0.2)
    with pytest.raises(QueryError, match="Did you mean spans"):
        await aquery("FROM span", path=filled)


async def test_a_cancelled_task_ends_its_query(filled):
    before = {thread.name for thread in threading.enumerate()}
    task = asyncio.create_task(aquery(ENDLESS, path=filled))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for thread in threading.enumerate():
        if thread.name == "llmops-cancel" and thread.name not in before:
            thread.join(30)
            assert not thread.is_alive()


def test_ctrl_c_ends_a_query(filled):
    program = (
        "import sys\nfrom llmops_sdk.store import query\n"
        "query('SELECT 1', path=sys.argv[1])\n"
        "try: print('ready', flush=True); query(sys.argv[2], path=sys.argv[1])\n"
        "except KeyboardInterrupt: print('interrupted', flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(filled), ENDLESS], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "interrupted\n"
        assert process.wait(30) == 0


def test_a_file_that_vanishes_between_listing_and_reading_is_not_missed(filled, ask):
    # As a compactor does: the file goes at some moment of the query; whichever it is, the answer is right.
    for _ in range(10):
        doomed = filled / "wal" / "host-1-x-1.v1.ndjson"
        doomed.write_text('{"trace_id":"x","name":"doomed"}\n')
        thread = threading.Thread(target=doomed.unlink)
        thread.start()
        assert ask("SELECT count(*) FROM spans WHERE name LIKE 'n%'").scalar() == 3
        thread.join()


def test_a_link_among_the_segments_is_left_out(filled, ask):
    before = ask("SELECT count(*) FROM spans").scalar()
    (filled / "wal" / "host-1-x-1.v1.ndjson").symlink_to(filled / "nowhere")

    assert ask("SELECT count(*) FROM spans").scalar() == before
    assert connect(path=filled).execute("SELECT count(*) FROM spans").fetchone() == (before,)


def test_the_callers_folder_and_home_stay_clean(filled, ask):
    ask("SELECT * FROM spans ORDER BY name")
    assert not list(Path.cwd().iterdir())


def test_a_data_frame_is_joined(filled):
    import pandas as pd

    frame = pd.DataFrame({"name": ["n1", "n3", "n9"]})
    joined = "SELECT count(*) FROM frame JOIN spans USING (name)"
    with connect(path=filled, trusted=True) as connection:
        assert connection.execute(joined).fetchone() == (2,)
    with connect(path=filled) as connection:
        connection.register("frame", frame)
        assert connection.execute(joined).fetchone() == (2,)


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELECT cost FROM spans", "A column cost is in traces, sessions, llm_calls, attempts"),
        ("SELECT s.cost FROM spans s", "A column cost is in traces, sessions, llm_calls, attempts"),
        ("SELECT spans.nmae FROM spans", "Did you mean name"),
        ("FROM spans JOIN traces USING (kind)", "A column kind is in spans, llm_calls"),
        ("SELECT x.name FROM spans s", "The FROM clause has no x"),
        ("SELECT quantil(duration_ms) FROM spans", 'Did you mean "quantile"'),
        ("SELECT name FROM trace", "Did you mean traces"),
    ],
)
def test_an_error_says_where_a_name_is_to_be_found(ask, sql, told):
    with pytest.raises(QueryError) as caught:
        ask(sql)
    assert told in str(caught.value)
    assert sql in str(caught.value)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT getenv('HOME')", "FROM duckdb_secrets()", "SELECT * FROM which_secret('x', 's3')",
        "FROM read_csv_auto('/etc/passwd')", "FROM sniff_csv('/etc/passwd')", "FROM read_ndjson('/etc/passwd')",
        "FROM read_json_objects('/etc/passwd')", "FROM parquet_metadata('/etc/passwd')", "FROM '/etc/*'",
        "FROM \"/etc/passwd\"", "SELECT (SELECT content FROM read_text('/etc/passwd'))",
        "WITH f AS (FROM read_blob('/etc/passwd')) FROM f", "FROM query('SELECT * FROM read_text(''/etc/passwd'')')",
        "FROM query_table('/etc/passwd')", "FROM '{folder}/MANIFEST.json'", "FROM glob('{folder}/*')",
        "FROM read_text('{folder}/../../etc/passwd')", "FROM 's3://bucket/x.parquet'", "FROM 'https://127.0.0.1:9/x.csv'",
        "SELECT 1 /* ; */; COPY (SELECT 1) TO '{folder}/x'", "SELECT 1; -- x\nSET threads = 1", "EXECUTE p", "CALL x()",
        "CREATE MACRO f() AS 1", "CREATE TEMP TABLE t AS SELECT 1", "DETACH memory", "CHECKPOINT", "VACUUM",
        "IMPORT DATABASE '{folder}'", "RESET threads", "PRAGMA enable_profiling", "UPDATE spans SET name = 'x'",
        "DELETE FROM spans", "ALTER VIEW spans RENAME TO s", "COMMENT ON VIEW spans IS 'x'", "TRUNCATE spans",
        "EXPLAIN SET threads = 1", "WITH x AS (DELETE FROM spans RETURNING *) FROM x", "LOAD '/tmp/x.duckdb_extension'",
        "ATTACH ':memory:' AS other", "MERGE INTO spans USING spans s ON true WHEN MATCHED THEN DELETE",
    ],
)  # fmt: skip
def test_nothing_gets_out_of_the_store(filled, ask, sql):
    before = {path: path.read_bytes() for path in filled.rglob("*") if path.is_file()}
    with contextlib.suppress(QueryError):
        assert ask(sql.format(folder=filled)).rows() == []
    assert {path: path.read_bytes() for path in filled.rglob("*") if path.is_file()} == before


def test_no_connection_draws_a_progress_bar(store, sink, make_span):
    sink.write([make_span()])
    shown = "SELECT current_setting('enable_progress_bar')"

    assert query(shown, path=store).scalar() is False
    assert connect(path=store).execute(shown).fetchone() == (False,)


def test_queries_work_in_a_notebook_without_widgets(filled):
    """DuckDB's progress bar is off there, and DuckDB refuses each change of it, also to off."""
    program = f"""
import sys, types
sys.modules["IPython"] = types.ModuleType("IPython")
sys.modules["IPython"].get_ipython = lambda: types.SimpleNamespace(config={{"IPKernelApp": {{}}}})
sys.modules["ipywidgets"] = None
from llmops_sdk.store import connect, query
print(query("SELECT count(*) FROM spans", path={str(filled)!r}).scalar())
sql = "SELECT current_setting('enable_progress_bar'), count(*) FROM spans"
print(connect(path={str(filled)!r}).execute(sql).fetchall())
"""
    # With -c there is no `__main__.__file__`, as in a kernel.
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["3", "[(False, 3)]"]
