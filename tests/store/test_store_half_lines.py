"""A line that another process is writing: half of it is on the disk, and it belongs to its writer."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest
from thorough_cases import thorough

from llmops_sdk.store import StoreSink, connect, prune, query
from llmops_sdk.store.maintenance._compact import compact_store
from llmops_sdk.store.reading._follow import Follower, Lines
from llmops_sdk.tracing.records._records import Stamp

pytestmark = pytest.mark.redteam

ADA, BOB = "7", "bob"

WRITER = """
import os, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from llmops_sdk.store import StoreSink
from llmops_sdk.store.files import _segment
from llmops_sdk.tracing.records._records import Stamp
from span_writer import PlainSpan

real = os.write
def halves(descriptor, data):
    data = bytes(data)
    half = len(data) // 2
    real(descriptor, data[:half])
    print("half", flush=True)
    sys.stdin.readline()
    return half + real(descriptor, data[half:])

sink = StoreSink(Path(sys.argv[1]), compaction="manual")
sink.write([PlainSpan(trace_id=100 + n, span_id=100 + n, stamp=Stamp(user_id="bob")) for n in range(5)])
text = b'"' + b"7" * 400_000 + b'"'
os.write = halves
sink.write([PlainSpan(trace_id=200 + n, span_id=200 + n, input=text, stamp=Stamp(user_id="bob")) for n in range(3)])
os.write = real
sink.write([PlainSpan(trace_id=300, span_id=300, stamp=Stamp(user_id="bob"))])
print("done", flush=True)
sys.stdin.readline()
sink.close(1.0)
"""


@pytest.fixture
def half_written(store, make_span):
    """A store in which another process has written half a batch and waits for a line on its stdin."""
    sink = StoreSink(store, compaction="manual")
    sink.write([make_span(trace_id=n, span_id=n, stamp=Stamp(user_id=ADA)) for n in (1, 2)])
    sink.close(1.0)
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, store, Path(__file__).parent],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        yield process
        process.kill()


def go_on(process, *, end: bool) -> None:
    process.stdin.write("go\n")
    process.stdin.flush()
    assert process.stdout.readline() == "done\n"
    if end:
        process.stdin.write("end\n")
        process.stdin.flush()
        assert process.wait() == 0


def ids(store):
    return [int(span, 16) for (span,) in query("SELECT span_id FROM spans ORDER BY ALL", path=store).rows()]


BOBS = [*range(100, 105), 200, 201, 202, 300]


@pytest.mark.parametrize(
    "by",
    [
        {"user_id": ADA},
        *map(thorough, ({"session_id": ADA}, {"trace_id": f"{1:032x}"})),
    ],
)
def test_pruning_another_leaves_the_half_line_to_its_writer(store, half_written, by):
    done = prune(**by, path=store)
    assert done.left == 0
    go_on(half_written, end=True)
    assert [one for one in ids(store) if one >= 100] == BOBS
    compact_store(store, grace=0.0)
    assert [one for one in ids(store) if one >= 100] == BOBS
    assert query("SELECT count(*) FROM losses WHERE what = 'line'", path=store).scalar() == 0


def test_nobody_counts_a_half_line_as_unreadable(store, half_written):
    import duckdb

    compact_store(store)
    for _ in range(2):
        assert query("SELECT * FROM losses", path=store).rows() == []
        with connect(path=store) as connection:
            assert connection.execute("SELECT count(*) FROM losses").fetchone() == (0,)
        with duckdb.connect(str(store / "traces.duckdb"), read_only=True) as connection:
            assert connection.execute("SELECT count(*) FROM losses").fetchone() == (0,)
    with contextlib.closing(Follower(store, ["spans"])) as follower:
        assert follower.read() == []
        go_on(half_written, end=True)
        found = [line for one in follower.read() if isinstance(one, Lines) for line in one.lines]
    assert len(found) == 3  # the line that was half there and those after it; the earlier ones were there before
    assert query("SELECT * FROM losses", path=store).rows() == []


def test_the_half_line_of_a_killed_writer_is_not_taken_for_anothers(store, half_written):
    half_written.kill()
    half_written.wait()
    # It is of a trace that nothing else names.
    (torn,) = [
        line for file in (store / "wal").iterdir() for line in file.read_bytes().split(b"\n") if line.endswith(b"777")
    ]
    assert prune(user_id=ADA, path=store).left == 0
    assert any(torn in file.read_bytes() for file in (store / "wal").iterdir())
    compact_store(store, grace=0.0)
    found = query("SELECT what, reason, count FROM losses ORDER BY ALL", path=store).rows()
    assert found == [("line", "unreadable", 1), ("span", "pruned", 2)]


@pytest.mark.thorough
def test_an_unreadable_line_of_a_living_writer_waits_until_it_has_let_go(store, make_span):
    sink = StoreSink(store, compaction="manual")
    sink.write([make_span(trace_id=1, span_id=1, stamp=Stamp(user_id=ADA))])
    (file,) = (store / "wal").glob("*.v*.ndjson")
    with file.open("ab") as out:
        out.write(b'{"trace_id":"%032x","broken,"user_id":"7"}\n{"trace_id":"%032x","broken,"user_id":"77"}\n' % (8, 9))
    assert prune(user_id=ADA, path=store).left == 1
    assert b'"user_id":"7"' in file.read_bytes()
    sink.close(1.0)
    prune(user_id=ADA, path=store)
    assert b'"user_id":"7"' in file.read_bytes()  # nothing of that user can be read, so nothing is looked for
    sink.write([make_span(trace_id=2, span_id=2, stamp=Stamp(user_id=ADA))])
    sink.close(1.0)
    done = prune(user_id=ADA, path=store)
    assert (done.spans, done.left) == (1, 0)
    assert b'"user_id":"7"' not in file.read_bytes()
    assert b'"user_id":"77"' in file.read_bytes()


@pytest.mark.thorough
def test_every_span_that_went_is_counted_while_its_user_goes_on_writing(store, make_span):
    program = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from llmops_sdk.store import StoreSink
from llmops_sdk.tracing.records._records import Stamp
from span_writer import PlainSpan
sink = StoreSink(Path(sys.argv[1]), compaction="manual", segment_bytes=20_000)
for number in range(1, 10**6):
    trace = number // 50 + 1
    sink.write([PlainSpan(trace_id=trace, span_id=number * 10 + n, stamp=Stamp(user_id="7")) for n in range(8)])
    print(number * 8, flush=True)
    if number == int(sys.argv[3]):
        sys.stdin.readline()
        break
sink.close(1.0)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program, store, Path(__file__).parent, "600"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(100):
            process.stdout.readline()
        first = prune(user_id=ADA, path=store)
        written = 4_800
        assert f"{written}\n" in iter(process.stdout.readline, "")
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.wait() == 0
    last = prune(user_id=ADA, path=store)
    assert (first.spans + last.spans, last.left) == (written, 0)
    assert query("SELECT sum(count) FROM losses WHERE reason = 'pruned'", path=store).scalar() == written
    assert ids(store) == []
