"""The store's folder: its own, private, and nothing in it of others is touched."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from llmops_sdk.errors import StoreError
from llmops_sdk.store import StoreSink, compact, connect, import_file, prune, query
from llmops_sdk.store.maintenance._compact import compact_store
from llmops_sdk.store.maintenance._retention import drop_old

pytestmark = pytest.mark.redteam

OLD = time.time() - 100 * 86_400


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize(
    "name",
    ["notes.txt", "blobs/photo.jpg", "wal/mine.v1.ndjson", "spans/table.parquet", "import/a/b", "readers/1", "x/y"],
)
def test_a_folder_with_other_files_is_refused_and_left_as_it_was(tmp_path, make_span, name):
    folder = tmp_path / "data"
    mine = folder / name
    mine.parent.mkdir(parents=True)
    mine.write_text('{"user_id":"ada"}\n')
    os.utime(mine, (OLD, OLD))
    before = contents(folder)
    for change in (
        lambda: StoreSink(folder),
        lambda: query("FROM spans", path=folder),
        lambda: connect(path=folder),
        lambda: compact(path=folder),
        lambda: prune(user_id="ada", path=folder),
    ):
        with pytest.raises(StoreError, match=r"is not a store: it holds .* a folder of its own") as caught:
            change()
        assert name.partition("/")[0] in str(caught.value)
    assert contents(folder) == before


@pytest.mark.parametrize("placeholder", ["", ".gitkeep", ".DS_Store", "lost+found/"])
def test_an_empty_folder_becomes_the_store(tmp_path, make_span, placeholder):
    folder = tmp_path / "data"
    folder.mkdir(mode=0o775)
    folder.chmod(0o775)  # regardless of the umask
    if placeholder.endswith("/"):
        (folder / placeholder).mkdir()
    elif placeholder:
        (folder / placeholder).touch()
        folder.chmod(0o755)
    sink = StoreSink(folder) if placeholder != "lost+found/" else None
    if sink is None:
        folder.chmod(0o755)
        sink = StoreSink(folder)
    sink.write([make_span()])
    sink.close(1.0)
    assert query("SELECT count(*) FROM spans", path=folder).scalar() == 1
    if not placeholder:
        assert folder.stat().st_mode & 0o777 == 0o700


def test_a_query_of_an_empty_folder_leaves_it_empty(tmp_path):
    assert query("SELECT count(*) FROM spans", path=tmp_path).scalar() == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.thorough
def test_files_of_others_in_a_store_stay_through_everything(store, make_span, tmp_path):
    def write(number: int) -> None:
        sink = StoreSink(store, compaction="manual", retention_days=None)
        sink.write([make_span(trace_id=number, span_id=number)])
        sink.close(1.0)

    write(1)
    names = [
        "blobs/photo.jpg", "blobs/.half.1", "wal/mine.v1.ndjson", "wal/.none.ndjson.mine", "spans/mine.parquet",
        "spans/.mine.parquet", "readers/7-x", "import/mine/x", "tmp/mine", "damaged/mine", ".MANIFEST.json.mine",
        ".traces.duckdb.mine", "..gitignore.mine", "outbox/default/mine.ndjson", "outbox/default/mine.ndjson.cursor",
        "outbox/default/mine.owner",
    ]  # fmt: skip
    for name in names:
        file = store / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text('{"trace_id":"1","user_id":"ada"}\n')
        os.utime(file, (OLD, OLD))
    others = {name: (store / name).read_bytes() for name in names}
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"trace_id": f"{7:032x}", "span_id": f"{7:016x}", "start_ns": 1000, "name": "n"}) + "\n")
    for number in (2, 3):
        compact_store(store, grace=0.0)
        write(number)
    import_file(rows, path=store)
    prune(user_id="ada", path=store)
    compact_store(store, grace=0.0)
    drop_old(store, max_bytes=1, older_than=time.time())
    compact_store(store, grace=0.0)
    prune(max_bytes=1, path=store)
    assert {name: (store / name).read_bytes() for name in names} == others


def test_a_folder_that_others_can_write_is_refused(tmp_path, store, make_span):
    sink = StoreSink(store)
    sink.write([make_span()])
    sink.close(1.0)
    for mode in (0o720, 0o702, 0o777, 0o1777):
        store.chmod(mode)
        for change in (lambda: StoreSink(store), lambda: query("FROM spans", path=store), lambda: compact(path=store)):
            with pytest.raises(StoreError, match=r"is writable for other users.*chmod go-w"):
                change()
    store.chmod(0o755)  # others may see the names of its files; each file is its owner's alone
    assert query("SELECT count(*) FROM spans", path=store).scalar() == 1
    (store / "wal").chmod(0o777)
    with pytest.raises(StoreError, match=r"wal, a part of the store.*is writable for other users"):
        query("FROM spans", path=store)


def test_a_folder_of_another_user_is_refused(tmp_path, store, make_span):
    sink = StoreSink(store)
    sink.write([make_span()])
    sink.close(1.0)
    # Only root can give a folder away. Without root, the modes show that another user can make no such folder here.
    if os.geteuid() != 0:
        assert {one.stat().st_mode & 0o077 for one in (store, store / "wal", *(store / "wal").iterdir())} == {0}
        return
    os.chown(store, 54321, 54321)
    for change in (lambda: StoreSink(store), lambda: query("FROM spans", path=store), lambda: compact(path=store)):
        with pytest.raises(StoreError, match=r"belongs to another user .id 54321"):
            change()
    assert "wal" in [one.name for one in store.iterdir()]
