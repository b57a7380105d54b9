"""Process life cycle: first use during exit, abrupt ends, forks. Each test runs a real program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from otlp_receiver import BlackHole, OtlpReceiver
from thorough_cases import thorough

import llmops_sdk as llmops
from llmops_sdk.store.outbox._outbox import outbox_sizes

HEAD = """
import atexit, faulthandler, multiprocessing, os, sys, threading
import llmops_sdk as llmops

@llmops.trace
def work(n=0):
    return n

"""


def ended(body: str, *, head: str = HEAD, **environ: str) -> tuple[int, str]:
    """Run a program; return its status and output. Spans are written only at exit or by a flush."""
    Path("program.py").write_text(head + body)
    done = subprocess.run(
        [sys.executable, "program.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=90,
        check=False,
        env={**os.environ, "LLMOPS_TRACING__FLUSH_INTERVAL": "3600", **environ},
    )
    return done.returncode, done.stdout


def names() -> dict[str, int]:
    """Return how many spans of each name the store has; check that none is there twice."""
    rows = llmops.query("SELECT name, count(*), count(DISTINCT span_id) FROM spans GROUP BY ALL").rows()
    assert all(every == distinct for _, every, distinct in rows)
    return {name: count for name, count, _ in rows}


# --- first use during exit --------------------------------------------------------------------------------------------

FIRST_USES = {
    "in an atexit function": HEAD + "atexit.register(work)",
    "in two of them": HEAD + "atexit.register(work); atexit.register(lambda: [work() for _ in range(9)])",
    "of an import without a decorator": """
import atexit
import llmops_sdk as llmops
def late():
    with llmops.span("work"):
        pass
atexit.register(late)
""",
    "in an atexit function from before the import": """
import atexit, threading
atexit.register(lambda: work())
"""
    + HEAD,
    "of an import in an atexit function": """
import atexit, threading
def late():
    import llmops_sdk as llmops
    with llmops.span("work"):
        pass
atexit.register(late)
""",
    "in a thread that outlives the main one": HEAD
    + "threading.Thread(target=lambda: (threading.main_thread().join(), work())).start()",
}


@pytest.mark.parametrize("use", FIRST_USES)
def test_first_use_during_exit_is_stored(use: str) -> None:
    assert ended("", head=FIRST_USES[use]) == (0, "")
    assert names() == {"work": 10 if "two" in use else 1}
    assert llmops.query("FROM losses").rows() == []


@pytest.mark.parametrize("use", ["in an atexit function", "of an import in an atexit function"])
def test_first_use_during_exit_is_exported_by_the_next_process(use: str) -> None:
    with OtlpReceiver() as backend:
        assert ended("", head=FIRST_USES[use], OTEL_EXPORTER_OTLP_ENDPOINT=backend.url) == (0, "")
        assert backend.spans == []
    assert names() == {"work": 1}
    assert llmops.query("FROM losses").rows() == []
    assert outbox_sizes(llmops.settings().store.path)["default"] > 0


# --- ends -------------------------------------------------------------------------------------------------------------


def test_exit_is_bounded_with_full_queue_and_silent_backend() -> None:
    with BlackHole() as hole:
        status, said = ended(
            "llmops.flush()\nfor n in range(8000): work(n)",
            OTEL_EXPORTER_OTLP_ENDPOINT=hole.url,
            LLMOPS_TRACING__QUEUE_SPANS="1000",
        )
    assert status == 0
    assert "spans wait for http://127.0.0.1:" in said
    stored = names()["work"]
    dropped = llmops.query("SELECT coalesce(sum(count), 0) FROM losses WHERE what = 'span'").scalar()
    assert stored >= 1000
    assert stored + dropped == 8000


@pytest.mark.parametrize("end", ["os.abort()", "faulthandler.enable(); faulthandler._sigsegv()", "os._exit(3)"])
def test_flushed_spans_survive_an_abrupt_end(end: str) -> None:
    status, said = ended(f"for n in range(500): work(n)\nassert llmops.flush().stored == 500\n{end}")
    assert status == {"os.abort()": -signal.SIGABRT, "os._exit(3)": 3}.get(end, -signal.SIGSEGV)
    assert said == "" or "faulthandler" in end  # which prints the stack of each thread
    assert names() == {"work": 500}


def test_shutdown_leaves_no_thread_or_descriptor() -> None:
    assert ended(
        """
work()
if pid := os.fork():
    os.waitpid(pid, 0)
    work()
    assert llmops.flush().stored == 2
    assert {thread.name for thread in threading.enumerate()} == {"MainThread", "llmops-pipeline"}
llmops.shutdown()
assert threading.enumerate() == [threading.main_thread()]
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    sys.exit(0)
sys.exit("a child is left")
"""
    ) == (0, "")
    assert names() == {"work": 2}


# --- forks ------------------------------------------------------------------------------------------------------------

CHILDREN = {
    "os._exit": ("os._exit(7)", 7),
    "sys.exit": ("sys.exit(7)", 7),
    "an exception": ("os.dup2(os.open(os.devnull, os.O_WRONLY), 2); raise ValueError", 1),
    "SIGKILL": ("os.kill(os.getpid(), 9)", -9),
    "flush and os._exit": ("llmops.flush(); os._exit(7)", 7),
    "shutdown and os._exit": ("llmops.shutdown(); work(); os._exit(7)", 7),
}


@pytest.mark.parametrize("queued", ["", "llmops.flush()"], ids=["a queue", "flushed"])
def test_forked_child_stores_its_spans_however_it_exits(queued: str) -> None:
    rounds = "".join(
        f"""
for n in range(1000): work(n)
{queued}
pid = os.fork()
if pid == 0:
    work = llmops.trace({way!r})(work.__wrapped__)
    for n in range(100): work(n)
    {code}
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == {status}
for n in range(10): work(n)
"""
        for way, (code, status) in CHILDREN.items()
    )
    # Python 3.12 warns about threads at a fork: ours stops during the fork.
    assert ended(rounds, PYTHONWARNINGS="error") == (0, "")
    assert names() == {"work": 1010 * len(CHILDREN)} | {way: 100 + ("shutdown" in way) for way in CHILDREN}


def test_long_lived_child_starts_a_pipeline_thread() -> None:
    assert ended(
        """
work()
pid = os.fork()
if pid == 0:
    from llmops_sdk.tracing.spans import _runtime
    work()
    assert threading.enumerate() == [threading.main_thread()]
    _runtime.current.pipeline.write_through_until = 0.0  # its first seconds are over
    for n in range(2000): work(n)
    assert len(threading.enumerate()) == 2
    sys.exit(0)
assert os.waitpid(pid, 0)[1] == 0
"""
    ) == (0, "")
    assert names() == {"work": 2002}


def test_a_worker_that_is_killed_without_notice_has_stored_what_is_older_than_the_flush_interval() -> None:
    # As Celery does at a warm shutdown: Linux kills a worker when the thread that started it ends.
    assert ended(
        """
from llmops_sdk.tracing.spans import _runtime
reader, writer = os.pipe()
pids = []
def supervise():
    pids.append(os.fork())
    if pids[0] == 0:
        work()
        _runtime.current.pipeline.write_through_until = 0.0  # its first seconds are over
        for n in range(99): work(n)
        while _runtime.current.pipeline.report().stored < 100:
            os.sched_yield()
        os.write(writer, b"1")
        with llmops.span("open"):
            threading.Event().wait()
    os.read(reader, 1)
    os.kill(pids[0], 9)
thread = threading.Thread(target=supervise)
thread.start()
thread.join()
assert os.waitpid(pids[0], 0)[1] == 9
""",
        LLMOPS_TRACING__FLUSH_INTERVAL="0.05",
        PYTHONWARNINGS="ignore",
    ) == (0, "")
    assert names() == {"work": 100}


def test_a_job_of_rq_which_ends_without_any_hook_loses_no_span() -> None:
    # The real RQ: tests/integration/test_rq.py.
    Path("rq").mkdir()
    Path("rq/__init__.py").touch()
    Path("rq/worker.py").write_text("import os\ndef main_work_horse(job):\n    job()\n    os._exit(0)\n")
    assert ended("import rq.worker\nrq.worker.main_work_horse(work)") == (0, "")
    assert names() == {"work": 1}


def test_fork_in_a_thread_loses_no_span() -> None:
    assert ended(
        """
def fork():
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
for n in range(100): work(n)
threads = [threading.Thread(target=fork) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
work()
""",
        PYTHONWARNINGS="ignore",
    ) == (0, "")
    assert names() == {"work": 105}


def test_repeated_forks_lose_no_span() -> None:
    assert ended(
        """
for _ in range(30):
    for n in range(100): work(n)
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
assert llmops.flush(30.0).stored == 3000
""",
        PYTHONWARNINGS="error",
    ) == (0, "")
    assert names() == {"work": 3030}


POOLS = {
    "a pool that is closed": """
    with context.Pool(2) as pool:
        pool.map(one, range(40))
        pool.close()
        pool.join()
""",
    "a pool that recycles its workers": """
    with context.Pool(2, maxtasksperchild=10) as pool:
        pool.map(one, range(40), chunksize=1)
        pool.close()
        pool.join()
""",
    "an executor": """
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        list(pool.map(one, range(40)))
""",
    "processes": """
    processes = [context.Process(target=several, args=(way, 10)) for _ in range(4)]
    for process in processes: process.start()
    for process in processes: process.join()
    assert {process.exitcode for process in processes} == {0}
""",
    "processes that exit": """
    processes = [context.Process(target=leaving, args=(way, 10)) for _ in range(4)]
    for process in processes: process.start()
    for process in processes: process.join()
    assert {process.exitcode for process in processes} == {7}
""",
}


@pytest.mark.parametrize(
    "method",
    ["fork", thorough("spawn"), thorough("forkserver")],
)
def test_multiprocessing_children_lose_no_span(method: str) -> None:
    functions = """
from concurrent.futures import ProcessPoolExecutor
from functools import partial

def named(way, n):
    with llmops.span(way): pass

def several(way, count):
    for n in range(count): named(way, n)

def leaving(way, count):
    several(way, count)
    sys.exit(7)

"""
    main = f"""
if __name__ == "__main__":
    context = multiprocessing.get_context({method!r})
"""
    for way, code in POOLS.items():
        main += f"""
    way = {way!r}
    one = partial(named, way)
    for n in range(100): work(n)
{code}
    for n in range(10): work(n)
"""
    assert ended(functions + main) == (0, "")
    assert names() == {"work": 110 * len(POOLS)} | dict.fromkeys(POOLS, 40)


# --- records made inside of a write -----------------------------------------------------------------------------------


def test_record_made_during_a_write_is_written_after_it() -> None:
    # As a garbage collection does when it closes a traced generator at any point.
    assert ended(
        """
import gc
class Held:
    @llmops.trace("closed by the collector")
    def __del__(self):
        pass
def leave_a_cycle():
    held = Held()
    held.me = held
gc.disable()
work()
llmops.shutdown()  # from here on, each thread writes its own spans
gc.set_threshold(1)
gc.enable()
for n in range(200):
    leave_a_cycle()
    work(n)
gc.disable()
gc.collect()
"""
    ) == (0, "")
    assert names() == {"work": 201, "closed by the collector": 200}
