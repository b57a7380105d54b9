"""The stores of `ui.py`: the same kind of spans in ours and in Phoenix's database, over the thirty days up to now.

Ours is made as `store_files.py` says, and gets one trace of 10,000 spans the real way. Phoenix takes a hundred spans a
second over OTLP, so it is sent 2,000 spans, and SQL in its database writes them as often as needed, each time with ids
and times of its own.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from store_files import DAYS, FILE_SPANS, build_store, write_first
from store_processes import ROOM
from store_spans import DAY_NS, FIRST_NS, MIXED, Spans, Texts

from llmops_sdk import query
from llmops_sdk.store._sink import StoreSink
from llmops_sdk.store.maintenance._compact import compact_store
from llmops_sdk.tracing.records._ids import new_trace_id

__all__ = ["LARGE_TRACE", "OurStore", "drop_from_memory", "our_store"]

LARGE_TRACE = 10_000
_DESCRIPTION = "benchmark.json"
_HALF_A_DAY = f"start_ns > (SELECT max(start_ns) - {DAY_NS // 2} FROM spans)"


@dataclass(frozen=True)
class OurStore:
    """A store and what to ask of it."""

    path: str
    spans: int
    small_trace: str
    """An id; the trace has four spans."""
    large_trace: str
    words: str
    """A text in the input of few calls, the last of them in the newest day."""


def our_store(folder: Path, spans: int) -> OurStore:
    """Return a store of so many spans, the one that lies in the folder or a new one.

    Args:
        folder: Where it is, or will be.
        spans: How many, without the large trace.
    """
    description = folder / _DESCRIPTION
    if description.exists():
        found = OurStore(**json.loads(description.read_text("utf-8")))
        if found.spans == spans:
            return found
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    store = folder / "store"
    a_file = min(FILE_SPANS, spans)
    files = spans // a_file
    first = write_first(folder, a_file, days=DAYS / files)
    build_store(store, first, files, a_file, first_ns=time.time_ns() - DAYS * DAY_NS)
    shutil.rmtree(folder / "first")
    first.unlink()
    large = _add_large_trace(store)
    there = query("SELECT count(*) FROM spans", path=store).scalar()
    assert there == spans + LARGE_TRACE, (there, spans)
    small, words = _small_trace(store)
    made = OurStore(str(store), spans, small, large, words)
    description.write_text(json.dumps(asdict(made)), "utf-8")
    return made


def _add_large_trace(store: Path) -> str:
    """Write a trace of an agent that worked for a minute, five days ago, and return its id."""
    start = time.time_ns() - 5 * DAY_NS
    spans = Spans(Texts(), MIXED, seed=2, between_ns=4 * 60_000_000_000 // LARGE_TRACE).take(LARGE_TRACE)
    trace, root, chance = new_trace_id(start), spans[0].span_id, random.Random(3)
    inner = [root]
    for span in spans:
        span.trace_id = trace
        span.start_ns += start - FIRST_NS
        if span.kind == "agent" and span.span_id != root:
            span.parent_id = chance.choice(inner[-40:])
            inner.append(span.span_id)
    sink = StoreSink(store, compaction="manual", max_bytes=ROOM)
    for begin in range(0, LARGE_TRACE, 500):
        sink.write(spans[begin : begin + 500])
    sink.close(0.0)
    compact_store(store, grace=0.0)
    compact_store(store, grace=0.0)  # removes the segments, which the last one still left to readers
    return f"{trace:032x}"


def _small_trace(store: Path) -> tuple[str, str]:
    """Return the id of a trace in the middle, and forty characters of a call half a day ago."""
    [(trace,)] = query(
        "SELECT trace_id FROM spans WHERE parent_span_id IS NULL AND start_ns < (SELECT min(start_ns) + "
        f"{DAYS // 2 * DAY_NS} FROM spans) ORDER BY start_ns DESC LIMIT 1",
        path=store,
    ).rows()
    [(messages,)] = query(
        f"SELECT input_messages FROM llm_calls WHERE {_HALF_A_DAY} AND length(input_messages) > 6000 "
        "ORDER BY start_ns LIMIT 1",
        path=store,
    ).rows()
    said = [message["parts"][0]["content"] for message in json.loads(messages) if message["role"] == "assistant"]
    return trace, max(said, key=len)[-40:]


def drop_from_memory(folder: Path) -> None:
    """Make the kernel forget the files of a folder, so that the next reader reads the disk."""
    for file in folder.rglob("*"):
        if file.is_file():
            handle = os.open(file, os.O_RDONLY)
            try:
                os.fsync(handle)
                os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(handle)
