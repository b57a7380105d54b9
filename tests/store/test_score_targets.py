"""Scores of a span, a trace, a session, or a document: from `llmops.score` to the view, to files, and out by prune."""

from __future__ import annotations

import json

import pytest
from thorough_cases import thorough

import llmops_sdk as llmops
from llmops_sdk.errors import LLMOpsError
from llmops_sdk.store import StoreSink, compact, export, import_file, prune, query
from llmops_sdk.store.duck._sql import duckdb
from llmops_sdk.store.files._manifest import read_manifest
from llmops_sdk.tracing.records._records import ScoreRecord, Stamp

TRACE, SPAN = "ab" * 16, "cd" * 8
START = 1_795_000_000_000_000_000
SQL = "SELECT target, trace_id, span_id, session_id, document_id, value FROM scores ORDER BY ALL"


def scored(store):
    assert llmops.flush().pending == 0
    return query(SQL, path=store).rows()


@pytest.fixture(autouse=True)
def configured(store):
    llmops.configure(store={"path": store})


@pytest.mark.parametrize(
    ("target", "row"),
    [
        ({"span_id": SPAN, "trace_id": TRACE}, ("span", TRACE, SPAN, None, None, 0.5)),
        ({"span_id": SPAN}, ("span", None, SPAN, None, None, 0.5)),
        ({"trace_id": TRACE}, ("trace", TRACE, None, None, None, 0.5)),
        ({"session_id": "s-1"}, ("session", None, None, "s-1", None, 0.5)),
        ({"span_id": SPAN, "document_id": "d-1"}, ("document", None, SPAN, None, "d-1", 0.5)),
        ({"trace_id": TRACE, "document_id": "d-1"}, ("document", TRACE, None, None, "d-1", 0.5)),
    ],
)
def test_score_is_stored_with_its_target(store, target, row):
    llmops.score("good", 0.5, **target)
    assert scored(store) == [row]


def test_document_score_is_about_the_current_span(store):
    with llmops.span("retrieve", kind="retriever") as span:
        llmops.score("relevant", 1.0, document_id="d-1")
        llmops.score("good", 2.0, session_id="s-1")
    assert scored(store) == [
        ("document", span.trace_id, span.span_id, None, "d-1", 1.0),
        ("session", None, None, "s-1", None, 2.0),
    ]


@pytest.mark.parametrize("other", [{"span_id": SPAN}, {"trace_id": TRACE}, {"document_id": "d-1"}])
def test_session_with_another_target_raises_type_error(other):
    with pytest.raises(TypeError, match="several targets: give session_id= alone"):
        llmops.score("good", 1, session_id="s-1", **other)


@pytest.mark.parametrize("empty", [{"session_id": ""}, {"span_id": SPAN, "document_id": ""}])
def test_empty_target_raises_value_error(empty):
    with pytest.raises(ValueError, match="empty session_id= or document_id="):
        llmops.score("good", 1, **empty)


def test_document_score_without_a_span_raises():
    with pytest.raises(LLMOpsError, match="span_id= or trace_id="):
        llmops.score("good", 1, document_id="d-1")


def test_latest_score_wins_for_each_target(store):
    for value in (1, 2):
        for target in ({"span_id": SPAN}, {"span_id": SPAN, "document_id": "a"}, {"span_id": SPAN, "document_id": "b"},
                       {"session_id": SPAN}):  # fmt: skip
            llmops.score("good", value, **target)
    assert [(row[0], row[4], row[5]) for row in scored(store)] == [
        ("document", "a", 2), ("document", "b", 2), ("session", None, 2), ("span", None, 2),
    ]  # fmt: skip


def test_session_and_document_are_redacted_as_in_spans(store):
    llmops.configure(store={"path": store}, redaction={"patterns": {"tenant": "acme-[0-9]+"}})
    llmops.score("good", 1, session_id="acme-17")
    llmops.score("good", 2, span_id=SPAN, document_id="acme-18")
    assert "acme" not in str(scored(store))


def record(value, **target):
    given = {"trace_id": None, "span_id": None, **target}
    return ScoreRecord(**given, name="good", value=value, label=None, comment=None, source="me", time_ns=START)


ALL = [
    record(1.0, trace_id=TRACE), record(2.0, span_id=SPAN), record(3.0, session_id="s-1"),
    record(4.0, trace_id=TRACE, span_id=SPAN, document_id="d-1"),
]  # fmt: skip


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_targets_come_back_from_exported_files(store, tmp_path, form):
    sink = StoreSink(store, compaction="manual")
    sink.write(ALL)
    sink.close(1.0)
    file = tmp_path / f"scores.{form}"
    assert export(file, what="scores", path=store).rows == 4
    other = tmp_path / "other"
    assert import_file(file, path=other).scores == 4
    assert query(SQL, path=other).rows() == query(SQL, path=store).rows()
    assert import_file(file, path=other).present == 4


def test_scores_of_an_older_schema_are_read_beside_newer_ones(store):
    StoreSink(store).close(1.0)
    old = {"trace_id": TRACE, "span_id": None, "name": "good", "value": 1.0, "source": "me", "time_ns": START}
    (store / "scores" / "host-1-x-1.v1.ndjson").write_text(json.dumps(old) + '\n{"seal":1}\n')
    compact(path=store)
    file = store / read_manifest(store).files[0].name
    # As the older version wrote it: without the newer columns.
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE rows AS SELECT * EXCLUDE (session_id, document_id) FROM '{file}'")
        connection.execute(f"COPY rows TO '{file}' (FORMAT parquet)")
    manifest = json.loads((store / "MANIFEST.json").read_text())
    manifest["files"][0] |= {"version": 1, "bytes": file.stat().st_size}
    (store / "MANIFEST.json").write_text(json.dumps(manifest))
    sink = StoreSink(store, compaction="manual")
    sink.write([record(3.0, session_id="s-1")])
    sink.close(1.0)
    rows = [("session", None, None, "s-1", None, 3.0), ("trace", TRACE, None, None, None, 1.0)]
    assert query(SQL, path=store).rows() == rows
    compact(path=store)
    assert query(SQL, path=store).rows() == rows
    assert prune(session_id="s-1", path=store).scores == 1
    assert query(SQL, path=store).rows() == rows[1:]


@pytest.mark.parametrize("compacted", [False, True], ids=["lines", "Parquet"])
@pytest.mark.parametrize(
    ("what", "left"),
    [
        # Session s-2 has a trace of another user too.
        ({"user_id": "ada"}, ["s-2", "s-3"]),
        ({"session_id": "s-1"}, ["d-2", "s-2", "s-3"]),
        thorough({"session_id": "s-3"}, ["d-1", "d-2", "s-1", "s-2"]),
        thorough({"trace_id": f"{1:032x}"}, ["d-2", "s-2", "s-3"]),
        thorough({"trace_id": f"{2:032x}"}, ["d-1", "s-1", "s-2", "s-3"]),
    ],
)
def test_prune_removes_scores_of_sessions_and_documents(store, make_span, compacted, what, left):
    ada, bob = ([Stamp(user_id=user, session_id=session) for session in ("s-1", "s-2")] for user in ("ada", "bob"))
    sink = StoreSink(store, compaction="manual")
    sink.write(
        [
            make_span(trace_id=1, span_id=1, stamp=ada[0]), make_span(trace_id=2, span_id=2, stamp=ada[1]),
            make_span(trace_id=3, span_id=3, stamp=bob[1]),
            record(1.0, trace_id=f"{1:032x}", span_id=f"{1:016x}", document_id="d-1"),
            record(1.0, span_id=f"{2:016x}", document_id="d-2"),
            *(record(1.0, session_id=f"s-{number}") for number in (1, 2, 3)),
        ]
    )  # fmt: skip
    sink.close(1.0)
    if compacted:
        compact(path=store)
    done = prune(path=store, **what)
    assert query("SELECT coalesce(document_id, session_id) FROM scores ORDER BY 1", path=store).rows() == [
        (one,) for one in left
    ]
    assert done.scores == 5 - len(left)
