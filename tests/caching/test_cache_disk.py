"""The disk: it never runs what it holds, and none of its failures reaches the call."""

from __future__ import annotations

import functools
import logging
import os
import pickle
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from dataclasses import replace

import pytest

from llmops_sdk._util._guard import failures
from llmops_sdk.caching import cache, request_key
from llmops_sdk.caching.backends._disk import DiskBackend, check_database, set_aside
from llmops_sdk.caching.backends._store import CacheStore
from llmops_sdk.errors import StoreError
from llmops_sdk.testing import ManualClock


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def database(path):
    return sqlite3.connect(path / "exact" / "cache.db", isolation_level=None)


@pytest.mark.parametrize("place", ["row", "file", "outside"])
def test_a_planted_pickle_is_not_run(make, counting, request_, tmp_path, place):
    inner = counting()
    provider = make(inner)
    provider.complete(request_)
    provider.close()
    bomb = pickle.dumps(Bomb(tmp_path / "exploded"))
    outside = tmp_path / "precious.txt"
    outside.write_bytes(bomb)
    name = {"row": None, "file": "aa/bb/planted.val", "outside": "../precious.txt"}[place]
    (tmp_path / "exact" / "aa" / "bb").mkdir(parents=True)
    (tmp_path / "exact" / "aa" / "bb" / "planted.val").write_bytes(bomb)
    connection = database(tmp_path)
    connection.execute("UPDATE Cache SET mode = 4, filename = ?, value = ?", (name, bomb if name is None else None))
    connection.close()
    assert provider.complete(request_).cache is None
    assert inner.calls == 2
    assert not (tmp_path / "exploded").exists()
    assert outside.exists()
    assert provider.complete(request_).cache == "exact"


@pytest.mark.parametrize(
    "change",
    [
        "mode = 2, filename = '../precious.txt', value = NULL",
        "mode = 3, filename = 'cache.db', value = NULL",
        "mode = 1, value = 'text'",
        "mode = 1, value = 7",
        "mode = 1, value = NULL",
        "mode = 'x'",
        "value = x'00ff'",
    ],
)
def test_a_foreign_row_is_a_miss_and_is_deleted(make, counting, request_, tmp_path, change):
    (tmp_path / "precious.txt").write_text("mine")
    inner = counting()
    provider = make(inner)
    provider.complete(request_)
    provider.close()
    connection = database(tmp_path)
    connection.execute(f"UPDATE Cache SET {change}")
    assert provider._exact.find(request_key(request_)) is None
    assert connection.execute("SELECT count(*) FROM Cache").fetchall() == [(0,)]
    connection.close()
    assert (tmp_path / "precious.txt").read_text() == "mine"
    assert provider.complete(request_).cache is None
    assert provider.complete(request_).cache == "exact"


def test_a_pickled_key_is_never_read(make, counting, request_, tmp_path):
    provider = make(counting())
    provider.complete(request_)
    provider.close()
    connection = database(tmp_path)
    bomb = pickle.dumps(Bomb(tmp_path / "exploded"))
    connection.execute("UPDATE Cache SET raw = 0, key = ?", (bomb,))
    connection.close()
    assert provider.complete(request_).cache is None
    assert provider.clear() == 2
    assert not (tmp_path / "exploded").exists()


def test_only_the_owner_can_read_it(make, counting, request_, tmp_path):
    before = os.umask(0)
    try:
        provider = make(counting(), path=tmp_path / "a" / "b")
        provider.complete(request_)
        made = [tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b" / "exact"]
        assert [stat.S_IMODE(path.stat().st_mode) for path in made] == [0o700] * 3
        inside = {path.name: stat.S_IMODE(path.stat().st_mode) for path in made[-1].iterdir()}
        names = ("cache.db", "cache.db-shm", "cache.db-wal", "generation")
        assert inside == {**dict.fromkeys(names, 0o600), "flights": 0o700}
    finally:
        os.umask(before)


def test_a_database_that_is_a_link_is_not_opened(make, counting, request_, tmp_path, application):
    (tmp_path / "exact").mkdir()
    (tmp_path / "elsewhere").write_text("mine")
    (tmp_path / "exact" / "cache.db").symlink_to(tmp_path / "elsewhere")
    assert make(counting()).complete(request_).cache is None
    assert (tmp_path / "elsewhere").read_text() == "mine"


@pytest.mark.parametrize("damage", ["garbage", "cut", "empty"])
def test_a_damaged_database_is_set_aside(make, counting, request_, tmp_path, application, damage):
    inner = counting()
    provider = make(inner)
    for n in range(50):
        provider.complete(replace(request_, messages=[{"role": "user", "content": f"{n}" * 500}]))
    provider.close()
    path = tmp_path / "exact" / "cache.db"
    whole = path.read_bytes()
    path.write_bytes({"garbage": os.urandom(len(whole)), "cut": whole[: len(whole) // 3], "empty": b""}[damage])
    for n in range(50):
        assert provider.complete(replace(request_, messages=[{"role": "user", "content": f"{n}" * 500}])).text
    assert provider.complete(replace(request_, messages=[{"role": "user", "content": "0" * 500}])).cache == "exact"


def test_a_read_only_folder_logs_one_warning(make, counting, request_, tmp_path, application, caplog):
    (tmp_path / "file").write_text("not a folder")
    inner = counting()
    provider = make(inner, path=tmp_path / "file")
    with caplog.at_level(logging.WARNING, logger="llmops_sdk"):
        for _ in range(3):
            assert provider.complete(request_).cache is None
    assert inner.calls == 3
    assert sum("cache" in record.getMessage() for record in caplog.records) <= 2  # reading and writing, each once
    assert any("cache" in what for what in failures())


def test_the_cache_recovers_when_its_folder_does(make, counting, request_, tmp_path, clock, application):
    (tmp_path / "place").write_text("not a folder")
    provider = make(counting(), path=tmp_path / "place")
    provider.complete(request_)
    (tmp_path / "place").unlink()
    clock.advance(60)
    provider.complete(request_)
    assert provider.complete(request_).cache == "exact"


async def test_calls_wait_only_once_for_a_disk_that_hangs(make, counting, request_, tmp_path, clock, application):
    inner = counting()
    provider = make(inner)
    provider.complete(request_)
    provider.close()
    other_process = database(tmp_path)
    other_process.execute("BEGIN EXCLUSIVE")
    before = failures().get("cache flight", 0)
    for _ in range(10):
        assert provider.complete(request_).cache is None
        assert (await provider.acomplete(request_)).cache is None
    assert failures()["cache flight"] - before == 1
    assert inner.calls == 21
    other_process.execute("COMMIT")
    other_process.close()
    provider.close()  # its thread ends with the work that hung
    clock.advance(60)
    assert provider.complete(request_).cache == "exact"


SETUP = """
import os, pathlib, sys
from llmops_sdk.caching import CacheProvider
from llmops_sdk.config import CacheSettings
from llmops_sdk.providers import Request, Response, WrapperProvider

class Inner(WrapperProvider):
    name = "script"
    def __init__(self): self.calls = 0
    def complete(self, request):
        self.calls += 1
        return Response(text="x" * 20_000, finish_reason="stop")
    def close(self): pass

def ask(n): return provider.complete(Request(model="m", messages=[{"role": "user", "content": str(n)}])).cache
inner = Inner()
provider = CacheProvider(inner, CacheSettings(exact=True, ttl=None), path=pathlib.Path(sys.argv[1]))
"""


def program(text, *arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", SETUP + text, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_a_full_disk_is_a_miss(tmp_path):
    text = """
import resource, signal
ask(0)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
print([ask(n) for n in range(1, 30)].count(None), inner.calls)
"""
    with program(text, tmp_path) as child:
        out, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    assert out.split() == ["29", "30"]
    assert err.count("Traceback") <= 4


def test_kill_9_in_the_middle_of_writing_leaves_a_working_cache(make, counting, request_, tmp_path):
    text = """
n = 0
while True:
    ask(n)
    n += 1
    if n == 20: print("writing", flush=True)
"""
    with program(text, tmp_path) as child:
        assert child.stdout.readline() == "writing\n"
        child.send_signal(signal.SIGKILL)
        child.communicate()
    connection = database(tmp_path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    provider = make(counting(), ttl=None)  # the clock here stands elsewhere than the child's
    assert provider.stats().entries >= 20
    assert provider.complete(replace(request_, model="m", messages=[{"role": "user", "content": "3"}])).cache == "exact"


def test_a_forked_child_opens_the_database_anew(tmp_path):
    text = """
ask("before")
child = os.fork()
if child == 0:
    assert ask("before") == "exact"
    assert ask("in the child") is None
    provider.close()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print(ask("before"), ask("in the child"), ask("after"))
"""
    with program(text, tmp_path) as child:
        out, err = child.communicate(timeout=60)
    assert (out.split(), err) == (["exact", "exact", "None"], "")


def test_two_processes_can_write_at_once(tmp_path):
    text = """
for n in range(100): ask((n, sys.argv[2]))
assert [ask((n, sys.argv[2])) for n in range(100)] == ["exact"] * 100
print(provider.stats().entries)
"""
    children = [program(text, tmp_path, name) for name in "ab"]
    results = [child.communicate(timeout=90) for child in children]
    assert [err for _, err in results] == ["", ""]
    assert max(int(out) for out, _ in results) == 200


def test_a_back_off_ends_when_another_clock_shows_less(tmp_path, application):
    folder = tmp_path / "exact"
    folder.write_text("a file in the place of the folder")
    late = ManualClock()
    late.advance(1_000)
    store = CacheStore(lambda: DiskBackend(folder, max_bytes=1_000_000), clock=late)
    assert not store.put("key", b"1", None)
    folder.unlink()
    assert not store.put("key", b"1", None), "it backs off"
    store._clock = ManualClock()
    assert store.put("key", b"1", None)
    store.close()


@pytest.mark.parametrize("remove", ["clear", "cache_invalidate"])
def test_removal_that_the_disk_refuses_is_an_error(make, counting, request_, tmp_path, remove: str) -> None:
    """A program that believes in a removal would go on to serve what it has removed."""
    provider = make(counting())
    provider.complete(request_)

    @cache(path=tmp_path)
    def double(number: int) -> int:
        return 2 * number

    double(2)
    folder = tmp_path / ("exact" if remove == "clear" else "functions")
    database = sqlite3.connect(folder / "cache.db", isolation_level=None)
    database.execute("BEGIN EXCLUSIVE")
    use = provider.clear if remove == "clear" else functools.partial(double.cache_invalidate, 2)
    with pytest.raises(StoreError, match="try again"):
        use()
    database.execute("ROLLBACK")
    database.close()
    assert use() == 1


def test_folder_removed_by_hand_is_empty_for_a_running_program(make, counting, request_, tmp_path):
    inner = counting()
    provider = make(inner)
    provider.complete(request_)
    shutil.rmtree(tmp_path / "exact")
    assert [provider.complete(request_).cache for _ in range(2)] == [None, "exact"]
    assert inner.calls == 2


def test_program_follows_a_database_that_another_one_has_set_aside(tmp_path):
    """Otherwise it would go on with the file that was moved away, which no removal reaches."""
    one, other = (DiskBackend(tmp_path, max_bytes=10**6) for _ in range(2))
    one.set("key", b"old", None, ())
    other.get("key")
    set_aside(tmp_path / "cache.db")
    other.set("key", b"new", None, ())
    assert one.get("key") == b"new"
    assert other.get("key") == b"new"
    for backend in (one, other):
        backend.close()


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_database_of_another_program_is_named_and_left_as_it_is(
    make, counting, request_, tmp_path, application, mode
):
    (tmp_path / "exact").mkdir(mode=0o700)
    db = database(tmp_path)
    db.execute(f"PRAGMA journal_mode = {mode}")
    db.execute("CREATE TABLE Cache (id INTEGER, name TEXT)")
    db.close()
    before = (tmp_path / "exact" / "cache.db").read_bytes()
    assert make(counting()).complete(request_).cache is None
    with pytest.raises(StoreError, match=r"database of another program \(its tables: Cache\): give the cache another"):
        DiskBackend(tmp_path / "exact", max_bytes=10**6).get("k")
    assert (tmp_path / "exact" / "cache.db").read_bytes() == before


def test_a_cache_that_another_process_is_making_is_no_database_of_another_program(tmp_path):
    """The table of settings comes first: who opens the cache at this moment must not refuse it."""
    with closing(sqlite3.connect(tmp_path / "cache.db")) as begun:
        begun.execute("CREATE TABLE Settings (key TEXT NOT NULL UNIQUE, value)")
    check_database(tmp_path / "cache.db", frozenset({"key", "value"}))
