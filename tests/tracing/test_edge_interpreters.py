"""Interpreters of another kind: optimised ones, and several in one process."""

from __future__ import annotations

import collections
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from span_rows import stored
from thorough_cases import thorough

PROGRAM = """
import asyncio, contextlib
import llmops_sdk as llmops

class Thing:
    @llmops.trace("method")
    def method(self, a):
        return a

    @classmethod
    @llmops.trace("made")
    def made(cls, a):
        return cls().method(a)

@llmops.trace("numbers")
def numbers(count):
    yield from range(count)

@llmops.trace("awaited")
async def awaited(a):
    await asyncio.sleep(0)
    return sum([number async for number in stream(a)])

@llmops.trace("stream")
async def stream(count):
    for number in range(count):
        yield number

@llmops.trace("fails")
def fails():
    raise ValueError("no")

with llmops.context(session_id="s"), llmops.span("root"):
    if Thing.made(1) != 1 or list(numbers(2)) != [0, 1] or asyncio.run(awaited(3)) != 3:
        raise SystemExit("wrong")
    left = numbers(2)
    next(left)
    left.close()
    with contextlib.suppress(ValueError):
        fails()
    llmops.inject({})
if llmops.current_span().is_recording():
    raise SystemExit("the context is not clean")
if llmops.flush(30).stored != 8:
    raise SystemExit("not stored")
"""


def run(*arguments: str) -> str:
    """What a program of its own prints; it says nothing else and ends well."""
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("option", ["-OO", *map(thorough, ("-O", "-I", "-Xdev"))])
def test_an_interpreter_with_options(option: str) -> None:
    run(option, "-c", PROGRAM)
    rows = stored(Path(".llmops"))
    by_id = {row["span_id"]: row["name"] for row in rows}
    assert collections.Counter(
        (row["name"], by_id.get(row.get("parent_span_id", "")), row["status"], row["session_id"]) for row in rows
    ) == {
        ("root", None, "ok", "s"): 1,
        ("made", "root", "ok", "s"): 1,
        ("method", "made", "ok", "s"): 1,
        ("numbers", "root", "ok", "s"): 1,
        ("numbers", "root", "closed", "s"): 1,
        ("awaited", "root", "ok", "s"): 1,
        ("stream", "awaited", "ok", "s"): 1,
        ("fails", "root", "error", "s"): 1,
    }  # fmt: skip
    assert [row["input"] for row in rows if row["name"] == "method"] == [{"a": 1}]


OUTSIDE = """
import llmops_sdk as llmops
with llmops.span("outside"):
    pass
"""
INSIDE = """
import sys
sys.path[:] = {path}
import llmops_sdk as llmops
with llmops.span("inside"):
    pass
assert llmops.flush(30).stored == 1
llmops.shutdown()
"""
SECOND = """
import _xxsubinterpreters as interpreters
other = interpreters.create()
try:
    interpreters.run_string(other, {inside!r})
except interpreters.RunFailedError as error:
    print(error)
interpreters.destroy(other)
"""


@pytest.mark.skipif(
    sys.version_info >= (3, 12) or importlib.util.find_spec("_xxsubinterpreters") is None,
    reason="from Python 3.12 on such an interpreter loads only modules of C that are made for it",
)
@pytest.mark.parametrize("outside", [True, False])
def test_a_second_interpreter_in_the_process(outside: bool) -> None:
    """orjson and pydantic load into one interpreter of a process; another gets an ImportError, and none is hurt."""
    second = SECOND.format(inside=INSIDE.format(path=sys.path))
    said = run("-c", OUTSIDE + second + OUTSIDE if outside else second)
    rows = collections.Counter(row["name"] for row in stored(Path(".llmops")))
    if outside:
        assert "ImportError" in said
        assert rows == {"outside": 2}
    else:
        assert said == ""
        assert rows == {"inside": 1}
