"""What happens to a store in the world: full disks, foreign hands, lost files, forks, moved folders. Real ones."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from llmops_sdk.errors import QueryError, StoreError
from llmops_sdk.store import StoreSink, connect, prune, query, snapshot
from llmops_sdk.store.duck import _sql as _duck
from llmops_sdk.store.duck._sources import read_sources
from llmops_sdk.store.files._layout import create_store, list_segments
from llmops_sdk.store.files._leases import ReaderLease, oldest_reader
from llmops_sdk.store.files._locks import exclusive_lock
from llmops_sdk.store.files._manifest import Manifest, read_manifest
from llmops_sdk.store.files._spill import spill_folder
from llmops_sdk.store.maintenance._compact import compact_store
from llmops_sdk.store.maintenance._retention import drop_old

pytestmark = pytest.mark.thorough

AT_ONCE = {"grace": 0.0}
HERE = Path(__file__).parent
SIZE = "input=b'\"' + os.urandom(600).hex().encode() + b'\"'"


def write(store: Path, make_span, numbers, **fields) -> None:
    sink = StoreSink(store, compaction="manual", retention_days=None)
    sink.write([make_span(span_id=number, **fields) for number in numbers])
    sink.close(1.0)


def ids(store: Path) -> list[int]:
    return [int(one, 16) for (one,) in query("SELECT span_id FROM spans ORDER BY ALL", path=store).rows()]


def unreadable(store: Path) -> int:
    return query("SELECT coalesce(sum(count), 0) FROM losses WHERE what = 'line'", path=store).scalar()


def manifest_of(store: Path) -> Manifest:
    manifest = read_manifest(store)
    assert manifest is not None
    return manifest


def run(program: str, *arguments: object, **more) -> str:
    """What a program in a process of its own printed."""
    head = f"import os, sys; sys.path.insert(0, {str(HERE)!r})\nfrom pathlib import Path\n"
    head += "from span_writer import PlainSpan\nfrom llmops_sdk.store import StoreSink, query\n"
    head += (
        "from llmops_sdk.store.maintenance._compact import compact_store\nfrom llmops_sdk.errors import StoreError\n"
    )
    head += "store = Path(sys.argv[1])\n"
    done = subprocess.run(
        [sys.executable, "-c", head + program, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **more,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- A full disk ------------------------------------------------------------------------------------------------------

FULL = f"""
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sink = StoreSink(store, compaction="manual")
for number in range(1, 41):
    sink.write([PlainSpan(span_id=number, {SIZE})])
sink.close(1.0)
for room in (0, 1, 100, 1_000, 8_192, 30_000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    try:
        print(compact_store(store, grace=0.0))
    except StoreError as error:
        print("StoreError", str(error).replace(chr(10), " "))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    found = query("SELECT count(*), count(DISTINCT span_id) FROM spans", path=store).rows()[0]
    assert found == (40, 40), found
"""


def test_compaction_on_a_full_disk_raises_what_it_says_and_goes_on_later(store):
    said = run(FULL, store).splitlines()
    # At each bound another step fails: the Parquet file, the manifest, the views.
    assert len([line for line in said if line.startswith("StoreError")]) >= 4, said
    compact_store(store, **AT_ONCE)
    compact_store(store, **AT_ONCE)
    assert ids(store) == list(range(1, 41))
    assert list_segments(store) == []
    assert [str(file.relative_to(store)) for file in store.rglob(".*")] == [".gitignore"]


def test_a_read_only_store_is_read_and_says_what_cannot_be_done(store, make_span, tmp_path):
    write(store, make_span, [1, 2])
    compact_store(store)
    write(store, make_span, [3])
    read_only = (
        "import resource\nif os.getuid() == 0:\n"
        "    import ctypes; ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)\n"  # the right to go around modes is given up
        "    import struct\n"
        "    libc = ctypes.CDLL(None, use_errno=True)\n"
        "    header = struct.pack('<II', 0x20080522, 0); data = struct.pack('<IIIIII', *([0] * 6))\n"
        "    assert libc.capset(header, data) == 0\n"
        "print(query('SELECT count(*) FROM spans', path=store).scalar())\n"
        "for change in (lambda: compact_store(store), lambda: StoreSink(store).write([PlainSpan()])):\n"
        "    try: print('changed', change())\n"
        "    except StoreError as error: print(error)\n"
    )
    folders = [store, *(folder for folder in store.iterdir() if folder.is_dir())]
    files = [file for file in store.rglob("*") if file.is_file()]
    try:
        for file in files:
            file.chmod(0o400)
        for folder in folders:
            folder.chmod(0o500)
        said = run(read_only, store).splitlines()
    finally:
        for folder in folders:
            folder.chmod(0o700)
    assert said[0] == "3"
    assert len(said) == 3
    assert all("make it writable" in line for line in said[1:])
    assert ids(store) == [1, 2, 3]


# --- What a foreign hand put there ------------------------------------------------------------------------------------

POISON = {
    "lone surrogate": (b'{"trace_id":"1","span_id":"9","name":"\\ud800"}\n', 1),
    "NUL": (b'{"trace_id":"1","span_id":"9","name":"a\\u0000b"}\n', 0),
    "raw NUL": (b'{"trace_id":"1","span_id":"9\0"}\n', 1),
    "NaN": (b'{"trace_id":"1","span_id":"9","duration_ns":NaN}\n', 0),
    "too large a number": (b'{"trace_id":"1","span_id":"9","start_ns":1e400}\n', 0),
    "a key twice": (b'{"trace_id":"1","span_id":"8","span_id":"9"}\n', 0),
    "deeply nested": (b'{"trace_id":"1","span_id":"9","attributes":' + b"[" * 50_000 + b"]" * 50_000 + b"}\n", 0),
    "20 MB": (b'{"trace_id":"1","span_id":"9","input":"' + b"x" * 20_000_000 + b'"}\n', 0),
    "40 MB": (b'{"trace_id":"1","span_id":"9","input":"' + b"x" * 40_000_000 + b'"}\n', 0),
    "no objects": (b'[1]\n"x"\n3\nnull\n', 4),
    "compressed": (b"\x1f\x8b\x08\0\0\0\0\0\2\xff\xabV*)JL", 1),
    "zeros": (b"\0" * 70_000, 1),
}


@pytest.mark.parametrize("name", POISON)
def test_a_poisoned_file_costs_no_other_line(store, make_span, name):
    line, lost = POISON[name]
    write(store, make_span, [1, 2])
    (store / "wal" / "foreign-1-x-1.v1.ndjson").write_bytes(line)
    write(store, make_span, [3])
    for _ in range(3):
        found = query("SELECT span_id FROM spans", path=store).rows()
        assert {(f"{number:016x}",) for number in (1, 2, 3)} <= set(found)
        assert len(found) == 3 + (lost == 0)
        assert unreadable(store) == lost
        query("FROM spans", path=store).rows()
        query("FROM traces", path=store).rows()
        query("FROM messages", path=store).rows()
        compact_store(store, **AT_ONCE)
    assert list_segments(store) == []


def test_a_file_that_no_query_can_read_is_named_and_no_other_is_held_up(store, make_span):
    write(store, make_span, [1, 2])
    bad = store / "wal" / "foreign-1-x-1.v1.ndjson"
    bad.write_bytes(b"\0" * 40_000_000)
    for ask in (lambda: ids(store), lambda: connect(path=store).execute("FROM spans").fetchall()):
        with pytest.raises(Exception, match=r"foreign-1-x-1\.v1\.ndjson"):
            ask()
    with pytest.raises(StoreError, match=r"foreign-1-x-1\.v1\.ndjson is missing or cannot be read: move it away"):
        ids(store)
    done = compact_store(store)
    assert (done.segments, done.skipped) == (1, 1)
    bad.unlink()
    assert ids(store) == [1, 2]


@pytest.mark.parametrize(
    ("damage", "by"),
    [
        ("half", "query"), ("footer", "query"), ("gone", "query"), ("zeros", "connect"), ("gone", "compact"),
        ("page", "compact"), ("page", "snapshot"), ("empty", "prune"), ("gone", "prune"),
    ],
)  # fmt: skip
def test_a_damaged_parquet_file_is_put_aside_and_the_rest_answers(store, make_span, caplog, tmp_path, damage, by):
    for number in range(1, 8):
        write(store, make_span, [number])
        compact_store(store, **AT_ONCE)
    compact_store(store, **AT_ONCE)
    bad = store / manifest_of(store).files[0].name
    data = bytearray(bad.read_bytes())
    spoilt = {"half": data[: len(data) // 2], "zeros": bytes(len(data)), "empty": b"", "gone": b""}
    if damage == "footer":
        data[-200:-100] = bytes(255 - byte for byte in data[-200:-100])
    elif damage == "page":
        data[4:40] = bytes(255 - byte for byte in data[4:40])
    bad.write_bytes(spoilt.get(damage, data))
    if damage == "gone":
        bad.unlink()
    write(store, make_span, [8])
    work = {
        "query": lambda: ids(store),
        "connect": lambda: connect(path=store).close() or ids(store),
        "compact": lambda: compact_store(store, **AT_ONCE),  # the eighth file makes it merge them
        "snapshot": lambda: snapshot(tmp_path / "s.duckdb", path=store),
        "prune": lambda: prune(user_id="nobody", path=store),
    }[by]
    work()
    assert ids(store) == [2, 3, 4, 5, 6, 7, 8]
    assert query("SELECT what, reason, count FROM losses", path=store).rows() == [("segment", "damaged", 1)]
    assert [record.getMessage() for record in caplog.records if bad.name in record.getMessage()][1:] == []
    assert bad.name in caplog.text
    assert [one.name for one in (store / "damaged").glob("*")] == (
        # A prune by a user removes what nobody can read.
        [] if damage == "gone" or by == "prune" else [bad.name]
    )
    compact_store(store, **AT_ONCE)
    assert ids(store) == [2, 3, 4, 5, 6, 7, 8]


def test_a_replay_says_that_a_damaged_file_is_left_out_now(store, make_span):
    from llmops_sdk.store.reading._rows import rows_of_spans

    for number in (1, 2):
        write(store, make_span, [number])
        compact_store(store, **AT_ONCE)
    bad = store / manifest_of(store).files[1].name
    data = bytearray(bad.read_bytes())
    data[4:-600] = bytes(255 - byte for byte in data[4:-600])  # the footer is whole: the error comes with the rows
    bad.write_bytes(data)
    with pytest.raises(StoreError, match=r"a damaged file, which is left out now .* try again"):
        list(rows_of_spans(store, None, None, None))
    assert [row["span_id"] for row in rows_of_spans(store, None, None, None)] == [f"{1:016x}"]


def test_a_damaged_file_of_a_store_that_cannot_be_changed_is_left_out(store, make_span, caplog, monkeypatch):
    from llmops_sdk.store.duck import _repair

    for number in (1, 2):
        write(store, make_span, [number])
        compact_store(store, **AT_ONCE)
    bad = store / manifest_of(store).files[0].name
    bad.write_bytes(b"")

    def refused(*_):
        raise PermissionError(13, "Read-only file system")

    monkeypatch.setattr(_repair, "exclusive_lock", refused)
    assert [ids(store), ids(store)] == [[2], [2]]
    assert len([record for record in caplog.records if bad.name in record.getMessage()]) == 1


def test_errors_of_a_users_sql_put_no_file_aside(store, make_span):
    write(store, make_span, [1])
    compact_store(store, **AT_ONCE)
    (name,) = [file.name.partition("/")[2] for file in manifest_of(store).files]
    for sql in (
        f"SELECT error('{name}')",
        "SELECT error('corrupt Parquet')",
        "SELECT CAST('x' AS INT)",
        "SELECT nothing",
    ):
        with pytest.raises(QueryError):
            query(sql, path=store)
    assert ids(store) == [1]
    assert not (store / "damaged").exists()


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 300, b"{", b"garbage", b"[]", b"null", b"{}", b'{"schema_version":"x"}']
)
def test_a_damaged_manifest_says_what_to_do_and_doing_it_brings_all_back(store, make_span, content):
    write(store, make_span, [1])
    compact_store(store, **AT_ONCE)
    write(store, make_span, [2])
    (store / "MANIFEST.json").write_bytes(content)
    for change in (lambda: ids(store), lambda: compact_store(store), lambda: connect(path=store)):
        with pytest.raises(StoreError, match="move it away"):
            change()
    drop_old(store, max_bytes=1, older_than=None)
    (store / "MANIFEST.json").rename(store / "damaged.json")
    assert ids(store) == [1, 2]


def test_a_segment_emptied_under_its_writer(store, sink, make_span):
    sink.write([make_span(span_id=1)])
    os.truncate(list_segments(store)[0].path, 0)
    sink.write([make_span(span_id=2)])
    assert ids(store) == [2]
    sink.close(1.0)
    compact_store(store, **AT_ONCE)
    assert ids(store) == [2]
    assert unreadable(store) == 0


def test_an_older_version_is_read_and_compacted_beside_the_new(store, make_span):
    write(store, make_span, [2])
    (store / "wal" / "host-1-x-1.v0.ndjson").write_bytes(b'{"trace_id":"1","span_id":"0000000000000001"}\n')
    assert ids(store) == [1, 2]
    compact_store(store, **AT_ONCE)
    compact_store(store, **AT_ONCE)
    assert list_segments(store) == []
    assert ids(store) == [1, 2]


# --- Races that were bugs ---------------------------------------------------------------------------------------------


def opened_by_this_process(file: Path) -> int:
    links = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            links.append(str(entry.readlink()))
        except FileNotFoundError:
            continue
    return links.count(str(file))


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_manifest_lost_while_a_compactor_waits_costs_nothing(store, make_span):
    write(store, make_span, [1])
    compact_store(store, **AT_ONCE)
    compact_store(store, **AT_ONCE)
    raised: list[BaseException] = []

    def compact() -> None:
        try:
            compact_store(store, wait=30.0, grace=0.0)
        except StoreError as error:
            raised.append(error)

    waiting = threading.Thread(target=compact)
    with exclusive_lock(store) as acquired:
        assert acquired
        waiting.start()
        deadline = time.monotonic() + 30
        while opened_by_this_process(store / "compact.lock") < 2 and time.monotonic() < deadline:
            threading.Event().wait(0.005)
        (store / "MANIFEST.json").unlink()
    waiting.join()
    assert len(raised) == 1
    assert "try again" in str(raised[0])
    assert ids(store) == [1]


def test_a_child_forked_while_the_store_is_changed_does_not_keep_the_lock(store):
    program = """
from llmops_sdk.store.files._locks import exclusive_lock
from llmops_sdk.store.files._layout import create_store
create_store(store)
goes, stays = os.pipe()
with exclusive_lock(store) as acquired:
    assert acquired
    child = os.fork()
    if child == 0:
        os.close(stays)
        os.read(goes, 1)  # lives on, with a copy of the descriptor
        os._exit(0)
with exclusive_lock(store) as acquired:
    print(acquired)
os.close(stays)
os.waitpid(child, 0)
"""
    assert run(program, store).strip() == "True"


def test_a_reader_between_manifest_and_lease_misses_nothing(store, make_span, monkeypatch):
    write(store, make_span, [1])
    real = ReaderLease.__init__

    def late(self, *arguments) -> None:
        # What another process may do at this point.
        monkeypatch.setattr(ReaderLease, "__init__", real)
        compact_store(store, **AT_ONCE)
        compact_store(store, **AT_ONCE)
        real(self, *arguments)

    monkeypatch.setattr(ReaderLease, "__init__", late)
    assert ids(store) == [1]


def test_an_empty_segment_that_goes_is_missed_by_nobody(store, make_span):
    write(store, make_span, [1])
    (store / "wal" / "host-1-x-1.v1.ndjson").touch()
    connection = connect(path=store)
    compact_store(store, **AT_ONCE)
    assert connection.execute("SELECT count(*) FROM spans").fetchall() == [(1,)]
    connection.close()


def test_a_query_looks_again_when_a_file_goes_before_it_is_opened(store, make_span, monkeypatch):
    write(store, make_span, [1])
    passing = store / "wal" / "host-1-x-1.v1.ndjson"
    passing.write_bytes(b'{"trace_id":"1","span_id":"2"}\n')
    real = _duck.open_connection

    def late(*arguments, **more):
        connection = real(*arguments, **more)
        passing.unlink(missing_ok=True)  # as retention does
        return connection

    monkeypatch.setattr(_duck, "open_connection", late)
    assert ids(store) == [1]


def test_a_rebuilt_manifest_is_later_than_every_reader(store, make_span):
    write(store, make_span, [1])
    for _ in range(4):
        compact_store(store, **AT_ONCE)
    ReaderLease(store, 50)
    connection = connect(path=store)
    (store / "MANIFEST.json").unlink()
    assert ids(store) == [1]
    assert manifest_of(store).generation > 50
    write(store, make_span, range(2, 9))
    for number in range(10, 20):
        write(store, make_span, [number])
        compact_store(store, **AT_ONCE)
    assert connection.execute("SELECT count(*) FROM spans").fetchall() == [(1,)]
    connection.close()


def test_views_are_made_again_after_a_kill_and_after_retention(store, make_span):
    import duckdb

    for number in (1, 2):
        write(store, make_span, [number])
        compact_store(store, **AT_ONCE)
    file = manifest_of(store).files[0]
    rest = manifest_of(store).files[1].bytes
    time_of_views = (store / "traces.duckdb").stat().st_mtime_ns
    assert drop_old(store, max_bytes=rest, older_than=None)[0].bytes == file.bytes
    compact_store(store, **AT_ONCE)
    assert not (store / file.name).exists()
    assert (store / "traces.duckdb").stat().st_mtime_ns > time_of_views
    with duckdb.connect(str(store / "traces.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM spans").fetchall() == [(1,)]


# --- Bounds -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(300)  # at low priority, beside other work, it ran into the usual 120
def test_two_thousand_segments_within_few_descriptors(store, make_span):
    create_store(store)
    line = b'{"trace_id":"1","span_id":"%016x","name":"w"}\n'
    for number in range(1, 2_001):
        host = ("one", "another")[number % 2]
        (store / "wal" / f"{host}-{number}-{number}-1.v1.ndjson").write_bytes(line % number)
    spill_folder(store)  # its lock stays open until the process ends
    before = len(list(Path("/dev/fd").iterdir()))
    assert query("SELECT count(*) FROM spans", path=store).scalar() == 2_000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))  # as macOS has it
    try:
        assert query("SELECT count(*) FROM spans", path=store).scalar() == 2_000
        done = compact_store(store, **AT_ONCE)
        assert (done.segments, done.skipped) == (2_000, 0)
        compact_store(store, **AT_ONCE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(list(Path("/dev/fd").iterdir())) == before
    assert list_segments(store) == []
    assert query("SELECT count(DISTINCT span_id) FROM spans", path=store).scalar() == 2_000


def test_every_file_is_its_owners_alone(store):
    run(
        "os.umask(0)\nsink = StoreSink(store, compaction='manual')\nsink.write([PlainSpan()])\nsink.close(1.0)\n"
        "compact_store(store)\nquery('FROM spans', path=store)\n",
        store,
    )
    modes = {str(file.relative_to(store)): file.stat().st_mode & 0o777 for file in [store, *store.rglob("*")]}
    wrong = {name: oct(mode) for name, mode in modes.items() if mode != (0o700 if (store / name).is_dir() else 0o600)}
    assert not wrong


# --- Paths ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["it's", "st*r", "what?", "[x]", "{a,b}", "sp ace", "ü", 'quo"te', "per%cent", "#h"])
def test_odd_paths_through_compaction_and_views(tmp_path, make_span, name):
    import duckdb

    store = tmp_path / name
    for number in range(1, 10):
        write(store, make_span, [number])
        compact_store(store, **AT_ONCE)
    write(store, make_span, [10])
    assert ids(store) == list(range(1, 11))
    with duckdb.connect(str(store / "traces.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT count(DISTINCT span_id), count(*) FROM spans").fetchall() == [(10, 10)]
    (store / "MANIFEST.json").unlink()
    assert ids(store) == list(range(1, 11))


def test_a_moved_store(tmp_path, make_span):
    import duckdb

    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    write(first, make_span, [1])
    compact_store(first, **AT_ONCE)
    first.rename(second)
    assert ids(second) == [1]
    write(second, make_span, [2])
    compact_store(second, **AT_ONCE)
    assert ids(second) == [1, 2]
    with duckdb.connect(str(second / "traces.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM spans").fetchall() == [(2,)]


def test_two_stores_in_one_process(tmp_path, make_span):
    sinks = [StoreSink(tmp_path / name, compaction="manual") for name in ("a", "b")]
    for number, sink in enumerate(sinks, 1):
        sink.write([make_span(span_id=number)])
        sink.close(1.0)
    compact_store(tmp_path / "a", **AT_ONCE)
    assert (ids(tmp_path / "a"), ids(tmp_path / "b")) == ([1], [2])


# --- Clocks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("years", [-20, 20])
def test_a_clock_that_was_wrong_keeps_no_trash_and_drops_nothing_young(store, make_span, years):
    write(store, make_span, [1])
    (segment,) = list_segments(store)
    wrong = time.time() + years * 31_536_000
    os.utime(segment.path, (wrong, wrong))
    compact_store(store)
    write(store, make_span, [2])
    content = json.loads((store / "MANIFEST.json").read_bytes())
    content["covered"] = {name: [gone[0], wrong] for name, gone in content["covered"].items()}
    (store / "MANIFEST.json").write_bytes(json.dumps(content).encode())
    compact_store(store)  # a minute's grace, of a time that is years away
    assert not segment.path.exists()
    dropped = drop_old(store, max_bytes=10**9, older_than=time.time() - 86_400)
    assert [drop.count for drop in dropped] == ([1] if years < 0 else [])
    assert ids(store) == ([2] if years < 0 else [1, 2])


# --- Children ---------------------------------------------------------------------------------------------------------

BESIDE = """
import signal, time
from llmops_sdk.store.maintenance._background import BackgroundCompaction
import llmops_sdk.store.maintenance._background as background
background._FILES, background._PAUSE = 3, 0.0
for number in range(1, 6):
    sink = StoreSink(store, compaction="manual")
    sink.write([PlainSpan(span_id=number)])
    sink.close(1.0)
"""


def wait_compacted(store: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    while len((read_manifest(store) or Manifest()).covered) < count:
        assert time.monotonic() < deadline
        threading.Event().wait(0.05)
    with exclusive_lock(store, 60) as acquired:
        assert acquired


LIVES = {
    "ends first": "beside = StoreSink(store)",
    "SIGCHLD ignored": """
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
beside = StoreSink(store)
while beside._compaction.is_running(): time.sleep(0.05)
beside.write([PlainSpan(span_id=6)])
beside.close(1)
""",
    "os.wait": """
beside = StoreSink(store)
os.wait()
assert not beside._compaction.is_running()
beside.write([PlainSpan(span_id=6)])
beside.close(1)
""",
    "fork": """
beside = StoreSink(store)
pid = os.fork()
if pid == 0:
    beside.after_fork()
    assert not beside._compaction.is_running()
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
while beside._compaction.is_running(): time.sleep(0.05)
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    pass
else:
    raise SystemExit("a zombie")
""",
}


@pytest.mark.parametrize("life", LIVES)
def test_an_application_and_its_compactor(store, life):
    run(BESIDE + LIVES[life], store)
    wait_compacted(store, 5)
    assert ids(store)[:5] == [1, 2, 3, 4, 5]


def test_without_an_interpreter_no_compactor_is_started(store):
    program = BESIDE + (
        "sys.executable = '/usr/bin/false'\nbeside = StoreSink(store)\nassert not beside._compaction._pid\n"
        "sys.executable = ''\nbeside = StoreSink(store)\nassert not beside._compaction._pid\n"
        "sys.executable = '/nowhere/python3'\nbeside = StoreSink(store)\nassert not beside._compaction._pid\n"
        "beside.write([PlainSpan(span_id=6)])\nbeside.close(1)\n"
    )
    run(program, store)
    assert ids(store) == [1, 2, 3, 4, 5, 6]


def test_where_no_process_can_be_started(store, tmp_path):
    # Named as an interpreter, and the kernel refuses it, as it refuses any where there are too many.
    broken = tmp_path / "python3"
    broken.write_bytes(b"\x7fELF, but no more")
    broken.chmod(0o700)
    program = BESIDE + (
        "sys.executable = sys.argv[2]\nassert background.find_interpreter() == sys.executable\n"
        "beside = StoreSink(store)\nassert not beside._compaction._pid\n"
        "beside.write([PlainSpan(span_id=6)])\nbeside.close(1)\n"
    )
    run(program, store, broken)
    assert ids(store) == [1, 2, 3, 4, 5, 6]


def test_sources_without_a_lease_and_a_lease_of_the_dead(store, make_span):
    write(store, make_span, [1])
    assert read_sources(store, lease=False).lease is None
    assert oldest_reader(store) is None
    lease = ReaderLease(store, 3)
    assert oldest_reader(store) == 3
    lease.release()
    assert oldest_reader(store) is None
