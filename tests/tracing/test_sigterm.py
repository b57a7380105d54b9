"""SIGTERM and Ctrl-C sent to real programs: their exit status, and the spans in the store."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from otlp_receiver import BlackHole

import llmops_sdk as llmops

HEAD = """
import atexit, multiprocessing, os, signal, sys, threading
import llmops_sdk as llmops

@llmops.trace
def work(n=0):
    return n

def pause():
    # Bounded: Python misses a signal that arrives just before it starts to wait.
    while True:
        threading.Event().wait(0.1)

def ready():
    print("ready", flush=True)
    pause()

"""


def ended(body: str, number: signal.Signals | None = signal.SIGTERM, **environ: str) -> tuple[int, str]:
    """Run a program and send it a signal once it is ready; return its status and output."""
    Path("program.py").write_text(HEAD + body)
    with subprocess.Popen(
        [sys.executable, "program.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **environ},
    ) as program:
        assert program.stdout is not None
        try:
            if number is not None:
                assert program.stdout.readline() == "ready\n"
                program.send_signal(number)
            said = program.communicate(timeout=60)[0]
        finally:
            program.kill()
    return program.returncode, said


def names() -> dict[str, int]:
    """Return how many spans of each name the store has; check that none is there twice."""
    rows = llmops.query("SELECT name, count(*), count(DISTINCT span_id) FROM spans GROUP BY ALL").rows()
    assert all(every == distinct for _, every, distinct in rows)
    return {name: count for name, count, _ in rows}


def test_sigterm_stores_every_span_and_keeps_the_exit_status():
    done = ended("assert llmops.flush_on_sigterm()\nfor n in range(5000): work(n)\nready()")
    assert done == (-signal.SIGTERM, "")
    assert names() == {"work": 5000}


def test_no_handler_is_installed_by_default():
    done = ended(
        """
work()
llmops.flush()
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
ready()
"""
    )
    assert done == (-signal.SIGTERM, "")
    assert names() == {"work": 1}


def test_ctrl_c_ends_the_program_as_usual():
    status, said = ended("work()\nllmops.flush()\nfor n in range(99): work(n)\nready()", signal.SIGINT)
    assert status == -signal.SIGINT
    assert said.rstrip().endswith("KeyboardInterrupt")
    assert "llmops" not in said.partition("Traceback")[0]
    assert names() == {"work": 100}


HANDLERS = {
    "that exits": ("lambda *_: sys.exit(5)", 5),
    "that flushes and leaves": ("lambda *_: (llmops.flush(), os._exit(6))", 6),
    "that raises": ("lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)", -signal.SIGINT),
}


@pytest.mark.parametrize("handler", HANDLERS)
def test_application_handler_is_not_replaced(handler: str):
    code, expected = HANDLERS[handler]
    status, _ = ended(
        f"""
mine = {code}
signal.signal(signal.SIGTERM, mine)
work()
llmops.flush()
assert llmops.flush_on_sigterm() is False
assert signal.getsignal(signal.SIGTERM) is mine
for n in range(99): work(n)
ready()
"""
    )
    assert status == expected
    assert names() == {"work": 100}


def test_ignored_sigterm_stays_ignored():
    done = ended(
        """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
assert llmops.flush_on_sigterm() is False
signal.raise_signal(signal.SIGTERM)
work()
""",
        None,
    )
    assert done == (0, "")
    assert names() == {"work": 1}


def test_later_handler_that_calls_ours_keeps_running():
    done = ended(
        """
assert llmops.flush_on_sigterm()
before = signal.getsignal(signal.SIGTERM)
def later(*occasion):
    before(*occasion)
    assert llmops.flush(0.0).stored == 50
    work("after")
signal.signal(signal.SIGTERM, later)
for n in range(50): work(n)
signal.raise_signal(signal.SIGTERM)
assert signal.getsignal(signal.SIGTERM) is later
sys.exit(7)
""",
        None,
    )
    assert done == (7, "")
    assert names() == {"work": 51}


def test_second_call_keeps_the_same_handler():
    done = ended("assert llmops.flush_on_sigterm() and llmops.flush_on_sigterm(1.0)\nwork()\nready()")
    assert done == (-signal.SIGTERM, "")
    assert names() == {"work": 1}


def test_call_outside_the_main_thread_raises():
    done = ended(
        """
def ask():
    try:
        llmops.flush_on_sigterm()
    except llmops.LLMOpsError as error:
        print(error)
thread = threading.Thread(target=ask)
thread.start()
thread.join()
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
""",
        None,
    )
    assert done == (0, "flush_on_sigterm() sets a signal's handler: call it in the main thread\n")


@pytest.mark.parametrize("state", ["", "llmops.shutdown()"], ids=["by the thread", "written through"])
def test_sigterm_during_recording_tears_no_record(state: str):
    done = ended(
        f"""
assert llmops.flush_on_sigterm()
work()
{state}
print("ready", flush=True)
n = 0
while True:
    work(n)
    n += 1
"""
    )
    assert done == (-signal.SIGTERM, "")
    assert names()["work"] >= 1
    numbers = [int(row[0]) for row in llmops.query("SELECT output FROM spans ORDER BY start_ns OFFSET 1").rows()]
    assert numbers == list(range(len(numbers)))


def test_silent_backend_delays_sigterm_at_most_by_the_timeout():
    with BlackHole() as hole:
        status, _ = ended(
            "assert llmops.flush_on_sigterm(0.5)\nfor n in range(1000): work(n)\nready()",
            OTEL_EXPORTER_OTLP_ENDPOINT=hole.url,
        )
    assert status == -signal.SIGTERM
    assert names() == {"work": 1000}


def test_forked_child_inherits_the_handler():
    done = ended(
        """
if __name__ == "__main__":
    assert llmops.flush_on_sigterm()
    work("parent")
    reader, writer = os.pipe()
    def job():
        for n in range(100): work(n)
        os.write(writer, b"1")
        pause()
    child = multiprocessing.get_context("fork").Process(target=job)
    child.start()
    os.read(reader, 1)
    child.terminate()
    child.join()
    assert child.exitcode == -signal.SIGTERM
""",
        None,
        PYTHONWARNINGS="ignore",
    )
    assert done == (0, "")
    assert names() == {"work": 101}


ENDS_OF_PROCESSES = {
    "at exit": "",
    "in a worker of Celery": "try:\n    shut_down_at_exit()\nfinally:\n    os._exit(0)",
}


@pytest.mark.parametrize("end", ENDS_OF_PROCESSES)
def test_handler_that_exits_during_the_flush_at_exit_loses_no_span(end: str):
    _, said = ended(
        f"""
from llmops_sdk.tracing.runtime._start import shut_down_at_exit

WAITS = {"wait", "join", "_wait_for_tstate_lock"}
ending, handled = threading.Event(), threading.Event()
def exit_now(*_):
    handled.set()
    sys.exit(5)
signal.signal(signal.SIGTERM, exit_now)

def wait_for_the_main_thread():
    while sys._current_frames()[threading.main_thread().ident].f_code.co_name not in WAITS:
        os.sched_yield()

def interrupt(text):
    # On the pipeline's thread: end the main thread's wait for it, and go on only if that waits again.
    if ending.is_set() and not handled.is_set():
        wait_for_the_main_thread()
        os.kill(os.getpid(), signal.SIGTERM)
        handled.wait()
        wait_for_the_main_thread()
    return text
llmops.add_redactor(interrupt)

for n in range(99): work("text")
ending.set()
work("last")
{ENDS_OF_PROCESSES[end]}
""",
        None,
        LLMOPS_TRACING__FLUSH_INTERVAL="3600",
    )
    assert "llmops:" not in said
    assert names() == {"work": 100}
