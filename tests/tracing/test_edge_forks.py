"""Forks and processes: the child records, nothing is doubled, the parent's files stay its own."""

from __future__ import annotations

import collections
import subprocess
import sys
from pathlib import Path

import pytest
from span_rows import stored
from thorough_cases import thorough

HEAD = """
import multiprocessing, os, sys, threading, warnings
import llmops_sdk as llmops
warnings.simplefilter("ignore")

@llmops.trace
def work(name):
    with llmops.span(name):
        return os.getpid()

def child(name):
    work(name)

if __name__ == "__main__":
"""


def run(folder: Path, body: str, status: int = 0) -> collections.Counter[str]:
    """Run a program; how often each name was stored."""
    program = folder / "program.py"
    program.write_text(HEAD + "\n".join("    " + line for line in body.strip().splitlines()) + "\n")
    done = subprocess.run(
        [sys.executable, str(program)], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (status, "")
    rows = stored(folder / ".llmops")
    assert len({row["span_id"] for row in rows}) == len(rows)
    assert {row["status"] for row in rows} == {"ok"}
    return collections.Counter(row["name"] for row in rows if row["name"] != "work")


WAYS = {
    "flush and os._exit": "llmops.flush(); os._exit(0)",
    "sys.exit": "sys.exit(0)",
    "the end of the program": "pass",
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("queued", [True, False], ids=["parent has a queue", "parent has flushed"])
def test_a_forked_child_and_its_parent_both_record(tmp_path: Path, way: str, queued: bool) -> None:
    names = run(tmp_path, f"""
for n in range(100):
    work("before")
{"" if queued else "llmops.flush()"}
pid = os.fork()
if pid == 0:
    work("child")
    {WAYS[way]}
else:
    work("parent")
    assert os.waitpid(pid, 0)[1] == 0
""")  # fmt: skip
    assert names == {"before": 100, "child": 1, "parent": 1}


def test_fork_before_the_first_use(tmp_path: Path) -> None:
    assert run(tmp_path, """
pid = os.fork()
work("child" if pid == 0 else "parent")
if pid:
    os.waitpid(pid, 0)
""") == {"child": 1, "parent": 1}  # fmt: skip


def test_fork_inside_a_span(tmp_path: Path) -> None:
    assert run(tmp_path, """
with llmops.span("outer"):
    pid = os.fork()
    if pid == 0:
        work("child")
        llmops.flush()
        os._exit(0)
    os.waitpid(pid, 0)
""") == {"outer": 1, "child": 1}  # fmt: skip
    rows = {row["name"]: row for row in stored(tmp_path / ".llmops")}
    assert rows["work"]["parent_span_id"] == rows["outer"]["span_id"]


def test_a_grandchild_process_records_its_spans(tmp_path: Path) -> None:
    assert run(tmp_path, """
work("first")
if os.fork() == 0:
    work("second")
    if os.fork() == 0:
        work("third")
    else:
        os.wait()
else:
    os.wait()
""") == {"first": 1, "second": 1, "third": 1}  # fmt: skip


def test_many_children_at_once(tmp_path: Path) -> None:
    assert run(tmp_path, """
work("parent")
for n in range(8):
    if os.fork() == 0:
        for _ in range(50):
            work("child")
        sys.exit(0)
for n in range(8):
    assert os.wait()[1] == 0
""") == {"parent": 1, "child": 400}  # fmt: skip


@pytest.mark.parametrize(
    "method",
    [thorough("fork"), "spawn", thorough("forkserver")],
)
def test_multiprocessing_children_record_their_spans(tmp_path: Path, method: str) -> None:
    assert run(tmp_path, f"""
context = multiprocessing.get_context({method!r})
work("parent")
process = context.Process(target=child, args=("child",))
process.start()
process.join()
assert process.exitcode == 0
""") == {"parent": 1, "child": 1}  # fmt: skip


@pytest.mark.thorough
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_spans_in_a_process_pool_are_recorded(tmp_path: Path, method: str) -> None:
    assert run(tmp_path, f"""
from concurrent.futures import ProcessPoolExecutor
work("parent")
with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context({method!r})) as pool:
    assert os.getpid() not in set(pool.map(work, ["child"] * 20))
""") == {"parent": 1, "child": 20}  # fmt: skip


def test_spans_in_a_multiprocessing_pool_are_recorded(tmp_path: Path) -> None:
    assert run(tmp_path, """
work("parent")
with multiprocessing.get_context("fork").Pool(2) as pool:
    pool.map(work, ["child"] * 20)
    pool.close()
    pool.join()
""") == {"parent": 1, "child": 20}  # fmt: skip


def test_a_pool_worker_that_is_terminated_has_what_was_flushed(tmp_path: Path) -> None:
    assert run(tmp_path, """
with multiprocessing.get_context("fork").Pool(1) as pool:
    pool.map(work, ["child"] * 5)
    assert pool.apply(llmops.flush).stored == 10
work("parent")
""") == {"parent": 1, "child": 5}  # fmt: skip


@pytest.mark.thorough
def test_subprocesses_and_exec_lose_no_spans(tmp_path: Path) -> None:
    assert run(tmp_path, """
import subprocess
work("parent")
subprocess.run([sys.executable, "-c", "import llmops_sdk as l\\nwith l.span('child'): pass"], check=True)
llmops.flush()
work("late")
llmops.flush()
os.execv(sys.executable, [sys.executable, "-c", "import llmops_sdk as l\\nwith l.span('executed'): pass"])
""") == {"parent": 1, "child": 1, "late": 1, "executed": 1}  # fmt: skip


def test_the_child_does_not_write_to_the_parents_segment(tmp_path: Path) -> None:
    run(tmp_path, """
work("before")
llmops.flush()
if os.fork() == 0:
    work("child")
    sys.exit(0)
os.wait()
work("after")
""")  # fmt: skip
    for path in (tmp_path / ".llmops" / "wal").glob("*.ndjson"):
        text = path.read_text()
        assert not ('"child"' in text and ('"before"' in text or '"after"' in text))
