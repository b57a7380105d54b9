"""`compact`, `prune` and `snapshot`: what they say, what they ask, and their exit statuses."""

from __future__ import annotations

import sqlite3

import pytest

import llmops_sdk as llmops
from llmops_sdk.caching import erase
from llmops_sdk.store import query


@pytest.fixture
def store(tmp_path):
    folder = tmp_path / "store"
    llmops.configure(store={"path": folder}, cache={"exact": True})
    for user in ("ada", "bob"):
        with llmops.context(user_id=user, session_id=f"s-{user}"):
            llmops.chat(f"The secret of {user}", model="offline/echo")
    llmops.shutdown()
    return folder


def users(store) -> list[str]:
    return [user for (user,) in query("SELECT DISTINCT user_id FROM spans ORDER BY ALL", path=store).rows()]


def test_compact_says_what_became_smaller(command, store):
    ran = command("compact", "--store", store)
    assert ran.status == 0
    assert "rows of" in ran.err
    assert "Parquet files" in ran.err
    again = command("compact", "--store", store)
    assert (again.status, again.err.startswith("nothing to compact")) == (0, True)
    assert users(store) == ["ada", "bob"]


def test_snapshot_writes_a_database_that_duckdb_opens(command, store, tmp_path):
    import duckdb

    file = tmp_path / "traces.duckdb"
    assert command("snapshot", file, "--store", store).status == 0
    with duckdb.connect(str(file), read_only=True) as connection:
        assert connection.execute("SELECT user_id, count(*) FROM llm_calls GROUP BY ALL ORDER BY ALL").fetchall() == [
            ("ada", 1), ("bob", 1),
        ]  # fmt: skip
        assert connection.execute("SELECT count(*) FROM traces").fetchall() == [(2,)]
    refused = command("snapshot", file, "--store", store)
    assert (refused.status, "is there already" in refused.err) == (1, True)
    assert command("snapshot", file, "--store", store, "--force").status == 0
    inside = command("snapshot", store / "x.duckdb", "--store", store)
    assert (inside.status, "lies in the store itself" in inside.err) == (1, True)


def test_prune_by_user_takes_the_cached_answers_too(command, store):
    ran = command("prune", "--user", "ada", "--yes", "--store", store)
    assert (ran.status, " deleted" in ran.err) == (0, True)
    assert "answers deleted from the response cache" in ran.err
    assert users(store) == ["bob"]
    left = b"".join(file.read_bytes() for file in store.rglob("*") if file.is_file())
    assert b"secret of ada" not in left
    assert b"secret of bob" in left  # in the spans


def test_the_cache_may_be_kept(command, store):
    ran = command("prune", "--user", "ada", "--yes", "--keep-cache", "--store", store)
    assert (ran.status, "was not cleared" in ran.err) == (0, True)
    with sqlite3.connect(store / "cache" / "exact" / "cache.db") as connection:
        assert connection.execute("SELECT count(*) FROM Cache").fetchone() == (2,)


def test_a_dry_run_changes_nothing(command, store):
    ran = command("prune", "--session", "s-ada", "--dry-run", "--store", store)
    assert (ran.status, "would be deleted" in ran.err) == (0, True)
    assert users(store) == ["ada", "bob"]


def test_by_age_and_by_size(command, store):
    assert command("prune", "--older-than", "1d", "--yes", "--store", store).status == 0
    assert users(store) == ["ada", "bob"]
    assert command("prune", "--max-bytes", "1kB", "--yes", "--store", store).status == 0
    assert users(store) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "by one of --user"),
        (["--user", "a", "--session", "b"], "by one of --user"),
        (["--max-bytes", "much"], "is not a size"),
        (["--older-than", "long"], "long"),
        (["--user", "ada"], "stdin is not a terminal"),
    ],
)
def test_a_wrong_usage_is_status_2(command, store, arguments, message):
    ran = command("prune", *arguments, "--store", store)
    assert ran.status == 2
    assert message in " ".join(ran.err.split())
    assert users(store) == ["ada", "bob"]


def test_where_there_is_no_store(command, tmp_path):
    for arguments in (["compact"], ["prune", "--user", "x", "--yes"], ["snapshot", tmp_path / "x.duckdb"]):
        ran = command(*arguments, "--store", tmp_path / "none")
        assert (ran.status, "there is no store at" in ran.err) == (1, True)
    assert not (tmp_path / "none").exists()


def test_erasing_a_cache_that_is_not_there(tmp_path):
    assert erase(tmp_path / "none") == 0
