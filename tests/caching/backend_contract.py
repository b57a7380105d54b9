"""What every store of entries does: `CacheBackend` and `SemanticBackend`.

The fast tests run these cases on the disk, the integration tests on real servers. A test class derives from a contract
and gives the fixture `make_backend`; every object that it makes uses the same store.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from llmops_sdk.caching.backends._store import Bid, CacheStore, new_token
from llmops_sdk.caching.semantic._entries import NewEntry

__all__ = ["BackendContract", "SemanticContract", "eventually"]

KEY = "ab" * 32
ODD_TAGS = ["user:7", "a b", "Ü", "日本", "x" * 200, "nul\0nul", "*", "'; DROP TABLE x; --", "{schema}", "%s"]


def eventually(done: Callable[[], Any], what: str, within: float = 60.0) -> None:
    end = time.monotonic() + within
    while not done():
        assert time.monotonic() < end, f"{what}: not within {within:g} s"
        threading.Event().wait(0.01)


class BackendContract:
    """The cases of `CacheBackend`."""

    @pytest.fixture
    def backend(self, make_backend):
        with closing(make_backend()) as backend:
            assert backend.get(KEY) is None  # every flight begins with a look
            yield backend

    @pytest.fixture
    def other(self, make_backend):
        """Return what another process has."""
        with closing(make_backend()) as backend:
            yield backend

    def test_a_value_is_found_until_it_is_replaced_or_removed(self, backend):
        assert backend.get(KEY) is None
        for value in (b"1", bytes(range(256)) * 400, b"\0", b"%s {schema}"):
            assert backend.set(KEY, value, 60.0, [])
            assert backend.get(KEY) == value
            assert type(backend.get(KEY)) is bytes
        assert backend.size()[0] == 1
        assert backend.size()[1] > 0
        backend.discard(KEY)
        backend.discard(KEY)
        assert backend.get(KEY) is None

    def test_a_value_expires(self, backend):
        assert backend.set(KEY, b"1", 0.05, ["t"])
        eventually(lambda: backend.get(KEY) is None, "the expiry")
        assert backend.set(KEY, b"2", None, [])
        assert backend.get(KEY) == b"2"

    def test_a_large_value_is_not_stored(self, backend):
        assert not backend.set(KEY, b"x" * 200_000, 60.0, [])
        assert backend.get(KEY) is None

    def test_values_and_removals_are_shared(self, backend, other):
        backend.set(KEY, b"1", 60.0, ["t"])
        assert other.get(KEY) == b"1"
        other.set(KEY, b"2", 60.0, ["t"])
        assert backend.get(KEY) == b"2"
        assert backend.delete_tag("t") == 1
        assert other.get(KEY) is None

    @pytest.mark.parametrize("tag", ODD_TAGS)
    def test_a_tag_removes_its_entries_only(self, backend, tag):
        for number in range(3):
            backend.set(f"with-{number}", b"1", 60.0, [tag, "all"])
        backend.set("without", b"1", 60.0, ["all", f"{tag[:100]}."])
        assert backend.delete_tag(tag) == 3
        assert backend.delete_tag(tag) == 0
        assert backend.get("with-0") is None
        assert backend.get("without") == b"1"
        assert backend.delete_tag("all") == 1

    def test_the_tags_of_a_replaced_value_end(self, backend):
        backend.set(KEY, b"1", 60.0, ["old", "both"])
        backend.set(KEY, b"2", 60.0, ["both", "new"])
        assert backend.delete_tag("old") == 0
        assert backend.get(KEY) == b"2"
        assert backend.delete_tag("new") == 1
        assert backend.delete_tag("both") == 0
        backend.set(KEY, b"3", 60.0, [])
        assert backend.delete_tag("both") == 0
        assert backend.get(KEY) == b"3"

    def test_a_beginning_removes_the_keys_that_begin_so(self, backend):
        for key in ("abc1", "abc2", "abd", "a*c3", "[ab]c4", "a?c"):
            backend.set(key, b"1", 60.0, [])
        assert backend.delete("a*c") == 1
        assert backend.delete("[ab]") == 1
        assert backend.delete("a?") == 1
        assert backend.delete("%") == 0
        assert backend.delete("abc") == 2
        assert backend.get("abd") == b"1"

    def test_clear_removes_everything(self, backend, other):
        for number in range(20):
            backend.set(f"k{number}", b"1", 60.0, [f"t{number % 3}"])
        assert backend.clear() == 20
        assert other.size()[0] == 0
        assert other.delete_tag("t1") == 0

    def test_it_goes_on_after_close(self, backend):
        backend.set(KEY, b"1", 60.0, [])
        backend.close()
        backend.close()
        assert backend.get(KEY) == b"1"

    def test_one_leads_a_flight(self, backend, other):
        one, two = new_token(), new_token()
        assert backend.acquire(KEY, one)
        assert not other.acquire(KEY, two)
        other.release(KEY, two, "unshared")  # it does not lead
        assert not other.acquire(KEY, two)
        assert other.mark(KEY) == ""
        backend.release(KEY, one, "")
        assert other.acquire(KEY, two)
        assert not backend.acquire(KEY, one)
        other.release(KEY, two, "")

    def test_the_mark_changes_with_each_unshared_end(self, backend, other):
        marks = [backend.mark(KEY)]
        for note in ("unshared", "", "unshared"):
            token = new_token()
            assert backend.acquire(KEY, token)
            assert other.mark(KEY) == marks[-1]
            backend.release(KEY, token, note)
            marks.append(other.mark(KEY))
        assert marks[0] == ""
        assert marks[1] == marks[2] != ""
        assert marks[3] not in marks[:3]
        assert backend.mark("another") == ""

    def test_of_many_at_once_one_leads(self, make_backend):
        made = [make_backend() for _ in range(8)]
        start = threading.Barrier(8)

        def bid(backend):
            backend.get(KEY)
            token = new_token()
            start.wait(60)
            return (backend, token) if backend.acquire(KEY, token) else None

        with ThreadPoolExecutor(8) as pool:
            leaders = [one for one in pool.map(bid, made) if one is not None]
        assert len(leaders) == 1
        leaders[0][0].release(KEY, leaders[0][1], "")
        for backend in made:
            backend.close()

    def test_its_threads_may_use_it_at_once(self, backend):
        def use(thread):
            for number in range(40):
                key = f"{thread}-{number % 5}"
                backend.set(key, key.encode() * 50, 60.0, [f"t{thread}"])
                assert backend.get(key) == key.encode() * 50
            return backend.delete_tag(f"t{thread}")

        with ThreadPoolExecutor(backend.workers) as pool:
            assert list(pool.map(use, range(backend.workers))) == [5] * backend.workers
        assert backend.size()[0] == 0

    def test_followers_get_the_leaders_value(self, make_backend):
        leader, follower = CacheStore(make_backend), CacheStore(make_backend)

        def bid(owner):
            return Bid(KEY, KEY, bytes, new_token(), owner)

        first, second = bid("one"), bid("two")
        assert leader.lead(first).leads
        turn = follower.lead(second)
        assert (turn.leads, turn.found) == (False, None)
        assert not follower.follow(second, turn.mark).leads
        assert leader.put(KEY, b"value", None)
        leader.release(KEY, first.token)
        assert follower.follow(second, turn.mark).found == b"value"
        leader.close()
        follower.close()


class SemanticContract:
    """The cases of `SemanticBackend`."""

    @pytest.fixture
    def backend(self, make_backend):
        with closing(make_backend()) as backend:
            yield backend

    @pytest.fixture
    def other(self, make_backend):
        with closing(make_backend()) as backend:
            yield backend

    ENTRY = NewEntry(
        scope="s\n1", text="Why?", earlier="", vector=b"\0\0\x80?" * 4, value=b'"Because"', group=None, tags=("t",),
        stored_at=1_000.0, expires_at=None,
    )  # fmt: skip

    def test_entries_come_in_order_of_their_ids(self, backend, other):
        ids = [backend.insert(replace(self.ENTRY, text=f"q{number}\0%s")) for number in range(5)]
        assert ids == sorted(set(ids))
        found = other.entries("s\n1", 0, 100)
        assert [one.id for one in found] == ids
        assert [one.text for one in found] == [f"q{number}\0%s" for number in range(5)]
        assert {one.vector for one in found} == {self.ENTRY.vector}
        backend.insert(replace(self.ENTRY, scope="s2", earlier='[["user", "\\u0000 %s"]]'))
        assert [one.earlier for one in other.entries("s2", 0, 9)] == ['[["user", "\\u0000 %s"]]']
        assert [one.id for one in other.entries("s\n1", ids[2], 1)] == ids[3:4]
        assert other.entries("s", 0, 100) == []

    def test_entries_of_one_answer_have_one_group(self, backend):
        first = backend.insert(self.ENTRY)
        backend.insert(replace(self.ENTRY, group=first))
        assert [one.group for one in backend.entries("s\n1", 0, 9)] == [first, first]

    def test_an_answer_is_found_until_it_expires(self, backend, other):
        one = backend.insert(replace(self.ENTRY, expires_at=2_000.0))
        assert other.value(one, 1_500.0) == (b'"Because"', 1_000.0)
        assert other.value(one, 2_000.0) is None
        assert other.value(one + 1, 1_500.0) is None
        assert backend.entries("s\n1", 0, 9)[0].expires_at == 2_000.0

    def test_removals_are_told_once(self, backend, other):
        position, entries = other.removed(None)
        assert entries is None
        ids = [backend.insert(replace(self.ENTRY, tags=(f"t{number}",))) for number in range(4)]
        assert other.removed(position) == (position, [])
        assert backend.delete(ids[:1]) == 1
        assert backend.delete([]) == 0
        assert backend.delete_tag("t1") == 1
        assert backend.delete_tag("t1") == 0
        position, entries = other.removed(position)
        assert entries == ids[:2]
        assert backend.delete_scope("s\n1") == 2
        assert sorted(other.removed(position).entries) == ids[2:]
        assert other.removed(position + 1_000_000).entries is None

    def test_expired_entries_make_room(self, backend):
        old = backend.insert(replace(self.ENTRY, expires_at=1_001.0))
        backend.insert(replace(self.ENTRY, stored_at=5_000.0))
        assert backend.size()[0] == 1
        assert backend.value(old, 1_000.5) is None

    def test_the_least_recently_used_make_room(self, backend):
        ids = [backend.insert(replace(self.ENTRY, stored_at=float(number))) for number in range(50)]
        assert backend.value(ids[0], 10_000.0)
        for number in range(50, 260):
            backend.insert(replace(self.ENTRY, stored_at=float(number)))
        assert backend.size()[0] < 100 + 64
        assert backend.value(ids[0], 10_000.0)
        assert backend.value(ids[1], 10_000.0) is None

    def test_labels_are_summed_in_their_epoch(self, backend, other):
        assert backend.labels("kind\n1") == []
        assert backend.add_label("kind\n1", 3, right=True, audit=False, pair=b"1")
        assert other.add_label("kind\n1", 3, right=True, audit=True, pair=b"2")
        assert other.add_label("kind\n1", 3, right=False, audit=True, pair=b"3")
        assert backend.add_label("other", 3, right=False, audit=False, pair=b"1")
        assert backend.labels("kind\n1") == [(0, 3, 2, 1, 1, 1)]
        backend.end_epoch("kind\n1", 1)  # not the latest
        other.end_epoch("kind\n1", 0)
        backend.end_epoch("kind\n1", 0)
        assert backend.add_label("kind\n1", 5, right=True, audit=False, pair=b"1")
        assert max(other.labels("kind\n1")) == (1, 5, 1, 0, 0, 0)
        assert {row.epoch for row in other.labels("kind\n1")} == {1}

    def test_a_pair_of_questions_counts_once_each_way_for_every_process(self, backend, other):
        assert backend.add_label("k", 3, right=True, audit=False, pair=b"1")
        assert not other.add_label("k", 3, right=True, audit=True, pair=b"1")
        assert other.add_label("k", 3, right=False, audit=True, pair=b"1")
        assert not backend.add_label("k", 4, right=False, audit=False, pair=b"1")
        assert backend.labels("k") == [(0, 3, 1, 1, 0, 1)]

    def test_the_latest_labels_of_the_epoch_are_known_in_order(self, backend, other):
        assert backend.recent_labels("k", 3) == []
        for number in range(4):
            backend.add_label("k", number, right=number != 2, audit=number == 3, pair=bytes([number]))
        backend.add_label("other", 9, right=True, audit=False, pair=b"1")
        assert other.recent_labels("k", 3) == [(1, True, False), (2, False, False), (3, True, True)]
        backend.end_epoch("k", 0)
        assert other.recent_labels("k", 3) == []

    def test_clear_removes_entries_and_labels(self, backend, other):
        ids = [backend.insert(self.ENTRY) for _ in range(3)]
        backend.add_label("k", 1, right=True, audit=False, pair=b"1")
        assert backend.clear() == 3
        assert other.labels("k") == []
        assert other.recent_labels("k", 1) == []
        assert other.size()[0] == 0
        assert backend.insert(self.ENTRY) > max(ids)

    def test_a_reader_misses_no_entry_of_many_writers(self, make_backend):
        def write():
            with closing(make_backend()) as backend:
                return [backend.insert(self.ENTRY) for _ in range(25)]

        found: list[int] = []
        with closing(make_backend()) as reader, ThreadPoolExecutor(4) as pool:
            writing = [pool.submit(write) for _ in range(4)]
            while True:
                ended = all(one.done() for one in writing)
                found += [one.id for one in reader.entries("s\n1", found[-1] if found else 0, 7)]
                if ended and not reader.entries("s\n1", found[-1], 7):
                    break
        written = sorted(number for one in writing for number in one.result())
        assert found == written
