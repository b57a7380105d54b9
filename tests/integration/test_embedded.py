"""A C program that embeds Python, with its own threads and several ways to end. Needs a C compiler."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from real_servers import names

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

HEAD = """
import atexit, threading
import llmops_sdk as llmops

@llmops.trace
def work(n=0):
    return n

"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the program."""
    built = tmp_path_factory.mktemp("embedding") / "embedding"

    def config(name: str) -> str:
        return str(sysconfig.get_config_var(name) or "")

    folder = config("LIBDIR") if config("Py_ENABLE_SHARED") == "1" else config("LIBPL")
    command = [
        *shlex.split(config("CC") or "cc"),
        *("-o", str(built), str(Path(__file__).with_name("embedding.c"))),
        f"-I{sysconfig.get_path('include')}",
        *(f"-L{folder}", f"-Wl,-rpath,{folder}", f"-lpython{config('LDVERSION')}", "-pthread"),
        *shlex.split(config("LIBS")),
        *shlex.split(config("SYSLIBS")),
        *shlex.split(config("LINKFORSHARED")),
    ]
    subprocess.run(command, check=True, timeout=120)
    return built


def run(host: Path, folder: Path, body: str, *, thread: str = "main", end: str = "finalize") -> tuple[int, str]:
    """Run the program; return its status and output."""
    done = subprocess.run(
        [str(host), thread, end, HEAD + body],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONHOME": sys.base_prefix,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "LLMOPS_STORE__PATH": str(folder / "store"),
            "LLMOPS_TRACING__FLUSH_INTERVAL": "3600",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("thread", ["main", "thread"])
def test_spans_are_stored_at_finalization(host: Path, tmp_path: Path, thread: str) -> None:
    assert run(host, tmp_path, "for n in range(5000): work(n)", thread=thread) == (0, "")
    assert names(tmp_path) == {"work": 5000}


@pytest.mark.parametrize("thread", ["main", "thread"])
def test_first_span_at_exit_is_stored_without_a_thread(host: Path, tmp_path: Path, thread: str) -> None:
    assert run(host, tmp_path, "atexit.register(work); atexit.register(work)", thread=thread) == (0, "")
    assert names(tmp_path) == {"work": 2}


def test_spans_of_a_thread_that_outlives_the_program_are_stored(host: Path, tmp_path: Path) -> None:
    late = "threading.Thread(target=lambda: (threading.main_thread().join(), work())).start()"
    assert run(host, tmp_path, f"work()\n{late}") == (0, "")
    assert names(tmp_path) == {"work": 2}


@pytest.mark.parametrize(("end", "status"), [("leave", 4), ("terminate", -signal.SIGTERM)])
def test_flushed_spans_survive_an_end_without_finalization(host: Path, tmp_path: Path, end: str, status: int) -> None:
    assert run(host, tmp_path, "for n in range(100): work(n)\nllmops.flush()", end=end) == (status, "")
    assert names(tmp_path) == {"work": 100}
