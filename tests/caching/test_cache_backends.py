"""Tags, invalidation and the memory in front of the disk: what one process removes, no other serves."""

from __future__ import annotations

import functools
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

import llmops_sdk as llmops
from llmops_sdk.caching import cache, invalidate, request_key
from llmops_sdk.caching.backends._disk import DiskBackend
from llmops_sdk.caching.backends._disk_flights import DiskFlights
from llmops_sdk.caching.backends._generation import Generation
from llmops_sdk.caching.backends._memory import MemoryTier
from llmops_sdk.caching.backends._protocol import CacheBackend
from llmops_sdk.caching.backends._store import Bid, CacheStore
from llmops_sdk.config import CacheSettings
from llmops_sdk.errors import ConfigError, StoreError


@pytest.fixture
def backend(tmp_path):
    with closing(DiskBackend(tmp_path / "cache", max_bytes=10_000_000)) as backend:
        yield backend


def typed(backend: CacheBackend) -> CacheBackend:
    return backend


def test_it_is_a_backend(backend):
    assert typed(backend).get("a" * 64) is None


# --- Tags ------------------------------------------------------------------------------------------------------------


def tag_rows(backend):
    with closing(sqlite3.connect(f"{backend.place}/cache.db")) as connection:
        return connection.execute("SELECT tag, key FROM Tags ORDER BY tag, key").fetchall()


def test_an_entry_has_several_tags(backend):
    backend.set("k1", b"1", None, ["a", "b"])
    backend.set("k2", b"2", None, ["b"])
    backend.set("k3", b"3", None, [])
    assert backend.delete_tag("a") == 1
    assert [backend.get(key) for key in ("k1", "k2", "k3")] == [None, b"2", b"3"]
    assert tag_rows(backend) == [("b", "k2")]
    assert backend.delete_tag("b") == 1
    assert backend.delete_tag("none") == 0
    assert tag_rows(backend) == []


def test_a_new_value_has_its_own_tags_alone(backend):
    backend.set("k", b"1", None, ["a"])
    backend.set("k", b"2", None, ["b", "b"])
    assert backend.delete_tag("a") == 0
    assert backend.delete_tag("b") == 1


def test_tags_go_with_their_entries(backend):
    for n in range(50):
        backend.set(f"k{n}", b"x", None, ["a", f"t{n}"])
    backend.discard("k0")
    backend.delete("k1")
    assert len(tag_rows(backend)) == 2 * 38  # k1 means k10 to k19, too
    assert backend.clear() == 38
    assert tag_rows(backend) == []


def test_evicted_entries_leave_no_tags(tmp_path):
    with closing(DiskBackend(tmp_path / "cache", max_bytes=400_000)) as backend:
        for n in range(100):
            backend.set(f"k{n}", b"x" * 20_000, None, [f"t{n}"])
        entries, _ = backend.size()
        assert entries < 100
        assert len(tag_rows(backend)) == entries


def test_the_beginning_of_a_key_means_its_entries(backend):
    for key in ("ab1", "ab2", "ac1", "ab"):
        backend.set(key, b"x", None, [])
    assert backend.delete("ab") == 3
    assert backend.get("ac1") == b"x"


def test_a_cache_without_tags_gets_them(tmp_path):
    import diskcache

    old = diskcache.Cache(str(tmp_path / "cache"), disk=diskcache.JSONDisk, tag_index=0)
    old.close()
    with closing(DiskBackend(tmp_path / "cache", max_bytes=1_000_000)) as backend:
        assert backend.set("k", b"1", None, ["a"])
        assert backend.delete_tag("a") == 1


def test_tags_of_calls_and_functions_are_invalidated(own_surroundings):
    calls = []

    @cache(tags=lambda item: [f"item:{item}", "prices"])
    def price(item):
        calls.append(item)
        return 1

    price("a"), price("b"), price("a")
    llmops.chat("Hi", model="offline/echo", cache={"tags": ["prices"]})
    assert len(calls) == 2
    assert invalidate(tag="item:a") == 1
    price("a"), price("b")
    assert calls == ["a", "b", "a"]
    assert invalidate(tag="prices") == 3
    assert llmops.chat("Hi", model="offline/echo", cache=True).cache is None


def test_an_entry_is_invalidated_by_its_key(make, counting, request_, tmp_path, all_lookups):
    provider = make(counting())
    provider.complete(request_)
    assert invalidate(key=all_lookups()[0]["key"], path=tmp_path) == 1
    assert provider.complete(request_).cache is None
    assert invalidate(key=request_key(request_), path=tmp_path) == 1
    assert invalidate(key=request_key(request_), path=tmp_path) == 0


def test_a_function_forgets_the_result_of_some_arguments(tmp_path):
    calls = []

    @cache(path=tmp_path)
    def f(x, y=1):
        calls.append(x)
        return x

    f(1), f(2)
    assert f.cache_invalidate(1) is True
    assert f.cache_invalidate(x=1, y=1) is False
    f(1), f(2)
    assert calls == [1, 2, 1]


@pytest.mark.parametrize("arguments", [{}, {"tag": "a", "key": "a" * 64}])
def test_invalidate_takes_one_of_tag_and_key(arguments):
    with pytest.raises(TypeError, match="either"):
        invalidate(**arguments)


def test_invalidate_refuses_keys_that_mean_many_entries():
    with pytest.raises(ValueError, match="too short"):
        invalidate(key="ab")


def test_invalidate_raises_when_the_cache_is_busy(make, counting, request_, tmp_path, monkeypatch):
    monkeypatch.setattr("llmops_sdk.caching.backends._erase._WAIT", 0.05)
    make(counting(), tags=["a"]).complete(request_)
    with closing(sqlite3.connect(tmp_path / "exact" / "cache.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="try again"):
            invalidate(tag="a", path=tmp_path)
        other.execute("ROLLBACK")
    assert invalidate(tag="a", path=tmp_path) == 1


@pytest.mark.parametrize("tags", [["a"] * 1 + [f"t{n}" for n in range(16)], [""], ["x" * 201], [3]])
def test_wrong_tags_are_errors(tags):
    with pytest.raises(ConfigError):
        CacheSettings(tags=tags)
    with pytest.raises(ConfigError):
        cache(tags=tags)
    with pytest.raises(TypeError, match="list"):
        cache(tags="prices")


# --- Memory ----------------------------------------------------------------------------------------------------------


def rows(folder):
    return sqlite3.connect(folder / "exact" / "cache.db", isolation_level=None)


def test_a_hit_in_memory_needs_neither_the_disk_nor_a_thread(make, counting, request_, tmp_path):
    provider = make(counting())
    provider.complete(request_)
    with closing(rows(tmp_path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert provider.complete(request_).cache == "exact"
        other.execute("ROLLBACK")


def test_no_caller_changes_what_the_next_one_gets(make, counting, request_, good):
    from dataclasses import replace

    block = {"type": "thinking", "thinking": "hm", "list": [1]}
    provider = make(counting(replace(good, thinking_blocks=(block,))))
    provider.complete(request_)
    provider.complete(request_).thinking_blocks[0]["list"].append(2)
    assert provider.complete(request_).thinking_blocks[0]["list"] == [1]


REMOVALS = {
    "tag": "invalidate(tag='a', path=path)",
    "key": "invalidate(key=request_key(request), path=path)",
    "clear": "CacheProvider(None, CacheSettings(exact=True), path=path).clear()",
    "erase": "erase(path)",
}


@pytest.mark.parametrize("how", REMOVALS)
def test_what_another_process_removes_is_not_served_from_memory(make, counting, request_, tmp_path, how):
    provider = make(counting(), tags=["a"])
    provider.complete(request_)
    assert provider.complete(request_).cache == "exact"
    program = f"""
import pathlib, sys
from llmops_sdk.caching import CacheProvider, erase, invalidate, request_key
from llmops_sdk.config import CacheSettings
from llmops_sdk.providers import Request
path = pathlib.Path(sys.argv[1])
request = Request(model="script/one", messages=[{{"role": "user", "content": "The capital of France?"}}])
assert {REMOVALS[how]} == 1
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert provider.complete(request_).cache is None


def test_memory_is_read_again_after_a_minute(make, counting, request_, tmp_path, clock):
    provider = make(counting(), ttl=None)
    provider.complete(request_)
    with closing(rows(tmp_path)) as other:
        other.execute("DELETE FROM Cache")
    clock.advance(59)
    assert provider.complete(request_).cache == "exact"
    clock.advance(1)
    assert provider.complete(request_).cache is None


def test_memory_is_bounded():
    tier = MemoryTier()
    for n in range(5_000):
        tier.put(("here", f"{n}"), b"x" * 10_000, 1, 0.0)
    assert tier._bytes <= 16 * 1024 * 1024
    assert tier._bytes == sum(len(one.data) for one in tier._entries.values())
    for n in range(6_000):
        tier.put(("here", f"{n}"), b"", 1, 0.0)
    assert len(tier._entries) <= 4_096
    tier.put(("here", "big"), b"x" * 1_000_000, 1, 0.0)
    assert tier.get(("here", "big"), 1, 0.0) is None


def test_memory_of_another_generation_is_dropped():
    tier = MemoryTier()
    tier.put(("here", "k"), b"1", 1, 0.0)
    assert tier.get(("here", "k"), 2, 0.0) is None
    assert tier.get(("here", "k"), 1, 0.0) is None
    tier.put(("here", "k"), b"1", None, 0.0)
    assert tier.get(("here", "k"), None, 0.0) is None, "a store that cannot tell has no memory"


def test_every_removal_is_another_generation(tmp_path):
    generation = Generation(tmp_path)
    assert generation.current() is None
    seen = set()
    for _ in range(300):
        generation.change()
        seen.add(generation.current())
    assert len(seen) == 300
    (tmp_path / "generation").write_bytes(b"." * 1_000_001)
    before = generation.current()
    generation.change()
    assert generation.current() != before
    assert (tmp_path / "generation").stat().st_size < 100


def test_a_missing_folder_has_no_generation_to_change(tmp_path):
    Generation(tmp_path / "none").change()
    assert not (tmp_path / "none").exists()


# --- Flights ---------------------------------------------------------------------------------------------------------


def test_flights_leave_no_files_behind(make, counting, request_, tmp_path):
    from dataclasses import replace

    provider = make(counting())
    for n in range(20):
        provider.complete(replace(request_, messages=[{"role": "user", "content": f"{n}"}]))
    provider.close()  # after what its thread has to do
    assert list((tmp_path / "exact" / "flights").iterdir()) == []


def test_files_of_unshared_flights_are_swept(tmp_path):
    flights = DiskFlights(tmp_path)
    for n in range(300):
        assert flights.acquire(f"k{n}", f"t{n}")
        flights.release(f"k{n}", f"t{n}", "unshared")
    assert flights.acquire("led", "token")
    DiskFlights(tmp_path)._sweep()
    assert [path.name for path in (tmp_path / "flights").iterdir()] == [Path(flights._path("led")).name]
    assert not flights.acquire("led", "other")
    flights.release("led", "token", "")


def test_a_mark_changes_with_each_unshared_flight(tmp_path):
    flights = DiskFlights(tmp_path)
    marks = [flights.mark("k")]
    for n in range(3):
        assert flights.acquire("k", f"t{n}")
        assert flights.mark("k") == marks[-1]
        flights.release("k", f"t{n}", "unshared")
        marks.append(flights.mark("k"))
    assert marks[0] == ""
    assert len(set(marks)) == 4


def test_many_leaders_of_one_key_exclude_each_other(tmp_path):
    """Leaders remove their file while others open it: two must never lead at once."""
    leading, most, lock = 0, 0, threading.Lock()

    def lead(name):
        nonlocal leading, most
        flights = DiskFlights(tmp_path)
        done = 0
        while done < 100:
            token = f"{name}-{done}"
            if not flights.acquire("k", token):
                continue
            with lock:
                leading += 1
                most = max(most, leading)
            with lock:
                leading -= 1
            flights.release("k", token, "")
            done += 1

    threads = [threading.Thread(target=lead, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_a_store_that_fails_lets_everybody_lead(tmp_path, application):
    (tmp_path / "file").write_text("no folder")
    store = CacheStore(functools.partial(DiskBackend, tmp_path / "file", max_bytes=1_000_000))
    for token in "ab":
        turn = store.lead(Bid("k", "k", lambda data: data, token, None))
        assert (turn.found, turn.leads) == (None, True)
        store.release("k", token)
    store.close()
