"""Blob files stay as long as spans refer to them, within bounds, and dropped ones are counted."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import Counter
from pathlib import Path

import pytest

from llmops_sdk._util._private_files import create_file
from llmops_sdk.store import StoreSink
from llmops_sdk.store.files._blob_files import Blob, BlobFiles, list_blobs, remove_blob
from llmops_sdk.store.files._layout import create_store
from llmops_sdk.store.maintenance._retention import Dropped, drop_old
from llmops_sdk.tracing.capture import _blobs

DAY = 86_400.0


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    create_store(folder)
    (folder / "blobs").mkdir(mode=0o700)
    return folder


def blob(store: Path, content: bytes, used: float) -> Path:
    file = store / "blobs" / f"{hashlib.sha256(content).hexdigest()}.bin"
    create_file(file, content)
    os.utime(file, (used, used))
    return file


def segment(store: Path, size: int, written: float) -> Path:
    file = store / "wal" / f"host-1-{size}-1.v1.ndjson"
    file.write_bytes(b"x" * (size - 1) + b"\n")
    os.utime(file, (written, written))
    return file


def test_retention_drops_blobs_with_their_spans(store: Path):
    old, new = blob(store, b"old", 1 * DAY), blob(store, b"newer", 3 * DAY)
    assert drop_old(store, max_bytes=10**9, older_than=2 * DAY) == [Dropped("blob", "retention", 1, 3)]
    assert (old.exists(), new.exists()) == (False, True)


def test_max_bytes_drops_oldest_segments_and_blobs_first(store: Path):
    files = [
        blob(store, b"a" * 100, 1 * DAY),
        segment(store, 200, 2 * DAY),
        blob(store, b"b" * 300, 3 * DAY),
        segment(store, 400, 4 * DAY),
    ]
    assert drop_old(store, max_bytes=750, older_than=None) == [
        Dropped("blob", "max_bytes", 1, 100),
        Dropped("segment", "max_bytes", 1, 200),
    ]
    assert [file.exists() for file in files] == [False, False, True, True]


def test_too_many_blobs_are_dropped(store: Path):
    files = [blob(store, bytes([n]), n * DAY) for n in range(5)]
    kept = segment(store, 10, 0.0)
    assert drop_old(store, max_bytes=10**9, older_than=None, max_blobs=3) == [Dropped("blob", "max_files", 1, 1)] * 2
    assert [file.exists() for file in files] == [False, False, True, True, True]
    assert kept.exists()


def test_blob_in_use_again_stays(store: Path):
    file = blob(store, b"content", 1 * DAY)
    (known,) = list_blobs(store)
    os.utime(file, (5 * DAY, 5 * DAY))
    assert not remove_blob(known)
    assert file.exists()
    assert not remove_blob(Blob(store / "blobs" / "gone", 0.0, 1))


def test_leftovers_of_killed_processes_are_removed(store: Path):
    name = f".{'a' * 64}.png"
    left, fresh = (store / "blobs" / f"{name}.{digit * 32}" for digit in "12")
    for file in (left, fresh):
        file.write_bytes(b"half")
    os.utime(left, (1 * DAY, 1 * DAY))
    assert list_blobs(store) == []
    assert drop_old(store, max_bytes=1, older_than=None) == []
    assert (left.exists(), fresh.exists()) == (False, True)


def test_existing_blob_is_marked_as_used(store: Path):
    file = blob(store, b"content", 1 * DAY)
    name = file.name
    losses: Counter[tuple[str, str]] = Counter()
    _blobs._ready[name] = b"content"
    BlobFiles(store, fsync=True).write_for(f'{{"path":"blobs/{name}"}}'.encode(), losses, Counter())
    assert file.stat().st_mtime > 2 * DAY
    assert (losses, _blobs.take(name)) == (Counter(), None)


def test_threads_can_write_the_same_blob_at_once(store: Path):
    content = b"x" * 1_000_000
    name = f"{hashlib.sha256(content).hexdigest()}.bin"
    threads = [threading.Thread(target=create_file, args=(store / "blobs" / name, content)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [file.name for file in (store / "blobs").iterdir()] == [name]
    assert (store / "blobs" / name).read_bytes() == content


def test_sink_counts_dropped_blobs(store: Path):
    blob(store, b"old", 1 * DAY)
    sink = StoreSink(store)
    sink.close(1.0)
    lines = [line for file in (store / "losses").glob("*.ndjson") for line in file.read_text().splitlines()]
    assert any('"what":"blob","reason":"retention","count":1,"bytes":3' in line for line in lines)
