"""Rows of experiments: written at once, redacted, read, exported, compacted and erased like traces."""

from __future__ import annotations

import datetime
import threading

import pytest
from thorough_cases import thorough

import llmops_sdk as llmops
from llmops_sdk.config import current
from llmops_sdk.store import compact, export, import_file, prune, query, snapshot
from llmops_sdk.store._record_writer import (
    ExperimentItemRecord,
    ExperimentRecord,
    ExperimentScoreRecord,
    open_record_writer,
)
from llmops_sdk.store.duck._sql import duckdb

TRACE, SOURCE, JUDGE = (f"{number:032x}" for number in (1, 2, 3))
NOW = 1_795_000_000_000_000_000


def experiment(status="running", time_ns=NOW, **more):
    given = {
        "experiment_id": "e1", "name": "answers", "dataset_name": "d", "dataset_version": "v", "task_name": "t",
        "task_version": "tv", "settings": b'{"spec":"s"}', "scorers": b'{"x":{}}', "repeats": 1, "items": 2,
        "metadata": b"{}", "status": status, "reason": None, "warnings": b"[]", "start_ns": NOW, "time_ns": time_ns,
    }  # fmt: skip
    return ExperimentRecord(**{**given, **more})


def item(item_id="a", time_ns=NOW, **more):
    given = {
        "experiment_id": "e1", "item_id": item_id, "item_digest": "d", "repeat": 0, "task_key": "k" + item_id,
        "status": "ok", "error_type": None, "error": None, "input": b'"in"', "output": b'{"a":[1]}',
        "output_digest": "od", "expected": b"null", "metadata": b'{"k":1}', "trace_id": TRACE,
        "source_trace_id": SOURCE, "duration_ms": 1.5, "cost": 0.25, "input_tokens": 3, "output_tokens": 4,
        "models": ["m", "n"], "served": b'{"m":{}}', "position": 0, "reused": False, "time_ns": time_ns,
    }  # fmt: skip
    return ExperimentItemRecord(**{**given, **more})


def score(item_id="a", time_ns=NOW, **more):
    given = {
        "experiment_id": "e1", "item_id": item_id, "repeat": 0, "scorer": "x", "scorer_key": "sk" + item_id,
        "status": "ok", "value": 0.5, "label": "l", "comment": "c", "passed": True, "metadata": b'{"m":1}',
        "error_type": None, "error": None, "cost": 0.1, "trace_id": TRACE, "source_trace_id": SOURCE,
        "scorer_trace_id": JUDGE, "served": None, "reused": False, "time_ns": time_ns,
    }  # fmt: skip
    return ExperimentScoreRecord(**{**given, **more})


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "store"
    llmops.configure(store={"path": str(path), "compaction": "manual"})
    return path


def write(*rows):
    writer = open_record_writer(current())
    assert writer is not None
    writer.write(*rows)
    writer.close()
    return writer


VIEWS = {"experiments": experiment(), "experiment_items": item(), "experiment_scores": score()}


def rows(path, view):
    return query(f"SELECT * FROM {view} ORDER BY ALL", path=path).rows()


def test_rows_are_readable_as_soon_as_write_returns_and_the_latest_counts(store):
    writer = open_record_writer(current())
    writer.write(experiment(), item(status="error"), score())
    assert rows(store, "experiments")[0][-1] is None  # it has not ended
    writer.write(experiment("completed", NOW + 10**9), item(time_ns=NOW + 1000), score(value=1.0, time_ns=NOW + 1000))
    assert query("SELECT status, end_time - start_time FROM experiments", path=store).rows() == [
        ("completed", datetime.timedelta(seconds=1))
    ]
    assert query("SELECT status, output->'a', models FROM experiment_items", path=store).rows() == [
        ("ok", "[1]", ["m", "n"])
    ]
    assert query("SELECT value, passed FROM experiment_scores", path=store).rows() == [(1.0, True)]
    writer.close()


def test_rows_of_several_threads_are_all_there(store):
    writer = open_record_writer(current())
    threads = [
        threading.Thread(target=lambda n=n: [writer.write(item(f"{n}-{k}")) for k in range(50)]) for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    assert query("SELECT count(*) FROM experiment_items", path=store).scalar() == 200


@pytest.mark.parametrize(
    ("view", "form"), [("experiments", "jsonl"), ("experiment_items", "csv"), ("experiment_scores", "parquet")]
)
def test_rows_survive_compaction_export_import_and_snapshot(store, tmp_path, view, form):
    write(*VIEWS.values())
    before = rows(store, view)
    compact(path=store)
    assert rows(store, view) == before
    file = tmp_path / f"rows.{form}"
    assert export(file, what=view, path=store).rows == 1
    other = tmp_path / "other"
    assert import_file(file, path=other).others == {view: 1}
    assert rows(other, view) == before
    assert import_file(file, path=other).present == 1
    with duckdb.connect(str(snapshot(tmp_path / "all.duckdb", path=store).file)) as connection:
        assert connection.execute(f"SELECT count(*) FROM {view}").fetchone() == (1,)


def test_secrets_are_redacted_and_counted_and_such_an_output_is_not_used_again(store):
    secret = "sk-" + "proj-" + "a1B2" * 12
    write(item(output=f'"{secret}"'.encode()), item("b", input=f'"{secret}"'.encode()), score(comment=secret))
    found = query("SELECT item_id, task_key, output FROM experiment_items ORDER BY 1", path=store).rows()
    assert [(name, key) for name, key, _ in found] == [("a", None), ("b", "kb")]
    assert "[REDACTED" in found[0][2]
    assert secret not in str(rows(store, "experiment_items") + rows(store, "experiment_scores"))
    assert query("SELECT sum(count) FROM losses WHERE what = 'secret'", path=store).scalar() == 3


def test_without_content_no_content_is_written(store):
    llmops.configure(store={"path": str(store)}, capture={"content": False})
    write(item(error="quotes the prompt"), score())
    assert query(
        "SELECT task_key, input, output, expected, metadata, error, cost FROM experiment_items", path=store
    ).rows() == [(None, None, None, None, None, None, 0.25)]
    assert query("SELECT comment, metadata, value FROM experiment_scores", path=store).rows() == [(None, None, 0.5)]


def test_a_very_large_output_is_cut_and_not_used_again(store):
    write(item(output=b'"' + b"x" * 9_000_000 + b'"'))
    assert query("SELECT task_key, output->>'llmops.truncated' FROM experiment_items", path=store).rows() == [
        (None, "true")
    ]


@pytest.mark.parametrize(
    ("by", "compacted"),
    [
        ("user_id", False),
        *(thorough(*one) for one in (("session_id", True), ("trace_id", True), ("item's trace", False))),
    ],
)
def test_prune_reaches_the_rows_of_items_that_were_made_from_a_persons_traces(store, compacted, by):
    with llmops.context(user_id="ada", session_id="s"), llmops.span("chat", input="my secret wish") as span:
        source = span.trace_id
    with llmops.span("run of the item", input="my secret wish") as span:
        run = span.trace_id
    with llmops.span("judge", input="my secret wish") as span:
        judge = span.trace_id
    with llmops.span("other"):
        pass
    links = {"trace_id": run, "source_trace_id": source}
    write(
        experiment(),
        item(**links, input=b'"my secret wish"'),
        score(**links, scorer_trace_id=judge, comment="my secret wish"),
        item("b", trace_id=TRACE, source_trace_id=None),
        score("b", trace_id=TRACE, source_trace_id=None),
    )
    llmops.flush()
    llmops.shutdown()
    if compacted:
        compact(path=store)
    given = {"user_id": "ada", "session_id": "s", "trace_id": source, "item's trace": run}[by]
    name = "trace_id" if by == "item's trace" else by
    dry = prune(**{name: given}, path=store, dry_run=True)
    done = prune(**{name: given}, path=store)
    assert (dry.experiment_rows, done.experiment_rows) == (2, 2)
    assert query("SELECT item_id FROM experiment_items", path=store).rows() == [("b",)]
    assert query("SELECT item_id FROM experiment_scores", path=store).rows() == [("b",)]
    assert query("SELECT count(*) FROM experiments", path=store).scalar() == 1
    left = {"other"} if by != "item's trace" else {"other", "chat"}
    assert {name for (name,) in query("SELECT name FROM spans", path=store)} == left
    if by != "item's trace":
        assert not [file for file in store.rglob("*") if file.is_file() and b"secret wish" in file.read_bytes()]


@pytest.mark.thorough
@pytest.mark.parametrize("metadata", [b'{"user_id":"ada"}', b'{"user_id":["eve","ada"]}'])
def test_prune_reaches_items_whose_metadata_name_the_user_when_the_traces_are_gone(store, metadata):
    write(item(metadata=metadata), item("b", metadata=b'{"user_id":"bob"}', trace_id=JUDGE))
    assert prune(user_id="ada", path=store).experiment_rows == 1
    assert query("SELECT item_id FROM experiment_items", path=store).rows() == [("b",)]


def test_prune_by_age_drops_old_rows(store):
    write(experiment(), item(), score(), item("new", time_ns=NOW * 2))
    when = datetime.datetime.fromtimestamp(NOW / 1e9 + 60, datetime.UTC)
    assert prune(older_than=when, path=store).experiment_rows == 3
    assert query("SELECT item_id FROM experiment_items", path=store).rows() == [("new",)]


def test_a_store_that_is_off_has_no_writer():
    llmops.configure(store={"enabled": False})
    assert open_record_writer(current()) is None
    llmops.configure(enabled=False)
    assert open_record_writer(current()) is None
