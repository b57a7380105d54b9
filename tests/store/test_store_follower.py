"""The follower returns each line once, or counts it in a gap, whatever happens to the segments and to itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from span_writer import PlainSpan

from llmops_sdk.errors import StoreError
from llmops_sdk.store import StoreSink, prune, query
from llmops_sdk.store.files._segment import SEAL_PREFIX
from llmops_sdk.store.maintenance._compact import compact_store
from llmops_sdk.store.reading._follow import Follower, Gap, Lines

STREAMS = ("spans", "scores")


def read_all(follower: Follower, limit: int = 10_000) -> tuple[list[bytes], int]:
    """Return the new lines and the bytes of the gaps."""
    lines: list[bytes] = []
    missed = 0
    while found := follower.read(limit):
        assert sum(len(one.lines) for one in found if isinstance(one, Lines)) <= limit
        for one in found:
            if isinstance(one, Gap):
                missed += one.bytes
            else:
                lines += one.lines
    return lines, missed


def compact_and_remove(store: Path) -> None:
    """Compact, and remove the segments at once: the second run sweeps what the first one retired."""
    for _ in range(2):
        compact_store(store, grace=0.0)


def ids(lines: list[bytes]) -> list[int]:
    return [int(json.loads(line)["span_id"], 16) for line in lines]


def line(number: int) -> bytes:
    return b'{"trace_id":"1","span_id":"%016x","name":"n"}' % number


@pytest.fixture
def segment(store: Path) -> Path:
    (store / "wal").mkdir(parents=True)
    return store / "wal" / "host-1-a-1.v1.ndjson"


class Interleavings(RuleBasedStateMachine):
    """Two writers, rotation, compaction that removes at once, kills, and a follower that stops and goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.temporary = TemporaryDirectory()
        self.store = Path(self.temporary.name) / "store"
        self.sinks = [StoreSink(self.store, compaction="manual") for _ in range(2)]
        self.follower = Follower(self.store, STREAMS)
        self.position = ""
        self.written = 0
        self.read: list[int] = []
        self.read_bytes = self.missed = 0

    @rule(which=st.integers(0, 1), count=st.integers(1, 4))
    def write(self, which: int, count: int) -> None:
        self.sinks[which].write([PlainSpan(span_id=self.written + number + 1) for number in range(count)])
        self.written += count

    @rule(which=st.integers(0, 1))
    def rotate(self, which: int) -> None:
        self.sinks[which].close(1.0)

    @rule(remove=st.booleans())
    def compact(self, remove: bool) -> None:
        (compact_and_remove if remove else compact_store)(self.store)

    @rule(limit=st.sampled_from([1, 3, 100]), whole=st.booleans())
    def follow(self, limit: int, whole: bool) -> None:
        for _ in range(1_000 if whole else 1):
            found = self.follower.read(limit)
            for one in found:
                if isinstance(one, Gap):
                    self.missed += one.bytes
                else:
                    self.read += ids(list(one.lines))
                    self.read_bytes += sum(len(text) + 1 for text in one.lines)
            if not found:
                return

    @rule()
    def save(self) -> None:
        self.position = self.follower.position
        self.saved = (list(self.read), self.read_bytes, self.missed)

    @rule()
    def resume(self) -> None:
        if self.position:
            # As after a crash: what was read since is read again, once.
            self.read, self.read_bytes, self.missed = self.saved[0][:], *self.saved[1:]
            self.follower.close()
            self.follower = Follower(self.store, STREAMS, self.position)

    @invariant()
    def no_line_comes_twice(self) -> None:
        assert len(set(self.read)) == len(self.read)

    def teardown(self) -> None:
        for sink in self.sinks:
            sink.close(1.0)
        self.follow(limit=100, whole=True)
        compact_and_remove(self.store)
        self.follow(limit=100, whole=True)
        [size] = (
            json.loads((self.store / "MANIFEST.json").read_bytes())["taken_bytes"].values() if self.written else [0]
        )
        self.follower.close()
        self.temporary.cleanup()
        assert self.read_bytes + self.missed == size
        assert self.missed > 0 or sorted(self.read) == list(range(1, self.written + 1))


@pytest.mark.slow
def test_each_line_is_read_once_or_counted_in_a_gap():
    run_state_machine_as_test(Interleavings, settings=settings(max_examples=10, stateful_step_count=20, deadline=None))


def test_a_follower_goes_on_where_another_stopped(store, sink, make_span):
    sink.write([make_span(span_id=1)])
    follower = Follower(store, STREAMS)
    sink.write([make_span(span_id=number) for number in (2, 3, 4)])
    assert ids(read_all(Follower(store, STREAMS, follower.position))[0]) == [2, 3, 4]
    [first] = follower.read(1)
    assert isinstance(first, Lines)
    assert ids(list(first.lines)) == [2]
    again = Follower(store, STREAMS, follower.position)
    sink.close(1.0)
    sink.write([make_span(span_id=5)])
    assert ids(read_all(again)[0]) == [3, 4, 5]
    assert ids(read_all(follower)[0]) == [3, 4, 5]
    for one in (follower, again):
        one.close()


def test_compaction_that_leaves_segments_for_their_grace_makes_no_gap(store, sink, make_span):
    follower = Follower(store, STREAMS)
    position = follower.position
    sink.write([make_span(span_id=1)])
    sink.close(1.0)
    compact_store(store)
    followers = (follower, Follower(store, STREAMS, position))
    for one in followers:
        lines, missed = read_all(one)
        assert (ids(lines), missed) == ([1], 0)
    compact_and_remove(store)
    for one in followers:
        assert read_all(one) == ([], 0)
        one.close()


def test_lines_compacted_while_away_are_a_gap_of_their_bytes(store, sink, make_span):
    follower = Follower(store, STREAMS)
    sink.write([make_span(span_id=1)])
    read_all(follower)
    position = follower.position
    follower.close()
    sink.write([make_span(span_id=2)])
    sink.close(1.0)
    sink.write([make_span(span_id=3)])
    sink.close(1.0)
    lines = [one for file in (store / "wal").glob("*.ndjson") for one in file.read_bytes().splitlines(keepends=True)]
    size = sum(len(one) for one in lines if not one.startswith(SEAL_PREFIX))
    compact_and_remove(store)
    again = Follower(store, STREAMS, position)
    sink.write([make_span(span_id=4)])
    found = again.read()
    assert [type(one) for one in found] == [Lines, Gap]
    assert ids(list(found[0].lines)) == [4]
    assert found[1] == Gap("spans", size * 2 // 3)  # three lines of one length
    assert again.read() == []
    again.close()


def test_a_pruned_line_makes_no_gap_and_comes_once(store, sink, make_span):
    follower = Follower(store, STREAMS)
    sink.write([make_span(span_id=1, trace_id=1), make_span(span_id=2, trace_id=2)])
    assert ids(read_all(follower)[0]) == [1, 2]
    prune(trace_id=f"{1:032x}", path=store)
    sink.close(1.0)
    compact_and_remove(store)
    assert read_all(follower) == ([], 0)
    assert query("SELECT count(*) FROM spans", path=store).scalar() == 1
    follower.close()


@pytest.mark.parametrize("torn", [b"", line(3)[:20], line(3)])
def test_a_torn_last_line_makes_no_gap(store, segment, torn):
    follower = Follower(store, STREAMS)
    segment.write_bytes(line(1) + b"\n" + line(2) + b"\n" + torn)
    assert ids(read_all(follower)[0]) == ([1, 2, 3] if torn == line(3) else [1, 2])
    position = follower.position
    compact_and_remove(store)
    for one in (follower, Follower(store, STREAMS, position)):
        assert read_all(one) == ([], 0)
        one.close()


@pytest.mark.thorough
def test_killed_writers_and_a_compactor_between_reads_lose_and_repeat_nothing(store, writer_program):
    position = Follower(store, STREAMS).position
    found: list[bytes] = []
    for name in ("a", "b", "c"):
        process = subprocess.Popen(
            [sys.executable, writer_program, store, name, "0", "20"], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for _ in range(40):
            process.stdout.readline()
            follower = Follower(store, STREAMS, position)
            for one in follower.read(500):
                assert isinstance(one, Lines)
                found += one.lines
            position = follower.position
            follower.close()
        process.kill()
        process.communicate()
        compact_store(store)
    follower = Follower(store, STREAMS, position)
    lines, missed = read_all(follower)
    follower.close()
    rows = query("SELECT name, span_id FROM spans", path=store).rows()
    got = [(one["name"], one["span_id"]) for one in map(orjson.loads, found + lines)]
    assert missed == 0
    assert sorted(got) == sorted(rows)


def test_a_position_is_short_and_a_wrong_one_is_refused(store, segment):
    for number in range(64):
        segment.with_name(f"host-{number}-a-1.v1.ndjson").write_bytes(line(number) + b"\n")
    follower = Follower(store, STREAMS)
    assert len(follower.position) < 64 * 40
    follower.close()
    for wrong in ("", "x", "W10=", follower.position[:-9]):
        with pytest.raises(StoreError, match="position"):
            Follower(store, STREAMS, wrong)
