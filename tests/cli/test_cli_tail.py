"""`llmops tail`: every trace and span once, from whichever process, whatever becomes of the files."""

from __future__ import annotations

import csv
import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import llmops_sdk as llmops
from llmops_sdk.cli._examples import COMMANDS
from llmops_sdk.cli._filters import parse_filter
from llmops_sdk.cli.inspect._tail import Tail
from llmops_sdk.cli.output._formats import Format
from llmops_sdk.store import query as store_query
from llmops_sdk.store.reading._follow import Follower, Lines
from llmops_sdk.store.reading._window import Window


class Watch:
    """A tail in this process, and what each look at the store wrote."""

    def __init__(self, folder, *, spans=False, last=0, clock=None, max_spans=20_000, form=Format.JSON, **filters):
        self.out = io.StringIO()
        more = {"clock": clock} if clock else {}
        self.tail = Tail(
            parse_filter(**filters), spans=spans, last=last, form=form, folder=folder, out=self.out,
            max_spans=max_spans, **more,
        )  # fmt: skip

    def rows(self):
        self.tail.step()
        text = self.out.getvalue()
        self.out.seek(0)
        self.out.truncate()
        return [json.loads(line) for line in text.splitlines()]

    def names(self):
        return [row["name"] for row in self.rows()]


class TurnedClock:
    def __init__(self):
        self.now = 1000.0

    def time(self):
        return 2_000_000_000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def watch(tmp_path):
    """Starts tails on one store, to which this process writes."""
    llmops.configure(store={"path": tmp_path / "traces"}, model="offline/echo")
    opened = []

    def start(**options):
        assert llmops.flush().pending == 0
        opened.append(Watch(tmp_path / "traces", **options))
        return opened[-1]

    yield start
    for one in opened:
        one.tail.close()


def made(name, **attributes):
    with llmops.span(name, attributes=attributes) as span:
        pass
    assert llmops.flush().pending == 0
    return span


def test_each_trace_is_shown_once_and_in_order(watch):
    made("before")
    watching = watch()
    assert watching.names() == []
    made("first")
    made("second")
    assert watching.names() == ["first", "second"]
    assert watching.names() == []
    made("third")
    assert watching.names() == ["third"]


def test_it_begins_with_the_latest(watch):
    for name in ("a", "b", "c"):
        made(name)
    watching = watch(last=2)
    made("d")
    assert watching.names() == ["b", "c", "d"]


def test_a_trace_that_began_before_is_shown_whole(watch):
    with llmops.context(user_id="ada"), llmops.span("long"):
        made("early child")
        watching = watch(last=5, user="ada")
        made("late child")
        assert watching.names() == []
    llmops.flush()
    [row] = watching.rows()
    assert (row["name"], row["spans"], row["user_id"]) == ("long", 3, "ada")
    assert watching.rows() == []


def test_a_trace_larger_than_the_memory_is_shown_whole(watch):
    watching = watch(max_spans=10)
    with llmops.span("large"):
        for number in range(60):
            made(f"child {number}")
            assert watching.rows() == []
    llmops.flush()
    assert [(row["name"], row["spans"]) for row in watching.rows()] == [("large", 61)]


def test_spans_are_shown_as_they_end(watch):
    watching = watch(spans=True)
    with llmops.span("outer"):
        made("inner")
        assert watching.names() == ["inner"]
        llmops.chat("hi")
        llmops.flush()
        [call] = watching.rows()
        assert (call["kind"], call["model"], call["input_tokens"]) == ("llm", "echo", 4)
    llmops.flush()
    assert watching.names() == ["outer"]


@pytest.mark.parametrize("spans", [False, True])
def test_the_filters_hold(watch, spans):
    by_status = watch(spans=spans, status="error")
    by_text = watch(spans=spans, search="NEEDLE")
    by_tag = watch(spans=spans, tags=["shop"], kind="chain")
    by_model = watch(spans=spans, model="echo")
    with llmops.context(tags=["shop"]):
        made("tagged")
    made("found", note="a needle")
    with pytest.raises(ValueError, match="no"), llmops.span("failed"):
        raise ValueError("no")
    llmops.chat("hi")
    llmops.flush()
    assert by_status.names() == ["failed"]
    assert by_text.names() == ["found"]
    assert by_tag.names() == ["tagged"]
    assert by_model.names() == ["chat echo"]


@pytest.mark.parametrize("spans", [False, True])
def test_a_score_that_comes_later_shows_what_it_is_about(watch, spans):
    watching = watch(spans=spans, scores=["helpful<0.5"])
    first, _second = made("first"), made("second")
    assert watching.names() == []
    llmops.score("helpful", 0.1, span_id=first.span_id, trace_id=first.trace_id)
    llmops.flush()
    assert watching.names() == ["first"]
    assert watching.names() == []


def test_a_trace_without_its_root_is_shown_when_it_is_quiet_and_again_when_it_ends(watch):
    clock = TurnedClock()
    watching = watch(clock=clock)
    with llmops.span("root"):
        made("child")
        assert watching.rows() == []
        clock.now += 61
        assert [(row["name"], row["status"]) for row in watching.rows()] == [("child", None)]
        clock.now += 61
        assert watching.rows() == []
    llmops.flush()
    assert [(row["name"], row["status"]) for row in watching.rows()] == [("root", "ok")]


def test_a_late_child_of_a_trace_that_has_ended_is_no_trace(watch):
    clock = TurnedClock()
    ended = made("ended")
    watching = watch(clock=clock)
    with llmops.extract({"traceparent": f"00-{ended.trace_id}-{ended.span_id}-01"}):
        made("late")
    assert watching.rows() == []
    clock.now += 61
    assert watching.rows() == []


def test_what_traces_say_is_safe_in_every_form(watch):
    shown = [watch(form=form) for form in (Format.TABLE, Format.CSV, Format.MARKDOWN)]
    made("=1+1\x1b[31m|<b>")
    for one in shown:
        one.tail.step()
        assert "\x1b" not in one.out.getvalue()
    table, comma, markdown = (one.out.getvalue().splitlines() for one in shown)
    assert "=1+1␛[31m|<b>" in table[1]
    assert next(csv.reader(comma[1:]))[3] == "'=1+1␛[31m|<b>"
    assert "=1+1␛[31m\\|&lt;b>" in markdown[2]


LINE = b'{"trace_id":"%032x","span_id":"%016x","name":"n%d","kind":"chain","start_ns":%d,"duration_ns":5,"status":"ok"}'


def line(number: int) -> bytes:
    return LINE % (number, number, number, 2_100_000_000_000_000_000 + number)


@pytest.fixture
def segment(tmp_path: Path):
    """A segment that the test writes byte by byte."""
    folder = tmp_path / "byhand"
    (folder / "wal").mkdir(parents=True)
    return folder / "wal" / "host-1-a-1.v1.ndjson"


def add(file: Path, data: bytes) -> None:
    with file.open("ab") as out:
        out.write(data)


def test_a_line_that_is_being_written_waits(segment):
    add(segment, line(1) + b"\n" + line(2)[:40])
    watching = Watch(segment.parents[1], spans=True)
    assert watching.names() == []
    add(segment, line(2)[40:70])
    assert watching.names() == []
    add(segment, line(2)[70:] + b"\n")
    assert watching.names() == ["n2"]
    watching.tail.close()


def test_what_a_killed_writer_left_is_read_as_the_store_reads_it(segment):
    watching = Watch(segment.parents[1], spans=True)
    add(segment, line(1))  # killed before the line break
    assert watching.names() == ["n1"]
    assert watching.names() == []
    torn, zeros, bad = (segment.with_name(f"host-{n}-a-1.v1.ndjson") for n in (2, 3, 4))
    add(torn, line(2) + b"\n" + line(3)[:50])
    add(zeros, line(4) + b"\n" + bytes(5000))
    add(bad, b'\xff\n{"trace_id":5}\n[1]\n{"seal":\n{"trace_id":"x"\n' + line(5) + b'\n{"seal":6}\n')
    assert sorted(watching.names()) == ["n2", "n4", "n5"]
    assert watching.names() == []
    watching.tail.close()


def test_a_batch_that_was_taken_back_stops_nothing(segment):
    watching = Watch(segment.parents[1], spans=True)
    add(segment, line(1) + b"\n" + line(2)[:30])
    assert watching.names() == ["n1"]
    os.truncate(segment, len(line(1)) + 1)
    assert watching.names() == []
    add(segment.with_name("host-1-b-2.v1.ndjson"), line(2) + b"\n")
    assert watching.names() == ["n2"]
    watching.tail.close()


def test_a_segment_that_is_dropped_between_two_looks_is_read_to_its_end(segment):
    add(segment, line(1) + b"\n")
    watching = Watch(segment.parents[1], spans=True)
    add(segment, line(2) + b"\n" + b'{"seal":2}\n')
    segment.unlink()
    assert watching.names() == ["n2"]
    assert watching.names() == []
    watching.tail.close()


def test_a_long_line_is_read_and_an_endless_one_passed_over(segment):
    watching = Watch(segment.parents[1], spans=True)
    add(segment, line(1)[:-1] + b',"input":"' + b"x" * 5_000_000 + b'"}\n' + line(2) + b"\n")
    assert watching.names() == ["n1", "n2"]
    add(segment, b"y" * 33 * 1024 * 1024 + b"\n" + line(3) + b"\n")
    assert watching.names() == ["n3"]
    watching.tail.close()


def open_files():
    return sum(1 for _ in Path("/dev/fd").iterdir())


def test_few_files_are_held_and_nothing_of_the_others_is_missed(segment):
    before = open_files()
    files = [segment.with_name(f"host-{number}-a-1.v1.ndjson") for number in range(300)]
    for number, file in enumerate(files):
        add(file, line(number) + b"\n")
    follower = Follower(segment.parents[1], ["spans"])
    for number, file in enumerate(files):
        add(file, line(1000 + number) + b"\n")
    read = [one for piece in follower.read() if isinstance(piece, Lines) for one in piece.lines]
    assert sorted(read) == sorted(line(1000 + number) for number in range(300))
    assert open_files() - before <= 128
    follower.close()
    assert open_files() <= before


def test_the_memory_is_bounded():
    window = Window(0, content=False, max_spans=100)
    everything = parse_filter().where("spans")
    for start in range(0, 5000, 50):
        window.add("spans", [line(number) for number in range(start, start + 50)], 0.0)
        window.evict()
    held = window.new_rows("SELECT * FROM spans WHERE true", "name", "trace_id || span_id", everything)
    window.close()
    assert 100 <= len(held) <= 150
    assert held[-1] == ("n4999",)


WRITER = """
import sys
import llmops_sdk as llmops
path, name, count, most = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
llmops.configure(store={"path": path, "segment_bytes": 10_000, "max_bytes": most}, model="offline/echo")
written = 0
for told in sys.stdin:
    for _ in range(count):
        with llmops.span(f"{name} {written}"):
            pass
        written += 1
    print(llmops.flush().stored, flush=True)
"""


@pytest.fixture
def writer():
    """Processes that write so many traces at each line of their stdin."""
    started = []

    def start(folder, name, count, *, max_bytes=2**30):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder), name, str(count), str(max_bytes)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def tell(process):
    process.stdin.write("go\n")
    process.stdin.flush()


def read_names(tailing, count):
    return [next(csv.reader([tailing.stdout.readline()]))[3] for _ in range(count)]


def stopped(tailing):
    tailing.send_signal(signal.SIGINT)
    out, err = tailing.communicate(timeout=60)
    return tailing.returncode, out, err


def test_segments_that_are_rotated_and_dropped_under_it(llmops_process, writer, tmp_path):
    folder = tmp_path / "live"
    tailing = llmops_process("tail", "--store", str(folder), "--format", "csv")
    assert tailing.stdout.readline().startswith("trace_id,")
    one = writer(folder, "w", 40, max_bytes=40_000)
    for batch in range(12):
        tell(one)
        # Sorted: spans that end within one microsecond have no order.
        names = sorted(read_names(tailing, 40), key=lambda name: int(name.removeprefix("w ")))
        assert names == [f"w {number}" for number in range(batch * 40, batch * 40 + 40)]
    assert len(list((folder / "wal").iterdir())) < 12  # of the 12 and more that there were
    status, out, err = stopped(tailing)
    assert (status, out) == (0, "")
    assert err.startswith("there is no store at ")
    assert len(err.splitlines()) == 1


@pytest.mark.thorough
def test_writers_that_are_killed_lose_and_repeat_nothing(llmops_process, writer, tmp_path):
    folder = tmp_path / "live"
    tailing = llmops_process("tail", "--store", str(folder), "--format", "csv")
    assert tailing.stdout.readline().startswith("trace_id,")
    acknowledged = 0
    for round_ in range(3):
        writers = [writer(folder, f"{round_}.{number}", 100) for number in range(2)]
        for process in writers:
            tell(process)
        for process in writers:
            acknowledged += int(process.stdout.readline())
            tell(process)  # and is killed in the midst of it
            process.kill()
            process.wait()
    shown = read_names(tailing, acknowledged)
    last = writer(folder, "last", 1)
    tell(last)
    while shown[-1] != "last 0":
        shown += read_names(tailing, 1)
    status, out, err = stopped(tailing)
    assert status == 0, err
    shown += [row[3] for row in csv.reader(io.StringIO(out))]
    assert acknowledged == 600
    assert sorted(shown) == sorted(name for (name,) in store_query("SELECT name FROM spans", path=folder))


def test_ctrl_c_is_the_way_to_end_it(llmops_process, store):
    tailing = llmops_process("tail", "--store", str(store), "--format", "json")
    names = [json.loads(tailing.stdout.readline())["name"] for _ in range(3)]
    assert names == ["checkout", "chat toy", "=1+1"]
    assert stopped(tailing) == (0, "", "")


INTERRUPTED = """
import os, signal, threading
from llmops_sdk.cli._filters import parse_filter
from llmops_sdk.store.reading._window import Window
window = Window(0, content=False)
endless = (
    "SELECT 'a' AS trace_id, now()::TIMESTAMP AS start_time, 0.0 AS duration_ms, count(*) AS n "
    "FROM range(10000000) a, range(10000000) b WHERE a.range * b.range % 7 = 3"
)
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    window.new_rows(endless, "n", "trace_id", parse_filter().where("traces"))
except KeyboardInterrupt:
    print("interrupted")
"""


def test_ctrl_c_reaches_it_while_it_reads_what_is_new():
    ran = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stdout) == (0, "interrupted\n"), ran.stderr


def test_it_ends_when_nobody_reads_it_any_more(llmops_process, store):
    tailing = llmops_process("tail", "--last", "1", "--store", str(store), "--format", "json")
    assert json.loads(tailing.stdout.readline())["name"] == "=1+1"
    tailing.stdout.close()
    assert tailing.wait(60) == 0
    assert tailing.stderr.read() == ""
    tailing.stderr.close()


def test_a_store_that_is_removed_and_made_again(watch, tmp_path):
    watching = watch()
    made("one")
    assert watching.names() == ["one"]
    shutil.rmtree(tmp_path / "traces")
    assert watching.names() == []
    made("two")
    assert watching.names() == ["two"]


def test_a_store_of_a_newer_version_is_refused(command, store):
    (store / "wal" / "host-1-a-1.v99.ndjson").touch()
    ran = command("tail", "--store", str(store))
    assert (ran.status, ran.out, len(ran.err.splitlines())) == (1, "", 1)
    assert "99" in ran.err


def test_without_following_it_shows_the_latest_and_stops(command, store, tmp_path):
    ran = command("tail", "--no-follow", "-n", "2", "--store", str(store), "--format", "json")
    assert ran.status == 0
    assert [json.loads(row)["name"] for row in ran.out.splitlines()] == ["chat toy", "=1+1"]
    spans = command("tail", "--no-follow", "--spans", "--kind", "llm", "--store", str(store), "--format", "csv")
    assert [row["model"] for row in csv.DictReader(io.StringIO(spans.out))] == ["gpt", "gpt", "toy"]
    missing = command("tail", "--no-follow", "--store", str(tmp_path / "nowhere"))
    assert (missing.status, len(missing.err.splitlines())) == (1, 1)
    assert command("tail", "--since", "3x", "--store", str(store)).status == 2


@pytest.mark.parametrize("example", COMMANDS["tail"])
def test_the_examples_of_the_help_run_and_end(command, store, example):
    _program, *arguments = shlex.split(example)
    ran = command(*arguments, "--no-follow", "--store", str(store))
    told = 'no span in the store has the kind "tool"; there are chain, llm\n' if "tool" in arguments else ""
    assert (ran.status, ran.err) == (0, told)
