"""A store that comes from elsewhere: nothing in it leads out of its folder."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from llmops_sdk.caching import count_answers, erase
from llmops_sdk.caching._listing import list_entries, list_tiers
from llmops_sdk.caching.backends._erase import remove
from llmops_sdk.errors import StoreError
from llmops_sdk.store import StoreSink, compact, prune, query
from llmops_sdk.store.files._folders import remove_file
from llmops_sdk.store.maintenance._compact import compact_store
from llmops_sdk.store.maintenance._retention import drop_old
from llmops_sdk.store.reading._follow import Follower

pytestmark = pytest.mark.redteam

PROGRAM = Path(__file__).with_name("hostile_store.py")


def write(store, make_span, ids):
    sink = StoreSink(store, compaction="manual", retention_days=None)
    sink.write([make_span(trace_id=number, span_id=number) for number in ids])
    sink.close(1.0)


def planted(victim: Path, store: Path) -> list[str]:
    return [str(victim), os.path.relpath(victim, store), f"wal/../../{victim.name}", "spans/../MANIFEST.json"]


@pytest.mark.parametrize("part", ["covered", "trash"])
def test_a_manifest_that_names_files_outside_removes_none(store, make_span, tmp_path, part):
    victim = tmp_path / "thesis.txt"
    victim.write_text("years of work")
    write(store, make_span, [1])
    before = json.loads((store / "MANIFEST.json").read_text())
    for name in planted(victim, store):
        (store / "MANIFEST.json").write_text(json.dumps({**before, part: {name: [0, 0.0]}}))
        with pytest.raises(StoreError, match="move it away"):
            compact(path=store)
        with pytest.raises(StoreError, match="move it away"):
            query("FROM spans", path=store)
        drop_old(store, max_bytes=1, older_than=None)
        assert victim.exists()
        assert (store / "MANIFEST.json").exists()


@pytest.mark.parametrize("key", ["holds", "replaces"])
def test_a_parquet_file_that_names_files_outside_removes_none(store, make_span, tmp_path, key):
    import duckdb

    victim = tmp_path / "thesis.txt"
    victim.write_text("years of work")
    write(store, make_span, [1])
    compact_store(store, grace=0.0)
    (file,) = (store / "spans").glob("*.parquet")
    origin = {"generation": 1, "stream": "spans", "version": 2, "level": 0, "written": 0.0, key: planted(victim, store)}
    said = json.dumps(origin).replace("'", "''")
    with duckdb.connect() as connection:
        connection.execute(f"COPY (FROM '{file}') TO '{tmp_path}/x' (FORMAT parquet, KV_METADATA {{llmops: '{said}'}})")
    file.unlink()
    (tmp_path / "x").rename(file)
    (store / "MANIFEST.json").unlink()
    compact_store(store, grace=0.0)
    compact_store(store, grace=0.0)
    assert victim.read_text() == "years of work"
    # It is not lost either.
    assert [one.name for one in (store / "damaged").iterdir()] == [file.name]


def test_only_names_of_the_stores_files_can_be_removed(store, make_span, tmp_path):
    write(store, make_span, [1])
    token = "0" * 32
    for name in ("../x", "/etc/x", "wal/x", "wal/../x", f"spans/../L0-00000001-{token}.parquet", "MANIFEST.json", ""):
        with pytest.raises(ValueError, match="not the name of a file"):
            remove_file(store, name)
    outside = tmp_path / "outside"
    outside.mkdir()
    victim = outside / f"L0-00000001-{token}.parquet"
    victim.write_text("x")
    (store / "spans").symlink_to(outside)
    with pytest.raises(OSError, match=r"Not a directory|Too many"):
        remove_file(store, f"spans/{victim.name}")
    assert victim.exists()


@pytest.mark.parametrize(
    "name", ["wal", "spans", "blobs", "readers", "outbox", "import", "compact.lock", "import.lock"]
)
def test_a_link_in_the_place_of_a_part_is_refused(store, make_span, tmp_path, name):
    import shutil

    write(store, make_span, [1])
    target = tmp_path / "target"
    if name.endswith(".lock"):
        target.write_text("mine")
        (store / name).unlink(missing_ok=True)
    else:
        target.mkdir()
        shutil.rmtree(store / name, ignore_errors=True)
    (store / name).symlink_to(target)
    for change in (
        lambda: StoreSink(store, compaction="manual"),
        lambda: query("FROM spans", path=store),
        lambda: compact(path=store),
        lambda: prune(user_id="ada", path=store),
        lambda: Follower(store, ["spans"]),
    ):
        with pytest.raises(StoreError, match="symbolic link"):
            change()
    assert target.is_dir() or target.read_text() == "mine"


def test_a_link_in_the_place_of_a_parquet_file_is_refused(store, make_span, tmp_path):
    write(store, make_span, [1])
    compact_store(store, grace=0.0)
    (file,) = (store / "spans").glob("*.parquet")
    moved = file.rename(tmp_path / "elsewhere.parquet")
    file.symlink_to(moved)
    for change in (
        lambda: query("FROM spans", path=store),
        lambda: compact(path=store),
        lambda: prune(trace_id=f"{1:032x}", path=store),
    ):
        with pytest.raises(StoreError, match="symbolic link"):
            change()
    assert moved.exists()


def test_a_damaged_note_of_a_prune_says_what_to_do(store, make_span):
    write(store, make_span, [1])
    for content in (
        "",
        "{",
        "[]",
        '{"traces": "abc"}',
        '{"traces":[1],"spans":[],"blobs":[],"words":[],"before_ns":0}',
    ):
        (store / "PRUNE.json").write_text(content)
        with pytest.raises(StoreError, match="remove it, and prune again"):
            compact(path=store)
    assert query("SELECT count(*) FROM spans", path=store).scalar() == 1


@pytest.mark.thorough
def test_no_operation_touches_a_file_outside_a_fuzzed_store(tmp_path):
    done = subprocess.run(
        [sys.executable, PROGRAM, tmp_path, "12"], capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["12", "stores"]


def _other_programs_database(folder: Path) -> Path:
    import sqlite3

    (folder / "exact").mkdir(parents=True, mode=0o700)
    file = folder / "exact" / "cache.db"
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE Cache (key, value)")
        connection.execute("INSERT INTO Cache VALUES ('years', 'of work')")
        connection.commit()
    (folder / "exact" / "cache.db.damaged").write_text("also mine")
    return file


@pytest.mark.parametrize("link", ["cache", "cache/exact", "cache/exact/cache.db", "cache/semantic/cache.db"])
@pytest.mark.parametrize(
    "change", [erase, count_answers, lambda folder: remove(folder, tag="t"), list_tiers,
               lambda folder: list_entries(folder, limit=0)],
    ids=["erase", "count", "remove", "tiers", "entries"],
)  # fmt: skip
def test_no_link_leads_from_a_cache_to_another_programs_database(tmp_path, link, change):
    file = _other_programs_database(tmp_path / "other")
    planted = tmp_path / "store" / link
    planted.parent.mkdir(parents=True, mode=0o700)
    planted.symlink_to(file if planted.name == "cache.db" else file.parents[len(link.split("/")) == 1])
    before = {one.name: one.read_bytes() for one in file.parent.iterdir()}
    with pytest.raises(StoreError, match="link"):
        change(tmp_path / "store" / "cache")
    assert {one.name: one.read_bytes() for one in file.parent.iterdir()} == before
