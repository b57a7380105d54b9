"""The ends of a program: what was recorded is in the store, and the end comes in time."""

from __future__ import annotations

import collections
import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from span_rows import stored
from thorough_cases import thorough

HEAD = """
import os, signal, sys, threading, asyncio, atexit
import llmops_sdk as llmops

@llmops.trace
def work(n=0):
    return n

"""


def run(folder: Path, body: str, *, seconds: float = 30, **environ: str) -> subprocess.CompletedProcess[str]:
    import os

    return subprocess.run(
        [sys.executable, "-c", HEAD + body], cwd=folder, capture_output=True, text=True, timeout=seconds, check=False,
        env={**os.environ, **environ},
    )  # fmt: skip


def names(folder: Path) -> dict[str, int]:
    return dict(collections.Counter(row["name"] for row in stored(folder / ".llmops")))


@contextlib.contextmanager
def black_hole() -> Iterator[str]:
    """A server that accepts, reads and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept: list[socket.socket] = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    kept.append(server.accept()[0])

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in kept:
            connection.close()


ENDS = {
    "the end": ("", 0),
    "sys.exit": ("sys.exit(3)", 3),
    "an exception": ("raise ValueError", 1),
    "an interrupt": ("raise KeyboardInterrupt", -signal.SIGINT),
    "another thread's end": ("threading.Thread(target=lambda: [work() for _ in range(10)]).start()", 0),
    "flush and os._exit": ("llmops.flush(); os._exit(4)", 4),
    "shutdown": ("llmops.shutdown()", 0),
    "a closed standard output": ("sys.stdout.close(); sys.stderr.close()", 0),
    "a changed folder": ("os.chdir('/')", 0),
    "an exec": ("llmops.flush(); os.execv(sys.executable, [sys.executable, '-c', ''])", 0),
}


@pytest.mark.parametrize("end", [*list(ENDS)[:2], *map(thorough, list(ENDS)[2:])])
def test_a_full_queue_at_exit_does_not_hang(tmp_path: Path, end: str) -> None:
    code, status = ENDS[end]
    done = run(tmp_path, f"for n in range(20_000): work(n)\n{code}")
    assert done.returncode == status
    assert done.stderr == "" or end in {"an exception", "an interrupt"}
    assert names(tmp_path) == {"work": 20_010 if "range(10)" in code else 20_000}


def test_an_endpoint_that_never_answers_does_not_block_exit(tmp_path: Path) -> None:
    with black_hole() as endpoint:
        began = time.monotonic()
        done = run(tmp_path, "for n in range(60_000): work(n)", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, seconds=60)
        took = time.monotonic() - began
    assert done.returncode == 0
    assert names(tmp_path) == {"work": 60_000}
    assert took < 45


def test_spans_from_atexit_and_from_threads_at_the_end(tmp_path: Path) -> None:
    done = run(tmp_path, """
atexit.register(work)
def late():
    threading.main_thread().join()
    work(2)
threading.Thread(target=late).start()
work(1)
""")  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert names(tmp_path) == {"work": 3}


def test_an_atexit_function_registered_before_the_import(tmp_path: Path) -> None:
    import os

    done = subprocess.run(
        [sys.executable, "-c", "import atexit\natexit.register(lambda: work())\n" + HEAD + "work()"],
        cwd=tmp_path, capture_output=True, text=True, timeout=30, env=dict(os.environ), check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert names(tmp_path) == {"work": 2}


def test_a_daemon_thread_that_records_to_the_end(tmp_path: Path) -> None:
    done = run(tmp_path, """
import time
def churn():
    while True:
        work()
        time.sleep(0.0001)  # as much as any machine writes within the 5 seconds of the exit
threading.Thread(target=churn, daemon=True).start()
while llmops.flush().stored < 100:
    pass
""")  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert names(tmp_path)["work"] >= 100


def test_objects_deleted_at_exit_may_still_trace(tmp_path: Path) -> None:
    done = run(tmp_path, """
class Held:
    @llmops.trace("del")
    def __del__(self):
        pass
held = Held()
held.me = held
@llmops.trace("stream")
def stream():
    yield 1
left = stream()
next(left)
async def main():
    global aleft
    @llmops.trace("astream")
    async def astream():
        yield 1
    aleft = astream()
    await anext(aleft)
asyncio.run(main())
work()
""")  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert names(tmp_path)["work"] == 1
    assert names(tmp_path)["astream"] == 1


def test_a_span_that_is_open_at_the_end(tmp_path: Path) -> None:
    done = run(tmp_path, "span = llmops.span('open').__enter__()\nwork()\nsys.exit(0)")
    assert (done.returncode, done.stderr) == (0, "")
    assert names(tmp_path)["work"] == 1


def test_sigterm_with_a_handler_that_exits(tmp_path: Path) -> None:
    done = run(tmp_path, """
signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
with llmops.span("outer"):
    for n in range(5000):
        work(n)
    signal.raise_signal(signal.SIGTERM)
""")  # fmt: skip
    assert (done.returncode, done.stderr) == (5, "")
    assert names(tmp_path) == {"work": 5000, "outer": 1}


def test_sigterm_by_default_ends_as_without_us(tmp_path: Path) -> None:
    done = run(tmp_path, """
work()
llmops.flush()
assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
signal.raise_signal(signal.SIGTERM)
""")  # fmt: skip
    assert (done.returncode, done.stderr) == (-signal.SIGTERM, "")
    assert names(tmp_path) == {"work": 1}


def test_sigterm_under_asyncio(tmp_path: Path) -> None:
    done = run(tmp_path, """
@llmops.trace("main")
async def main():
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    work()
    signal.raise_signal(signal.SIGTERM)
    await asyncio.Event().wait()
try:
    asyncio.run(main())
except asyncio.CancelledError:
    pass
""")  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert {row["name"]: row["status"] for row in stored(tmp_path / ".llmops")} == {"work": "ok", "main": "cancelled"}


def test_a_killed_process_keeps_what_was_flushed(tmp_path: Path) -> None:
    done = run(tmp_path, "for n in range(1000): work(n)\nllmops.flush()\nos.kill(os.getpid(), signal.SIGKILL)")
    assert done.returncode == -signal.SIGKILL
    assert names(tmp_path) == {"work": 1000}


def test_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run(tmp_path, "assert work(3) == 3\nprint('fine')", LLMOPS_STORE__PATH=str(tmp_path / "file" / "store"))
    assert (done.returncode, done.stdout) == (0, "fine\n")
