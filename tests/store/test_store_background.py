"""When an application starts a compactor: real segments, a real manifest's age, real processes."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from llmops_sdk.store import StoreSink, query
from llmops_sdk.store.files._layout import list_segments
from llmops_sdk.store.files._locks import exclusive_lock
from llmops_sdk.store.files._manifest import MANIFEST, read_manifest
from llmops_sdk.store.maintenance._background import BackgroundCompaction, CompactionMode
from llmops_sdk.store.maintenance._thinning import ThinningPolicy

HOUR = 3_600


def make_segments(store: Path, make_span, count: int) -> None:
    for number in range(1, count + 1):
        sink = StoreSink(store, compaction="manual")
        sink.write([make_span(span_id=number)])
        sink.close(1.0)


def started(store: Path, mode: CompactionMode = "auto") -> bool:
    """Whether a compactor was, which is waited for."""
    background = BackgroundCompaction(store, mode, ThinningPolicy())
    background.start_if_due()
    was = background._pid != 0
    deadline = time.monotonic() + 60
    while background.is_running():
        assert time.monotonic() < deadline
        threading.Event().wait(0.05)
    with exclusive_lock(store, 60) as acquired:
        assert acquired
    return was


@pytest.mark.parametrize(
    ("segments", "age", "starts"),
    [
        (1, HOUR, False),  # little waits, however long
        (2, HOUR, True),
        (2, -HOUR, True),  # the clock went back
        (2, 0, False),  # one has only just been at it
        (15, 0, False),
        (16, 0, True),  # but this is a burst
    ],
)
def test_it_is_started_when_enough_waits_and_not_again_at_once(store, make_span, monkeypatch, segments, age, starts):
    monkeypatch.setattr("llmops_sdk.store.maintenance._background._FILES", 2)
    make_segments(store, make_span, segments)
    changed = time.time() - age
    os.utime(store / MANIFEST, (changed, changed))

    assert started(store) is starts

    manifest = read_manifest(store)
    assert manifest is not None
    assert len(manifest.covered) == (segments if starts else 0)
    assert query("SELECT count(*) FROM spans", path=store).scalar() == segments


def test_the_bytes_count_as_well_as_the_files(store, make_span, monkeypatch):
    make_segments(store, make_span, 1)
    size = sum(segment.path.stat().st_size for segment in list_segments(store))
    os.utime(store / MANIFEST, (1.0, 1.0))
    monkeypatch.setattr("llmops_sdk.store.maintenance._background._BYTES", size + 1)
    assert not started(store)
    monkeypatch.setattr("llmops_sdk.store.maintenance._background._BYTES", size)
    assert started(store)


def test_none_is_started_where_it_is_to_be_done_by_hand(store, make_span, monkeypatch):
    monkeypatch.setattr("llmops_sdk.store.maintenance._background._FILES", 1)
    make_segments(store, make_span, 9)
    assert not started(store, "manual")
