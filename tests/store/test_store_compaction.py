"""Compaction: what it makes of segments, what it leaves alone, and what a lost manifest costs. Real files and locks."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from llmops_sdk.errors import StoreError
from llmops_sdk.store import StoreSink, connect, query
from llmops_sdk.store._record_writer import (
    AlertRecord,
    CanaryRunRecord,
    DriftCheckRecord,
    ExperimentItemRecord,
    ExperimentRecord,
    ExperimentScoreRecord,
)
from llmops_sdk.store.files._layout import create_store, list_segments
from llmops_sdk.store.files._locks import exclusive_lock
from llmops_sdk.store.files._manifest import Manifest, read_manifest
from llmops_sdk.store.maintenance._compact import compact_store
from llmops_sdk.store.maintenance._retention import Dropped, drop_old
from llmops_sdk.store.maintenance._thinning import ThinningPolicy
from llmops_sdk.store.schema._views import VIEWS
from llmops_sdk.tracing.records._records import LossRecord, ScoreRecord, Stamp

AT_ONCE = {"grace": 0.0}


def write(store: Path, make_span, numbers, **fields) -> None:
    sink = StoreSink(store, compaction="manual")
    sink.write([make_span(span_id=number, **fields) for number in numbers])
    sink.close(1.0)


def manifest_of(store: Path) -> Manifest:
    manifest = read_manifest(store)
    assert manifest is not None
    return manifest


def parquet_of(store: Path, folder: str = "spans") -> list[str]:
    return sorted(file.name for file in (store / folder).glob("*.parquet"))


def ids(store: Path) -> list[str]:
    return [name for (name,) in query("SELECT span_id FROM spans ORDER BY ALL", path=store).rows()]


def blank(record_type, **values):
    """Return a record whose other columns are empty."""
    return record_type(**{**dict.fromkeys(field.name for field in dataclasses.fields(record_type)), **values})


@pytest.fixture
def everything(make_span):
    """Something for each view of traces, experiments and monitoring."""
    events = [
        ("llmops.attempt", 5_000, {"attempt": 1, "provider": "p", "status": "error", "status_code": 503, "cost": 0.5}),
        ("llmops.attempt", 6_000, {"attempt": 2, "provider": "p", "status": "ok", "retry_after": 1.5}),
        ("llmops.cache.lookup", 7_000, {"tier": "exact", "hit": False, "decision": "miss"}),
        ("llmops.guard.verdict", 8_000, {"guard": "cards", "rail": "input", "action": "redact", "duration_ms": 0.5}),
        ("llmops.traffic", 9_000, {"policy": "limit", "decision": "waited", "wait_ms": 2.5, "limit": 8.0}),
        ("llmops.route", 4_000, {"router": "auto", "model": "m", "reason": "rule", "propensity": 1.0}),
    ]
    messages = {
        "gen_ai.input.messages": b'[{"role":"user","parts":[{"type":"text","content":"\\u00fc \\"x\\""}]}]',
        "gen_ai.output.messages": b'[{"role":"assistant","parts":[{"type":"tool_call","id":"1","name":"f"}]}]',
        "gen_ai.usage.input_tokens": 7, "gen_ai.usage.cost": 0.25, "gen_ai.response.model": "m", "app.list": [1, 2],
    }  # fmt: skip
    return [
        make_span(
            span_id=1,
            stamp=Stamp(session_id="s1"),
            input=b'{"a": [1, {"b": null}]}',
            output=b'"text"',
            attributes={"app.x": 2**60},
        ),
        make_span(span_id=2, parent_id=1, kind="llm", attributes=messages, events=events, links=[(5, 6, {"l": True})]),
        make_span(span_id=3, trace_id=2**100, status="error", error_type="E", status_message="so \n it is"),
        ScoreRecord(
            trace_id="1" * 32, span_id=None, name="good", value=1.0, label="l", comment="c", source="me", time_ns=1
        ),
        LossRecord(time_ns=5, what="input", reason="too_large", count=3, bytes=9),
        blank(ExperimentRecord, experiment_id="e", name="n", status="completed", time_ns=1),
        blank(ExperimentItemRecord, experiment_id="e", item_id="i", output=b'{"a":1}', models=["m"], time_ns=1),
        blank(ExperimentScoreRecord, experiment_id="e", item_id="i", scorer="s", value=0.5, passed=True, time_ns=1),
        blank(AlertRecord, alert_id="a", rule="r", state="firing", value=2.0, example_trace_ids=["1" * 32], time_ns=1),
        blank(DriftCheckRecord, check_id="c", signal="length", effect=0.5, example_trace_ids=[], time_ns=1),
        blank(CanaryRunRecord, run_id="r", canary="c", item_id="i", answer="yes", time_ns=1),
    ]


def test_every_view_gives_the_same_rows_from_parquet_as_from_lines(store, everything):
    sink = StoreSink(store, compaction="manual")
    sink.write(everything)
    sink.close(1.0)
    before = {view.name: query(f"FROM {view.name} ORDER BY ALL", path=store).rows() for view in VIEWS}
    types = {view.name: query(f"DESCRIBE {view.name}", path=store).rows() for view in VIEWS}
    done = compact_store(store, **AT_ONCE)
    assert (done.segments, done.skipped, done.busy) == (9, 0, False)
    assert done.rows == len(everything)
    compact_store(store, **AT_ONCE)
    assert list_segments(store) == []
    assert {view.name: query(f"FROM {view.name} ORDER BY ALL", path=store).rows() for view in VIEWS} == before
    assert {view.name: query(f"DESCRIBE {view.name}", path=store).rows() for view in VIEWS} == types
    assert all(before[view.name] for view in VIEWS if view.exported)


def test_a_live_segment_is_left_to_its_writer(store, make_span):
    write(store, make_span, [1, 2])
    sink = StoreSink(store, compaction="manual")
    sink.write([make_span(span_id=3)])
    assert compact_store(store, **AT_ONCE).segments == 1
    sink.write([make_span(span_id=4)])
    assert ids(store) == [f"{number:016x}" for number in (1, 2, 3, 4)]
    sink.close(1.0)
    assert compact_store(store, **AT_ONCE).segments == 1
    assert ids(store) == [f"{number:016x}" for number in (1, 2, 3, 4)]


def test_a_sealed_segment_whose_lock_a_forked_child_keeps_is_compacted(store, make_span):
    sink = StoreSink(store, compaction="manual")
    sink.write([make_span()])
    kept = os.dup(sink._writers["spans"]._descriptor)  # as a child that the application forked
    try:
        assert compact_store(store, **AT_ONCE).segments == 0
        sink.close(1.0)
        assert compact_store(store, **AT_ONCE).segments == 1
    finally:
        os.close(kept)
    assert query("SELECT count(*) FROM spans", path=store).scalar() == 1


def test_an_empty_segment_goes_and_its_writer_takes_another_name(store, make_span):
    create_store(store)
    empty = store / "wal" / "host-1-x-1.v1.ndjson"
    empty.touch()
    assert compact_store(store, **AT_ONCE).segments == 0
    assert not empty.exists()


@pytest.mark.parametrize(
    ("damage", "lost"),
    [
        (lambda data: data[:-30], 1),
        (lambda data: data + b"\0" * 5_000, 1),
        (lambda data: data + b"not JSON\n" + b'{"other": 1}\n', 2),
        (lambda data: data.replace(b'"name":"work"', b'"name":"w\xff\xfe"', 1), 1),
    ],
    ids=["torn", "zeros", "foreign lines", "not Unicode"],
)
def test_what_cannot_be_read_is_counted_for_good(store, make_span, damage, lost):
    sink = StoreSink(store, compaction="manual")
    sink.write([make_span(span_id=number) for number in (1, 2, 3)])
    sink.after_fork()
    (segment,) = list_segments(store)
    segment.path.write_bytes(damage(segment.path.read_bytes()))
    seen = query("SELECT what, reason, count FROM losses", path=store).rows(), ids(store)
    assert seen[0] == [("line", "unreadable", lost)]
    compact_store(store, **AT_ONCE)
    compact_store(store, **AT_ONCE)
    assert list_segments(store) == []
    assert (query("SELECT what, reason, count FROM losses", path=store).rows(), ids(store)) == seen


@pytest.mark.thorough
def test_small_files_become_larger_ones(store, make_span):
    for number in range(1, 18):
        write(store, make_span, [number])
        done = compact_store(store, **AT_ONCE)
        assert len(ids(store)) == number
    assert done.merged == 0
    files = manifest_of(store).files
    assert sorted((file.level, file.rows) for file in files) == [(0, 1), (1, 8), (1, 8)]
    compact_store(store, **AT_ONCE)
    assert sorted(f"spans/{name}" for name in parquet_of(store)) == sorted(file.name for file in files)


def test_scores_and_losses_are_compacted_too(store, make_span):
    sink = StoreSink(store, compaction="manual")
    score = ScoreRecord(
        trace_id="1" * 32, span_id=None, name="good", value=1.0, label=None, comment=None, source="me", time_ns=1
    )
    sink.write([make_span(), score, LossRecord(time_ns=5, what="input", reason="too_large", count=3, bytes=9)])
    sink.close(1.0)
    compact_store(store, **AT_ONCE)
    compact_store(store, **AT_ONCE)
    assert list_segments(store) == []
    assert query("SELECT name, value, source FROM scores", path=store).rows() == [("good", 1.0, "me")]
    assert query("SELECT what, reason, count, bytes FROM losses", path=store).rows() == [("input", "too_large", 3, 9)]


def test_only_one_compacts(store, make_span):
    write(store, make_span, [1])
    with exclusive_lock(store) as acquired:
        assert acquired
        assert compact_store(store).busy
    assert compact_store(store).segments == 1


def test_nothing_goes_that_a_reader_may_still_open(store, make_span):
    write(store, make_span, [1])
    connection = connect(path=store)
    compact_store(store, **AT_ONCE)
    write(store, make_span, [2])
    compact_store(store, **AT_ONCE)  # would remove the first segment
    assert connection.execute("SELECT span_id FROM spans").fetchall() == [(f"{1:016x}",)]
    connection.close()
    del connection
    compact_store(store, **AT_ONCE)
    compact_store(store, **AT_ONCE)
    assert list_segments(store) == []
    assert list((store / "readers").iterdir()) == []
    assert len(ids(store)) == 2


def test_a_reader_that_was_killed_holds_nothing(store, make_span):
    write(store, make_span, [1])
    program = (
        "import os, sys; from pathlib import Path; from llmops_sdk.store.duck._sources import read_sources\n"
        "sources = read_sources(Path(sys.argv[1])); assert sources.lease; os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(store)], check=False)
    assert killed.returncode == -9
    assert len(list((store / "readers").iterdir())) == 1
    compact_store(store, **AT_ONCE)
    compact_store(store, **AT_ONCE)
    assert list_segments(store) == []
    assert list((store / "readers").iterdir()) == []


def test_files_stay_for_their_grace(store, make_span):
    write(store, make_span, [1])
    compact_store(store)
    compact_store(store)
    assert len(list_segments(store)) == 1
    assert ids(store) == [f"{1:016x}"]


def test_what_a_killed_compactor_left_is_removed(store, make_span):
    write(store, make_span, [1])
    compact_store(store, **AT_ONCE)
    (name,) = parquet_of(store)
    half = f".L0-00000009-{'a' * 32}.parquet"
    (store / "spans" / half).write_bytes((store / "spans" / name).read_bytes()[:100])
    assert ids(store) == [f"{1:016x}"]
    compact_store(store, **AT_ONCE)
    assert [file.name for file in (store / "spans").iterdir()] == [name]


def test_a_lost_manifest_is_made_again_from_the_files(store, make_span):
    for number in range(1, 10):
        write(store, make_span, [number])
        compact_store(store)
    write(store, make_span, [10])
    before = manifest_of(store)
    assert before.trash
    assert before.covered
    (store / "MANIFEST.json").unlink()
    # A writer makes no empty one, which would leave the files to be swept.
    write(store, make_span, [11])
    assert read_manifest(store) is None
    assert ids(store) == [f"{number:016x}" for number in range(1, 12)]
    assert set(manifest_of(store).files) == set(before.files)
    (store / "MANIFEST.json").unlink()
    compact_store(store, **AT_ONCE)
    assert ids(store) == [f"{number:016x}" for number in range(1, 12)]


def test_a_foreign_parquet_file_is_neither_read_nor_removed(store, make_span):
    write(store, make_span, [1])
    compact_store(store)
    (store / "MANIFEST.json").unlink()
    mine = store / "spans" / "mine.parquet"
    mine.write_bytes(b"PAR1")
    assert ids(store) == [f"{1:016x}"]
    compact_store(store, **AT_ONCE)
    assert mine.read_bytes() == b"PAR1"


def test_retention_takes_parquet_files_and_counts_their_rows(store, make_span):
    write(store, make_span, [1, 2])
    compact_store(store, **AT_ONCE)
    write(store, make_span, [3])
    size = manifest_of(store).files[0].bytes
    rest = sum(segment.path.stat().st_size for segment in list_segments(store, manifest_of(store).covered))
    assert drop_old(store, max_bytes=rest, older_than=None) == [Dropped("segment", "max_bytes", 2, size)]
    assert ids(store) == [f"{3:016x}"]
    assert manifest_of(store).trash.keys() == {f"spans/{name}" for name in parquet_of(store)}
    old = list_segments(store, manifest_of(store).covered)[0].path
    os.utime(old, (1.0, 1.0))
    compact_store(store)
    assert [(d.what, d.reason, d.count) for d in drop_old(store, max_bytes=10**9, older_than=2.0)] == [
        ("segment", "retention", 1)
    ]
    assert ids(store) == []


def test_retention_leaves_parquet_files_while_another_changes_the_store(store, make_span):
    write(store, make_span, [1])
    compact_store(store, **AT_ONCE)
    with exclusive_lock(store):
        assert drop_old(store, max_bytes=1, older_than=None) == []
    assert ids(store) == [f"{1:016x}"]


def test_an_older_manifest_with_lists_is_read(store, make_span):
    write(store, make_span, [1])
    (store / "MANIFEST.json").write_text(json.dumps({"schema_version": 1, "files": [], "covered": []}))
    assert ids(store) == [f"{1:016x}"]
    assert compact_store(store).segments == 1


def test_a_store_where_no_lease_can_be_taken_is_read(store, make_span):
    write(store, make_span, [1])
    compact_store(store)
    (store / "readers").write_text("in the way, as a folder that cannot be written")
    assert ids(store) == [f"{1:016x}"]
    connection = connect(path=store)
    assert connection.execute("SELECT count(*) FROM spans").fetchall() == [(1,)]
    connection.close()


def test_the_views_file_sees_what_is_written_after_it(store, make_span):
    import duckdb

    write(store, make_span, [1])
    compact_store(store)
    write(store, make_span, [2])
    with duckdb.connect(str(store / "traces.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT span_id FROM spans ORDER BY ALL").fetchall() == [
            (f"{1:016x}",), (f"{2:016x}",),
        ]  # fmt: skip
        assert connection.execute("FROM losses").fetchall() == []
        for view in VIEWS:
            connection.execute(f"FROM {view.name}").fetchall()
    assert oct((store / "traces.duckdb").stat().st_mode & 0o777) == "0o600"


def test_compacting_what_is_no_store_says_so(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="is a file, not a folder"):
        compact_store(tmp_path / "file")


@pytest.fixture
def old_traces(store, make_span):
    """A hundred traces of two spans: one failed, one is slow, one was costly, one was judged; all in an old file."""
    sink = StoreSink(store, retention_days=None, compaction="manual")
    for number in range(1, 101):
        trace = number << 64 | (number * 2**57)  # the random half from 1/128 to 100/128
        more = {7: {"status": "error"}, 17: {"duration_ns": 9 * 10**9}, 27: {"attributes": {"gen_ai.usage.cost": 2.0}}}
        sink.write([
            make_span(trace_id=trace, span_id=2 * number, **more.get(number, {})),
            make_span(trace_id=trace, span_id=2 * number + 1, parent_id=2 * number),
        ])  # fmt: skip
    judged = ScoreRecord(
        trace_id=None,
        span_id=f"{2 * 97:016x}",
        name="good",
        value=1.0,
        label=None,
        comment=None,
        source="me",
        time_ns=1,
    )
    sink.write([judged])
    sink.close(1.0)
    for file in (store / "wal").glob("*.v*.ndjson"):
        os.utime(file, (1.0, 1.0))
    return store


def numbers(store: Path) -> list[int]:
    return sorted({int(span, 16) // 2 for (span,) in query("SELECT span_id FROM spans", path=store).rows()})


def test_old_traces_are_thinned_out_but_for_those_that_tell_something(old_traces):
    thinning = ThinningPolicy(share=0.25, keep_slower_than=5.0, keep_costlier_than=1.0)
    done = compact_store(old_traces, thinning=thinning, **AT_ONCE)
    assert numbers(old_traces) == [*range(1, 32), 97]
    assert done.thinned == 2 * 68
    assert query("SELECT what, reason, count FROM losses", path=old_traces).rows() == [("span", "thinned", 136)]
    # Each that stays for the share stands for four; the others for themselves.
    weights = dict(query("SELECT span_id, weight FROM spans", path=old_traces).rows())
    assert {int(span, 16) // 2 for span, weight in weights.items() if weight == 1.0} == {7, 17, 27, 97}
    assert set(weights.values()) == {1.0, 4.0}
    # Once: what is left is not thinned again.
    assert compact_store(old_traces, thinning=thinning, **AT_ONCE).thinned == 0
    assert query("SELECT sum(weight) FROM spans WHERE weight > 1", path=old_traces).scalar() == 4 * 2 * 28


def test_thinning_keeps_the_schema_version_of_an_older_file(old_traces, monkeypatch):
    compact_store(old_traces, **AT_ONCE)
    written = {file.version for file in manifest_of(old_traces).files}
    monkeypatch.setattr(f"{compact_store.__module__}.SCHEMA_VERSION", max(written) + 1)

    assert compact_store(old_traces, thinning=ThinningPolicy(share=0.25), **AT_ONCE).thinned > 0
    assert {file.version for file in manifest_of(old_traces).files if file.thinned} == written


def test_a_share_of_nothing_leaves_what_is_kept_by_a_rule(old_traces):
    compact_store(old_traces, thinning=ThinningPolicy(share=0.0, keep_scored=False), **AT_ONCE)
    assert numbers(old_traces) == [7]


def test_young_files_and_a_share_of_one_are_left_alone(store, old_traces, make_span):
    assert compact_store(old_traces, thinning=ThinningPolicy(share=1.0), **AT_ONCE).thinned == 0
    write(store, make_span, [999])
    compact_store(store, **AT_ONCE)
    compact_store(store, thinning=ThinningPolicy(share=0.0, keep_errors=False, keep_scored=False), **AT_ONCE)
    assert ids(store) == [f"{999:016x}"]


def test_the_settings_reach_the_compactor():
    thinning = ThinningPolicy(share=0.5, after_days=1.5, keep_errors=False, keep_slower_than=2.0)
    assert ThinningPolicy.decode(thinning.encode()) == thinning
    from llmops_sdk.config import Settings, StoreSettings, ThinningSettings

    settings = Settings(store=StoreSettings(thinning=ThinningSettings(share=0.5, keep_costlier_than=3.0)))
    assert ThinningPolicy.from_settings(settings.store.thinning) == ThinningPolicy(share=0.5, keep_costlier_than=3.0)
