"""Data sets of stored traces, the views over data sets, and the erasure of a user's items."""

from __future__ import annotations

import datetime
import signal
import subprocess
import sys

import duckdb
import pytest

import llmops_sdk as llmops
from llmops_sdk import DatasetError, QueryError
from llmops_sdk.datasets import Dataset, versions
from llmops_sdk.store import prune, snapshot
from llmops_sdk.store.maintenance._compact import compact_store

SQL = "SELECT trace_id, input, output AS expected FROM spans WHERE name = 'answer' ORDER BY start_time"


def record(text: str, *, user: str | None = None, session: str | None = None) -> str:
    with llmops.context(user_id=user, session_id=session), llmops.span("answer", input={"q": text}) as span:
        span.output = f"about {text}"
        return span.trace_id


@pytest.fixture
def traces(store):
    ids = [record("a", user="ada", session="s1"), record("b", user="bob", session="s1"), record("c")]
    llmops.flush()
    return ids


def test_items_know_their_trace_session_and_user(traces):
    dataset = Dataset.from_query(SQL, name="calls")
    assert [(one.input, one.expected, dict(one.metadata), one.source_trace_id) for one in dataset] == [
        ({"q": "a"}, "about a", {"session_id": "s1", "user_id": "ada"}, traces[0]),
        ({"q": "b"}, "about b", {"session_id": "s1", "user_id": "bob"}, traces[1]),
        ({"q": "c"}, "about c", {}, traces[2]),
    ]
    assert (dataset.source, dataset.detail) == ("query", SQL)
    by_span = Dataset.from_query(
        "SELECT span_id, input->>'$.q' AS question, start_time FROM spans WHERE user_id = $user", {"user": "ada"},
        input="question",
    )  # fmt: skip
    [item] = by_span
    assert (item.input, item.expected, item.source_trace_id) == ("a", None, traces[0])
    assert item.metadata["user_id"] == "ada"
    assert datetime.datetime.fromisoformat(item.metadata["start_time"])
    [hidden] = Dataset.from_query("SELECT trace_id, input, md5(user_id) AS user_id FROM spans WHERE user_id = 'ada'")
    assert hidden.metadata["user_id"] != "ada"


def test_a_trace_of_two_users_belongs_to_both(store):
    with llmops.span("outer", input="q") as outer:
        for user in ("ada", "bob"):
            with llmops.context(user_id=user), llmops.span("inner", input="x"):
                pass
    llmops.flush()
    dataset = Dataset.from_query("SELECT trace_id, input FROM spans WHERE name = 'outer'").save("both")
    assert dataset.items[0].metadata["user_id"] == ["ada", "bob"]
    assert prune(user_id="bob").items == 1
    assert (Dataset.load("both").erased, outer.trace_id) == (1, dataset.items[0].source_trace_id)


@pytest.mark.parametrize(
    ("sql", "options", "words"),
    [
        ("SELECT output FROM spans", {}, "no column 'input'"),
        ("SELECT input AS inputs FROM spans", {}, "did you mean 'inputs'"),
        ("SELECT input FROM spans", {"expected": "answer"}, "no column 'answer'"),
        ("SELECT input FROM spans", {"id": "key"}, "no column 'key'"),
        ("SELECT NULL AS input FROM spans", {}, "row 1: input is NULL"),
        ("SELECT 'x'::BLOB AS input FROM spans", {}, "row 1: input: a value of type bytes"),
    ],
)
def test_queries_without_usable_rows_are_refused(traces, sql, options, words):
    with pytest.raises(DatasetError, match=words):
        Dataset.from_query(sql, **options)


def test_queries_are_confined(traces):
    for sql in ("DROP VIEW spans", "SELECT content AS input FROM read_text('/etc/passwd')", "SELECT 1; SELECT 2"):
        with pytest.raises(QueryError):
            Dataset.from_query(sql)


def test_views_show_every_version(store, numbers, tmp_path):
    assert llmops.query("SELECT count(*) FROM datasets").scalar() == 0
    assert llmops.query("SELECT count(*) FROM dataset_items").scalar() == 0
    first = Dataset.from_rows(
        [{"input": {"q": "é"}, "expected": "x", "user_id": "u", "session_id": "s", "trace_id": "t"}], name="a-b.c"
    ).save()
    second, other = numbers(2).save("a-b.c"), numbers(3).save("other")
    rows = llmops.query("SELECT name, version, items, erased, latest, source FROM datasets ORDER BY time").rows()
    assert rows == [
        ("a-b.c", first.version, 1, 0, False, "rows"), ("a-b.c", second.version, 2, 0, True, "rows"),
        ("other", other.version, 3, 0, True, "rows"),
    ]  # fmt: skip
    [row] = llmops.query("FROM dataset_items WHERE NOT latest").dicts()
    assert row == {
        "dataset": "a-b.c", "version": first.version, "latest": False, "item_id": first.items[0].id,
        "input": '{"q":"é"}', "expected": '"x"', "metadata": '{"session_id":"s","user_id":"u"}',
        "source_trace_id": "t", "session_id": "s", "user_id": "u",
    }  # fmt: skip
    # A connection that is open already, and copies of the store.
    with llmops.connect() as connection:
        assert connection.execute("SELECT count(*) FROM dataset_items").fetchall() == [(6,)]
        with pytest.raises(duckdb.Error):
            connection.execute(f"SELECT * FROM read_text('{tmp_path}/store/compact.lock')").fetchall()
    file = snapshot(tmp_path / "s.duckdb").file
    compact_store(store)
    for database in (file, store / "traces.duckdb"):
        with duckdb.connect(str(database), read_only=True) as connection:
            assert connection.execute("SELECT count(*) FROM dataset_items WHERE latest").fetchall() == [(5,)]
    numbers(4).save("other")
    with duckdb.connect(str(store / "traces.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT max(items) FROM datasets").fetchall() == [(4,)]
    assert llmops.query("SELECT count(*) FROM dataset_items WHERE dataset = 'other' AND latest").scalar() == 4
    assert llmops.query("SELECT count(*) FROM dataset_items", isolated=True, timeout=60).scalar() == 10


def test_awkward_items_are_rows(store):
    Dataset.from_rows([
        {"input": "\u0000\u202e", "expected": 2**64 - 1}, {"input": "x" * 8_000_000},
        {"input": [[[[1e300]]]], "id": "'; --"},
    ]).save("odd")  # fmt: skip
    rows = llmops.query("SELECT length(input::VARCHAR), expected FROM dataset_items ORDER BY item_id").rows()
    assert sorted(length for length, _ in rows) == [9, 13, 8_000_002]
    assert {expected for _, expected in rows} == {None, str(2**64 - 1)}


@pytest.mark.redteam
def test_prune_reaches_items_by_trace_session_and_user(traces, store):
    dataset = Dataset.from_query(SQL + " -- not ada").save("calls")
    more = dataset.add([
        {"input": "canary-ada", "user_id": "ada"}, {"input": "of s1", "session_id": "s1"}, {"input": "7", "user_id": 7},
        {"input": "about ada only"},
    ]).save("calls")  # fmt: skip
    assert prune(user_id="ada", dry_run=True).items == 3
    assert prune(user_id="ada").items == 3
    assert llmops.query("SELECT items, erased FROM datasets ORDER BY time").rows() == [(2, 1), (5, 2)]
    loaded = Dataset.load("calls")
    assert (loaded.version, loaded.erased, len(loaded)) == (more.version, 2, 5)
    left = b"".join(file.read_bytes() for file in (store / "datasets").rglob("*.json*"))
    assert b"canary-ada" not in left
    assert b"-- not ada" not in left
    assert prune(user_id="7").items == 1
    assert prune(session_id="s1").items == 3
    assert prune(trace_id=traces[2]).items == 2
    assert [item.input for item in Dataset.load("calls")] == ["about ada only"]
    assert prune(user_id="nobody").items == 0


def test_erased_items_do_not_come_back(traces, store):
    whole = Dataset.from_query(SQL).save("calls")
    prune(user_id="ada")
    with pytest.raises(DatasetError, match=r"1 items of calls version .* were erased by prune"):
        whole.save()
    left = Dataset.load("calls")
    assert (left.erased, left == whole, left.version == whole.version) == (1, False, True)
    left.save()
    copy = left.save("copy")
    assert (Dataset.load("copy").erased, Dataset.load("copy").version) == (1, copy.version)
    again = left.add([{"input": "new"}])
    assert (again.erased, again.version != left.version) == (0, True)
    assert Dataset.load("calls", again.save("calls").version) == again
    assert [one.erased for one in versions("calls")] == [1, 0]


def test_prune_by_age_and_size_leaves_data_sets(traces, store):
    Dataset.from_query(SQL).save("calls")
    compact_store(store)
    prune(older_than=datetime.timedelta(0))
    prune(max_bytes=0)
    assert llmops.query("SELECT count(*) FROM spans").scalar() == 0
    assert len(Dataset.load("calls")) == 3
    # The traces are gone, and the user's items can still be found.
    assert prune(user_id="ada").items == 1


@pytest.mark.thorough
def test_a_killed_prune_is_finished_by_the_next(traces, store):
    Dataset.from_query(SQL).save("calls")
    program = """
import os, signal, sys
from llmops_sdk.store.datasets import _erase
_erase.describe = lambda _: os.kill(os.getpid(), signal.SIGKILL)
from llmops_sdk.store import prune
prune(user_id="ada", path=sys.argv[1])
"""
    done = subprocess.run([sys.executable, "-c", program, str(store)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (store / "PRUNE.json").exists()
    prune(user_id="somebody else")
    assert (len(Dataset.load("calls")), Dataset.load("calls").erased) == (2, 1)
    assert llmops.query("SELECT items, erased FROM datasets").rows() == [(2, 1)]
    assert b'"ada"' not in b"".join(file.read_bytes() for file in (store / "datasets").rglob("*.json*"))


def test_a_description_without_its_items_is_no_version(store, numbers):
    numbers(2).save("faq")
    versions("faq")[0].path.unlink()
    assert versions() == []
    assert llmops.query("SELECT count(*) FROM dataset_items").scalar() == 0
    prune(user_id="nobody")
    assert numbers(2).save("faq") == Dataset.load("faq")
