"""`prune`: after it no file of the store has a byte of what was to go, and everything else is where it was."""

from __future__ import annotations

import datetime
import os
from pathlib import Path

import pytest
from thorough_cases import thorough

from llmops_sdk._util._private_files import create_file
from llmops_sdk.errors import StoreError
from llmops_sdk.store import StoreSink, connect, prune, query
from llmops_sdk.store.files._locks import exclusive_lock
from llmops_sdk.store.files._manifest import read_manifest
from llmops_sdk.store.maintenance._compact import compact_store
from llmops_sdk.store.maintenance._prune_selection import PruneSelection, write_journal
from llmops_sdk.tracing.records._records import ScoreRecord, Stamp

ADA, BOB = "ada@example.org", "bob@example.org"
START = 1_795_000_000_000_000_000
DAY_NS = 86_400_000_000_000
BLOB = "a" * 64 + ".png"
SHARED = "b" * 64 + ".png"


def said(user: str) -> bytes:
    return f'"what {user.partition("@")[0]} said: xyzzy-{user[0]}"'.encode()


def spans_of(make_span, user: str, first: int, days: int = 0):
    """A trace of three spans of which only one bears the user."""
    trace = first
    common = {"trace_id": trace, "start_ns": START + days * DAY_NS}
    return [
        make_span(**common, span_id=first, input=said(user)),
        make_span(**common, span_id=first + 1, parent_id=first, stamp=Stamp(user_id=user, session_id=f"s-{user}")),
        make_span(**common, span_id=first + 2, parent_id=first, output=said(user)),
    ]


def score(trace: int | None, span: int | None, comment: str) -> ScoreRecord:
    return ScoreRecord(
        trace_id=None if trace is None else f"{trace:032x}",
        span_id=None if span is None else f"{span:016x}",
        name="good", value=1.0, label=None, comment=comment, source="me", time_ns=START,
    )  # fmt: skip


def bytes_of(store: Path) -> bytes:
    """All bytes of the store, those of Parquet's columns unpacked."""
    import duckdb

    plain = b"".join(file.read_bytes() for file in sorted(store.rglob("*")) if file.is_file())
    for file in sorted(store.rglob("*.parquet")):
        with duckdb.connect() as connection:
            plain += repr(connection.execute(f"FROM '{file}'").fetchall()).encode()
    return plain


def ids(store: Path) -> list[int]:
    return [int(span, 16) for (span,) in query("SELECT span_id FROM spans ORDER BY ALL", path=store).rows()]


@pytest.fixture
def filled(store, make_span):
    """Both users' data in a Parquet file, in a segment within its grace, in a sealed, a live and an outbox's one."""
    live = None
    for first in (100, 200, 300):
        sink = StoreSink(store, compaction="manual")
        sink.write([
            *spans_of(make_span, ADA, first), *spans_of(make_span, BOB, first + 10),
            score(first, None, said(ADA).decode()), score(None, first + 2, said(ADA).decode()),
            score(first + 10, None, said(BOB).decode()),
        ])  # fmt: skip
        if first == 100:
            sink.close(1.0)
            compact_store(store)  # the segment stays for its grace
        elif first == 200:
            sink.close(1.0)
        else:
            live = sink
    outbox = store / "outbox" / "default"
    outbox.mkdir(parents=True)
    for segment in (store / "wal").glob("*.v*.ndjson"):
        os.link(segment, outbox / segment.name)
    assert live is not None
    yield live
    live.close(1.0)


BOBS_SQL = "FROM spans WHERE input LIKE '%xyzzy-b%' OR output LIKE '%xyzzy-b%' ORDER BY ALL"
BOBS = [first + number for first in (110, 210, 310) for number in range(3)]


@pytest.mark.parametrize("by", [{"user_id": ADA}, thorough({"session_id": f"s-{ADA}"})])
def test_a_users_data_is_gone_from_every_byte(store, filled, by):
    assert bytes_of(store).count(b"xyzzy-a") > 9
    bobs = query(BOBS_SQL, path=store).rows()
    sizes = {file: file.stat().st_size for file in store.rglob("*.ndjson")}
    done = prune(**by, path=store)
    assert (done.traces, done.spans, done.scores, done.left) == (3, 9, 6, 0)
    after = bytes_of(store)
    assert b"xyzzy-a" not in after
    assert ADA.encode() not in after
    assert ids(store) == BOBS
    assert query(BOBS_SQL, path=store).rows() == bobs
    assert query("SELECT count(*) FROM scores", path=store).scalar() == 3
    assert query("SELECT what, reason, count FROM losses", path=store).rows() == [("span", "pruned", 9)]
    # Nothing moved: who writes or sends goes on where it was.
    assert {file: file.stat().st_size for file in sizes} == sizes


@pytest.mark.thorough
def test_its_writer_goes_on_and_compaction_counts_nothing_as_torn(store, filled, make_span):
    prune(user_id=ADA, path=store)
    filled.write([make_span(span_id=999)])
    filled.close(1.0)
    compact_store(store, grace=0.0)
    compact_store(store, grace=0.0)
    assert not list((store / "wal").glob("*.v*.ndjson"))
    assert ids(store) == [*BOBS, 999]
    assert query("SELECT what, reason, count FROM losses", path=store).rows() == [("span", "pruned", 9)]


def test_by_trace_and_a_second_time(store, filled):
    done = prune(trace_id=f"{100:032x}", path=store)
    assert (done.traces, done.spans) == (1, 3)
    assert len(ids(store)) == 15
    assert prune(trace_id=f"{100:032x}", path=store).spans == 0


def test_a_dry_run_only_counts(store, filled):
    before = bytes_of(store)
    done = prune(user_id=ADA, dry_run=True, path=store)
    assert (done.traces, done.spans, done.scores) == (3, 9, 6)
    assert bytes_of(store) == before


def test_by_age_every_row_that_is_older(store, make_span):
    for days in range(4):
        sink = StoreSink(store, compaction="manual")
        sink.write(spans_of(make_span, ADA, 10 * days + 1, days))
        sink.close(1.0)
        if days == 2:
            compact_store(store, grace=0.0)
    cutoff = datetime.datetime.fromtimestamp(START / 1e9, datetime.UTC) + datetime.timedelta(days=1.5)
    done = prune(older_than=cutoff, path=store)
    assert (done.spans, done.left) == (6, 0)
    assert ids(store) == [21, 22, 23, 31, 32, 33]
    assert prune(older_than=datetime.timedelta(0), path=store).spans == 6
    assert ids(store) == []
    manifest = read_manifest(store)
    assert manifest is not None
    assert manifest.files == ()


def test_to_a_size_the_oldest_files_go(store, make_span):
    for first in (10, 20):
        sink = StoreSink(store, retention_days=None, compaction="manual")
        sink.write(spans_of(make_span, ADA, first))
        sink.close(1.0)
        newest = max((store / "wal").iterdir(), key=lambda file: file.stat().st_mtime)
        os.utime(newest, (first, first))
    size = max(file.stat().st_size for file in (store / "wal").iterdir())
    assert prune(max_bytes=size, path=store).spans == 3
    assert len(ids(store)) == 3
    assert query("SELECT what, reason, count FROM losses", path=store).rows() == [("segment", "max_bytes", 3)]


def test_an_image_goes_unless_another_span_has_it_too(store, make_span):
    sink = StoreSink(store, compaction="manual")
    (store / "blobs").mkdir()
    for name in (BLOB, SHARED):
        create_file(store / "blobs" / name, name.encode())
    only, both = (f'{{"path":"blobs/{name}"}}'.encode() for name in (BLOB, SHARED))
    sink.write([
        make_span(trace_id=1, span_id=1, input=only, stamp=Stamp(user_id=ADA)),
        make_span(trace_id=1, span_id=2, input=both),
        make_span(trace_id=2, span_id=3, input=both, stamp=Stamp(user_id=BOB)),
    ])  # fmt: skip
    sink.close(1.0)
    assert prune(user_id=ADA, path=store).blobs == 1
    assert [file.name for file in (store / "blobs").iterdir()] == [SHARED]


def test_a_torn_line_of_theirs_goes_too(store, make_span):
    sink = StoreSink(store, compaction="manual")
    sink.write(spans_of(make_span, ADA, 1))
    sink.after_fork()
    (file,) = (store / "wal").iterdir()
    file.write_bytes(file.read_bytes()[:-9])
    prune(user_id=ADA, path=store)
    assert b"xyzzy-a" not in bytes_of(store)
    assert ADA.encode() not in bytes_of(store)


def test_what_a_killed_pruning_left_is_finished_by_the_next_to_come(store, filled):
    # As one that was killed after it had removed the spans that bear the user.
    traces = frozenset(f"{first:032x}" for first in (100, 200, 300))
    write_journal(
        store, PruneSelection(traces=traces, spans=frozenset({f"{first + 2:016x}" for first in (100, 200, 300)}))
    )
    compact_store(store)
    assert ids(store) == BOBS
    assert b"xyzzy-a" not in bytes_of(store)
    assert not (store / "PRUNE.json").exists()


@pytest.mark.thorough
def test_a_kill_at_any_moment_loses_nobody_elses_and_leaves_nothing_for_the_next(store, make_span, killed_after):
    program = (
        "import sys; from llmops_sdk.store import prune\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        f"prune(user_id={ADA!r}, path=sys.argv[1]); print('done', flush=True)"
    )
    for number in range(12):
        sink = StoreSink(store, compaction="manual")
        for first in range(1, 40):
            base = 10_000 * number + 10 * first
            sink.write(spans_of(make_span, ADA if first % 2 else BOB, base))
        sink.close(1.0)
        if number % 2:
            compact_store(store, grace=0.0)
        killed_after(program, str(store), seconds=0.02 * number)
    prune(user_id=ADA, path=store)
    assert len(ids(store)) == 12 * 19 * 3
    assert b"xyzzy-a" not in bytes_of(store)


def test_an_open_connection_says_that_it_must_be_made_anew(store, filled):
    with connect(path=store) as connection:
        prune(user_id=ADA, path=store)
        import duckdb

        with pytest.raises(duckdb.Error, match=r"L0-\d+-\w+\.parquet"):
            connection.execute("FROM spans").fetchall()
    assert ids(store) == BOBS


@pytest.mark.parametrize("given", [{}, {"user_id": "a", "session_id": "b"}, {"user_id": "a", "max_bytes": 1}])
def test_what_is_meant_has_to_be_said_once(store, given):
    with pytest.raises(ValueError, match="exactly one of user_id, session_id, trace_id, older_than and max_bytes"):
        prune(**given, path=store)


def test_while_another_changes_the_store_it_waits_and_says_so(store, filled, monkeypatch):
    monkeypatch.setattr("llmops_sdk.store.maintenance._prune._WAIT", 0.05)
    with exclusive_lock(store), pytest.raises(StoreError, match="being changed by another process"):
        prune(user_id=ADA, path=store)


def test_where_there_is_no_store_there_is_nothing_to_prune(store):
    assert prune(user_id=ADA, path=store).spans == 0
    assert not store.exists()
