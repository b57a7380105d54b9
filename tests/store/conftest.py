"""What the store's tests share."""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from llmops_sdk.store import Result, StoreSink, query

_WRITER = Path(__file__).with_name("span_writer.py")
_spec = importlib.util.spec_from_file_location("span_writer", _WRITER)
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
sys.modules.setdefault("span_writer", _module)
_spec.loader.exec_module(_module)


class TurnedClock:
    """A clock that a test turns by hand."""

    def __init__(self) -> None:
        self.now = 1_795_000_000.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    async def asleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def make_span() -> Callable[..., Any]:
    return _module.PlainSpan


@pytest.fixture
def killed_after() -> Callable[..., None]:
    """Run a program that prints a line, waits for one, and is killed if it has not ended after some seconds."""

    def run(program: str, *arguments: str, seconds: float) -> None:
        command = [sys.executable, "-c", program, *arguments]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
            assert running.stdin is not None
            assert running.stdout is not None
            running.stdout.readline()
            running.stdin.write("go\n")
            running.stdin.flush()
            try:
                running.wait(seconds)
            except subprocess.TimeoutExpired:
                running.send_signal(signal.SIGKILL)

    return run


@pytest.fixture
def writer_program() -> Path:
    return _WRITER


@pytest.fixture
def turned_clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def sink(store: Path) -> Iterator[StoreSink]:
    sink = StoreSink(store)
    yield sink
    sink.close(1.0)


@pytest.fixture
def ask(store: Path) -> Callable[..., Result]:
    def ask(sql: str, params: Sequence[Any] | None = None) -> Result:
        return query(sql, params, path=store)

    return ask
