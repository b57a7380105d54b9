"""Compare the store with a model: in any order of events, each acknowledged record is found exactly once."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from span_writer import PlainSpan

from llmops_sdk.store import StoreSink, connect, query
from llmops_sdk.store.files._layout import list_data_files, list_segments
from llmops_sdk.store.files._manifest import Manifest, read_manifest
from llmops_sdk.store.maintenance._compact import compact_store
from llmops_sdk.tracing.records._records import LossRecord, ScoreRecord

YEAR = 365 * 86_400.0
LONG = bool(os.environ.get("LLMOPS_TEST_LONG"))

EVERYTHING = """
SELECT 'span' AS what, span_id AS text FROM spans UNION ALL SELECT 'score', name FROM scores
UNION ALL SELECT 'told', coalesce(sum(count), 0)::VARCHAR FROM losses WHERE reason = 'told'
"""
seats = st.integers(0, 2)


class Clock:
    """The wall clock of a sink, which may be years off."""

    def __init__(self) -> None:
        self.now = 1_795_000_000.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    async def asleep(self, seconds: float) -> None:
        self.now += seconds


class StoreMachine(RuleBasedStateMachine):
    """Three writers, a compactor, retention and readers of one store."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="llmops-model-"))
        self.store = self.folder / "store"
        self.clock = Clock()
        self.sinks: dict[int, StoreSink] = {}
        self.numbers = itertools.count(1)
        self.acknowledged: set[int] = set()
        self.scores: set[str] = set()
        self.told = 0
        """What was reported as lost by whoever writes."""
        self.seen: set[int] = set()
        self.torn = 0
        self.forgotten = False
        """Whether a manifest was lost that counted lines which cannot be read, or files that were dropped."""
        self.connection: tuple[object, list[int]] | None = None

    def sink(self, seat: int) -> StoreSink:
        if seat not in self.sinks:
            self.sinks[seat] = StoreSink(
                self.store,
                segment_bytes=2_500,
                segment_seconds=10 * YEAR,
                retention_days=None,
                compaction="manual",
                clock=self.clock,
            )
        return self.sinks[seat]

    def covered(self) -> Manifest:
        return read_manifest(self.store) or Manifest()

    @rule(seat=seats, count=st.integers(1, 9))
    def write(self, seat: int, count: int) -> None:
        batch = [next(self.numbers) for _ in range(count)]
        assert self.sink(seat).write([PlainSpan(span_id=one) for one in batch]) == count
        self.acknowledged |= set(batch)

    @rule(seat=seats)
    def write_score_and_loss(self, seat: int) -> None:
        name = f"score-{next(self.numbers)}"
        score = ScoreRecord(
            trace_id="1" * 32, span_id=None, name=name, value=1.0, label=None, comment=None, source="me", time_ns=1
        )
        self.sink(seat).write([score, LossRecord(time_ns=1, what="input", reason="told", count=3, bytes=1)])
        self.scores.add(name)
        self.told += 3

    @rule(seat=seats)
    def seal(self, seat: int) -> None:
        if seat in self.sinks:
            self.sinks.pop(seat).close(1.0)

    @rule(seat=seats, tail=st.sampled_from([b"", b'{"trace_id":"1","span', b"\0" * 300]))
    def die(self, seat: int, tail: bytes) -> None:
        """A writer ends in the middle: it lets go of its files without a seal, the last line torn."""
        if seat not in self.sinks:
            return
        sink = self.sinks.pop(seat)
        sink._write_losses([])
        live = self.live_spans(sink)
        sink.after_fork()
        if live is not None and tail:
            with live.open("ab") as file:
                file.write(tail)
            self.torn += 1

    def live_spans(self, sink: StoreSink) -> Path | None:
        if not sink._writers["spans"].is_open:
            return None
        wanted = os.fstat(sink._writers["spans"]._descriptor).st_ino
        return next(s.path for s in list_segments(self.store) if s.path.stat().st_ino == wanted)

    @rule(seat=seats)
    def fork(self, seat: int) -> None:
        """A child writes on with its parent's sink: here its descriptors are copies of the parent's."""
        sink = self.sink(seat)
        kept = [os.dup(w._descriptor) for w in sink._writers.values() if w.is_open]
        sink._write_losses([])
        sink.after_fork()
        batch = next(self.numbers)
        sink.write([PlainSpan(span_id=batch)])
        self.acknowledged.add(batch)
        for descriptor in kept:
            os.close(descriptor)

    @rule(times=st.sampled_from([1, 1, 8]))
    def compact(self, times: int) -> None:
        """Several times with a span between, so that files are put together."""
        for _ in range(times):
            self.write(0, 1)
            self.seal(0)
            assert compact_store(self.store, grace=0.0).skipped == 0

    @rule()
    def compact_with_grace(self) -> None:
        compact_store(self.store)

    @precondition(lambda self: self.store.exists())
    @rule(seat=seats, share=st.sampled_from([0.3, 0.7]))
    def drop_by_size(self, seat: int, share: float) -> None:
        manifest = self.covered()
        size = sum(s.path.stat().st_size for s in list_segments(self.store, manifest.covered))
        size += sum(file.bytes for file in manifest.files)
        self.let_connection_go()
        dropper = StoreSink(
            self.store, max_bytes=max(int(size * share), 1), retention_days=None, compaction="manual", clock=self.clock
        )
        dropper.close(1.0)
        self.account()

    @rule(years=st.sampled_from([-3, 3]))
    def drop_by_age(self, years: int) -> None:
        self.let_connection_go()
        clock = Clock()
        clock.now += years * YEAR
        StoreSink(self.store, retention_days=90.0, compaction="manual", clock=clock).close(1.0)
        self.account()

    @rule(years=st.sampled_from([-20, 20]))
    def clock_jumps(self, years: int) -> None:
        self.clock.now = 1_795_000_000.0 + years * YEAR

    @precondition(lambda self: self.store.exists())
    @rule(years=st.sampled_from([-20, 20]))
    def files_have_the_time_of_another_clock(self, years: int) -> None:
        for segment in list_segments(self.store):
            os.utime(segment.path, (self.clock.now, self.clock.now + years * YEAR))

    @precondition(lambda self: self.store.exists() and list_data_files(self.store))
    @rule()
    def lose_manifest(self) -> None:
        # Dropped files that wait for their removal come back, and counts of unreadable lines go with it.
        compact_store(self.store, grace=0.0)
        compact_store(self.store, grace=0.0)
        if not list_data_files(self.store):
            return
        self.forgotten = self.forgotten or bool(self.covered().unreadable)
        (self.store / "MANIFEST.json").unlink()

    @rule()
    def hold_connection(self) -> None:
        self.let_connection_go()
        connection = connect(path=self.store)
        self.connection = connection, self.ask(connection)

    @precondition(lambda self: self.connection is not None)
    @rule()
    def read_again(self) -> None:
        """It sees at least what it saw, once, whatever was compacted since."""
        assert self.connection is not None
        connection, before = self.connection
        now = self.ask(connection)
        assert len(now) == len(set(now))
        assert set(before) <= set(now) <= self.acknowledged

    def let_connection_go(self) -> None:
        if self.connection is not None:
            self.connection[0].close()  # type: ignore[attr-defined]
            self.connection = None

    @staticmethod
    def ask(connection) -> list[int]:
        return [int(one, 16) for (one,) in connection.execute("SELECT span_id FROM spans").fetchall()]

    def dropped(self) -> int:
        sql = "SELECT coalesce(sum(count), 0) FROM losses WHERE what = 'segment'"
        return int(query(sql, path=self.store).scalar())

    def found(self) -> list[int]:
        return [int(one, 16) for (one,) in query("SELECT span_id FROM spans", path=self.store).rows()]

    def account(self) -> None:
        """After files were dropped: what is not there any more is counted, scores and losses too."""
        found = self.found()
        assert len(found) == len(set(found))
        gone = self.acknowledged - set(found)
        before = getattr(self, "counted", 0)
        scores = {name for (name,) in query("SELECT name FROM scores", path=self.store).rows()}
        counted = self.dropped()
        # Counts of losses may themselves be in a file that was dropped, so the equation is of this step alone
        # where none was.
        lost_scores = self.scores - scores
        told = int(query("SELECT coalesce(sum(count), 0) FROM losses WHERE reason = 'told'", path=self.store).scalar())
        if told == self.told and counted >= before:
            rows = len(gone) + len(lost_scores)
            # A torn line is counted with the file that it is in.
            assert rows <= counted - before <= rows + self.torn
        self.acknowledged -= gone
        self.scores -= lost_scores
        self.told = told
        self.counted = counted

    @invariant()
    def everything_is_found_once(self) -> None:
        if not hasattr(self, "store"):
            return
        rows = query(EVERYTHING, path=self.store).rows()
        found = [int(text, 16) for what, text in rows if what == "span"]
        assert len(found) == len(set(found))
        assert set(found) == self.acknowledged
        assert sorted(text for what, text in rows if what == "score") == sorted(self.scores)
        assert [int(text) for what, text in rows if what == "told"] == [self.told]

    def teardown(self) -> None:
        if not hasattr(self, "store"):
            return
        self.let_connection_go()
        for sink in self.sinks.values():
            sink.close(1.0)
        shutil.rmtree(self.folder)


StoreMachine.TestCase.settings = settings(
    max_examples=200 if LONG else 8,
    stateful_step_count=40 if LONG else 14,
    suppress_health_check=list(HealthCheck),
)
TestStore = pytest.mark.thorough(StoreMachine.TestCase)
