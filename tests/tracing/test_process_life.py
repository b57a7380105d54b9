"""Forks, multiprocessing, exit and signals, each with a real process and a real store."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import llmops_sdk as llmops

_HEAD = """
import os, sys
import llmops_sdk as llmops

@llmops.trace
def work(n):
    return n
"""


def run(body: str, *, expect: int = 0, folder: Path | None = None) -> str:
    """Run a program in this folder, with its store in `.llmops`; return its output."""
    done = subprocess.run(
        [sys.executable, "-c", _HEAD + body],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=folder or Path.cwd(),
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    assert done.returncode == expect, done.stderr
    return done.stdout + done.stderr


def names() -> list[tuple[str, int]]:
    return sorted(llmops.query("SELECT name, count(*) FROM spans GROUP BY ALL").rows())


def test_short_program_stores_every_span():
    run("for n in range(2000): work(n)")
    assert names() == [("work", 2000)]


def test_sys_exit_and_uncaught_error_lose_no_span():
    run("work(1); sys.exit(3)", expect=3)
    run("work(2); raise RuntimeError('end')", expect=1)
    assert names() == [("work", 2)]


def test_child_that_flushes_before_os_exit_loses_no_span():
    run(
        """
work("parent, before")
pid = os.fork()
if pid == 0:
    work("child")
    assert llmops.flush().stored == 1
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
work("parent, after")
"""
    )
    found = llmops.query("SELECT output FROM spans ORDER BY start_ns").rows()
    assert [row[0] for row in found] == ['"parent, before"', '"child"', '"parent, after"']


def test_child_that_ends_by_sys_exit_loses_no_span():
    run(
        """
for n in range(100): work(n)
pid = os.fork()
if pid == 0:
    for n in range(50): work("child")
    sys.exit(0)
assert os.waitpid(pid, 0)[1] == 0
"""
    )
    assert names() == [("work", 150)]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_child_is_in_the_parents_trace(method: str):
    Path("program.py").write_text(
        _HEAD
        + f"""
import multiprocessing
if __name__ == "__main__":
    work("parent")
    context = multiprocessing.get_context({method!r})
    children = [context.Process(target=work, args=(n,)) for n in range(3)]
    for child in children: child.start()
    for child in children: child.join()
    assert [child.exitcode for child in children] == [0, 0, 0]
"""
    )
    done = subprocess.run([sys.executable, "program.py"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert names() == [("work", 4)]


def test_flushed_spans_survive_a_kill():
    run(
        """
import signal
for n in range(500): work(n)
assert llmops.flush().stored == 500
os.kill(os.getpid(), signal.SIGKILL)
""",
        expect=-9,
    )
    assert names() == [("work", 500)]


def test_threads_running_at_exit_do_not_block_it():
    run(
        """
import threading
stop = threading.Event()
def loop():
    while not stop.is_set(): work(0)
threading.Thread(target=loop, daemon=True).start()
work("main")
"""
    )
    assert dict(names())["work"] >= 1


def test_malformed_configuration_is_logged_once_and_program_runs(own_surroundings: Path):
    (own_surroundings / "llmops.toml").write_text("retry = [")
    said = run("print([work(n) for n in range(3)])")
    assert "[0, 1, 2]" in said
    assert said.count("tracing uses the default settings") == 1
    assert "llmops.toml" in said


def test_unwritable_store_does_not_break_the_program(own_surroundings: Path):
    (own_surroundings / "blocked").write_text("a file where the folder should be")
    said = run(
        "os.environ['LLMOPS_STORE__PATH'] = 'blocked/store'\nprint([work(n) for n in range(3)])\nprint(llmops.flush())"
    )
    assert "[0, 1, 2]" in said
    assert "dropped=3" in said
    assert said.count("logged once") == 1


def test_fork_while_threads_start_tracing_does_not_hang():
    run(
        """
import threading, time
go = threading.Event()
def begin(n):
    go.wait()
    work(n)
threads = [threading.Thread(target=begin, args=(n,)) for n in range(4)]
for thread in threads: thread.start()
go.set()
pid = os.fork()
if pid == 0:
    work("child")
    llmops.flush()
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
for thread in threads: thread.join()
"""
    )
    assert names() == [("work", 5)]


def test_signal_at_any_step_leaves_the_context_clean():
    # A timer of the process's CPU time; without garbage collection, whose callbacks would swallow the exception.
    said = run(
        """
import gc, signal
class Alarm(BaseException): pass
def ring(*_): raise Alarm
gc.disable()
work(0)
signal.signal(signal.SIGVTALRM, ring)
rung = 0
for _ in range(60):
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0005)
        for n in range(20_000): work(n)
    except Alarm:
        rung += 1
signal.setitimer(signal.ITIMER_VIRTUAL, 0)
assert not llmops.current_span().recording
print("rung", rung > 0)
"""
    )
    assert "rung True" in said
    assert llmops.query("SELECT count(*) FROM spans WHERE parent_span_id IS NOT NULL").scalar() == 0
