"""Copies of a store in use: whatever order the files are copied in, no span is missing and none is there twice."""

from __future__ import annotations

import shutil
import subprocess
import tarfile

import pytest
from thorough_cases import thorough

from llmops_sdk.store import StoreSink, compact, prune, query, snapshot
from llmops_sdk.store.files._manifest import read_manifest
from llmops_sdk.store.maintenance._compact import compact_store
from llmops_sdk.tracing.records._records import Stamp


def write(store, make_span, ids, **fields):
    sink = StoreSink(store, compaction="manual", retention_days=None)
    sink.write([make_span(trace_id=number, span_id=number, **fields) for number in ids])
    sink.close(1.0)


def ids(store):
    return [int(span, 16) for (span,) in query("SELECT span_id FROM spans ORDER BY ALL", path=store).rows()]


def copy_rest(store, copy):
    """Copy what is not there yet, as a slow copy goes on."""
    for file in sorted(store.rglob("*")):
        target = copy / file.relative_to(store)
        if file.is_dir():
            target.mkdir(mode=0o700, exist_ok=True)
        elif not target.exists():
            shutil.copy2(file, target)


@pytest.mark.parametrize("early", ["nothing", "segments", "everything"])
@pytest.mark.parametrize("rounds", [2, thorough(9)])
def test_a_copy_whose_manifest_came_first_has_every_span_once(store, make_span, tmp_path, early, rounds):
    write(store, make_span, [1])
    compact_store(store, grace=0.0)
    write(store, make_span, [2])
    copy = tmp_path / "copy"
    copy.mkdir(mode=0o700)
    if early == "everything":
        copy_rest(store, copy)
    else:
        shutil.copy2(store / "MANIFEST.json", copy)
    if early == "segments":
        shutil.copytree(store / "wal", copy / "wal")
    # Compaction, merges of merged files and a sampled prune go on under the copy.
    for number in range(3, 3 + rounds):
        write(store, make_span, [number])
        compact_store(store, grace=0.0)
    copy_rest(store, copy)
    everything = list(range(1, 3 + rounds))
    assert ids(copy) == everything
    write(copy, make_span, [100])
    for _ in range(3):
        compact_store(copy, grace=0.0)
        assert ids(copy) == [*everything, 100]
    assert not (copy / "damaged").exists()
    assert query("FROM losses", path=copy).rows() == []


def test_a_writer_of_the_copy_before_any_reader_drops_nothing(store, make_span, tmp_path):
    write(store, make_span, [1])
    compact_store(store)  # the segment stays for its grace, and is in the manifest
    copy = tmp_path / "copy"
    copy.mkdir(mode=0o700)
    shutil.copy2(store / "MANIFEST.json", copy)
    write(store, make_span, [2])
    compact_store(store, grace=0.0)
    copy_rest(store, copy)
    for number in (3, 4):
        sink = StoreSink(copy, compaction="manual", max_bytes=10**9)
        sink.write([make_span(trace_id=number, span_id=number)])
        sink.close(1.0)
    compact_store(copy, grace=0.0)
    assert ids(copy) == [1, 2, 3, 4]


@pytest.mark.thorough
def test_a_pruned_user_does_not_come_back_in_a_copy(store, make_span, tmp_path):
    write(store, make_span, [1], stamp=Stamp(user_id="ada"))
    write(store, make_span, [2])
    compact_store(store, grace=0.0)
    copy = tmp_path / "copy"
    copy.mkdir(mode=0o700)
    copy_rest(store, copy)
    prune(user_id="ada", path=store)
    copy_rest(store, copy)
    assert ids(copy) == [2]


def test_a_copy_that_cannot_be_written_is_read(store, make_span, tmp_path, monkeypatch):
    from llmops_sdk.store.duck import _rebuild

    write(store, make_span, [1])
    compact_store(store, grace=0.0)
    copy = tmp_path / "copy"
    copy.mkdir(mode=0o700)
    shutil.copy2(store / "MANIFEST.json", copy)
    write(store, make_span, [2])
    compact_store(store, grace=0.0)
    copy_rest(store, copy)
    before = (copy / "MANIFEST.json").read_bytes()

    def refused(*_):
        raise PermissionError(13, "Read-only file system")

    monkeypatch.setattr(_rebuild, "exclusive_lock", refused)
    assert ids(copy) == [1, 2]
    assert (copy / "MANIFEST.json").read_bytes() == before


@pytest.mark.parametrize("tool", ["cp", "tar", "snapshot"])
def test_a_backup_is_restored(store, make_span, tmp_path, tool):
    write(store, make_span, [1])
    compact_store(store)
    write(store, make_span, [2])
    restored = tmp_path / "restored"
    if tool == "cp":
        subprocess.run(["cp", "-a", store, restored], check=True)
    elif tool == "tar":
        with tarfile.open(tmp_path / "b.tar.gz", "w:gz") as packed:
            packed.add(store, "restored")
        with tarfile.open(tmp_path / "b.tar.gz") as packed:
            packed.extractall(tmp_path, filter="data")
    else:
        import duckdb

        snapshot(tmp_path / "backup.duckdb", path=store)
        with duckdb.connect(str(tmp_path / "backup.duckdb"), read_only=True) as connection:
            assert connection.execute("SELECT count(*) FROM spans").fetchone() == (2,)
        return
    shutil.rmtree(store)
    assert ids(restored) == [1, 2]
    compact(path=restored)
    assert ids(restored) == [1, 2]
    manifest = read_manifest(restored)
    assert manifest is not None
    assert sum(file.rows for file in manifest.files) == 2
