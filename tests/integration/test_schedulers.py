"""Other schedulers than threads and asyncio: trio, and gevent with all of Python patched."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from real_backends import environment

import llmops_sdk as llmops

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

UNDER_GEVENT = """
import asyncio, contextvars, os, threading
if os.environ["PATCHED"] == "late":
    import llmops_sdk as llmops
    with llmops.span("before"):
        pass
from gevent import monkey; monkey.patch_all()
import gevent
import llmops_sdk as llmops

@llmops.trace("leaf")
def leaf(n):
    gevent.sleep(0)
    return n

@llmops.trace("numbers")
def numbers(n):
    for i in range(3):
        gevent.sleep(0)
        assert llmops.current_span().name == "numbers"
        yield leaf(i)

@llmops.trace("task")
def task(n):
    gevent.sleep(0.001 * (n % 3))
    assert llmops.current_span().name == "task"
    got = sum(numbers(n))
    assert llmops.current_span().name == "task"
    return got

@llmops.trace("slow")
def slow():
    gevent.sleep(60)

@llmops.trace("awaited")
async def awaited():
    await asyncio.sleep(0)

with llmops.context(session_id="s"), llmops.span("root") as root:
    carried = [gevent.spawn(contextvars.copy_context().run, task, n) for n in range(10)]
    gevent.joinall([*carried, *(gevent.spawn(task, n) for n in range(10))], raise_error=True)
    killed = gevent.spawn(slow)
    gevent.sleep(0.01)
    killed.kill()
    try:
        with gevent.Timeout(0.01):
            slow()
    except gevent.Timeout:
        pass
    thread = threading.Thread(target=task, args=(99,))
    thread.start()
    thread.join()
    asyncio.run(awaited())
    assert llmops.current_span().span_id == root.span_id
assert not llmops.current_span().is_recording()
"""

UNDER_TRIO = """
import contextlib
import trio
import llmops_sdk as llmops

@llmops.trace("leaf")
async def leaf(n):
    await trio.sleep(0)

@llmops.trace("numbers")
async def numbers(n):
    for i in range(3):
        await trio.sleep(0)
        assert llmops.current_span().name == "numbers"
        await leaf(i)
        yield i

@llmops.trace("task")
async def task(n):
    async for _ in numbers(n):
        assert llmops.current_span().name == "task"
    async with llmops.span("block"):
        await leaf(9)

@llmops.trace("slow")
async def slow():
    await trio.sleep(60)

@llmops.trace("fails")
async def fails():
    raise ValueError("no")

@llmops.trace("timed")
async def timed():
    with trio.move_on_after(0.01):
        yield 1
        await trio.sleep(60)
    yield 2

@llmops.trace("blocking")
def blocking(n):
    return trio.from_thread.run(leaf, n)

async def main():
    with llmops.context(session_id="s"), llmops.span("root") as root:
        async with trio.open_nursery() as nursery:
            for n in range(5):
                nursery.start_soon(task, n)
        with trio.move_on_after(0.01) as scope:
            await slow()
        assert scope.cancelled_caught
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(slow)
                nursery.start_soon(fails)
        except* ValueError:
            pass
        await trio.to_thread.run_sync(blocking, 1)
        async for _ in numbers(7):
            break
        async with contextlib.aclosing(numbers(8)) as stream:
            async for _ in stream:
                break
        async with contextlib.aclosing(timed()) as stream:
            assert [i async for i in stream] == [1, 2]
        assert llmops.current_span().span_id == root.span_id

trio.run(main)
assert not llmops.current_span().is_recording()
"""

_SQL = """
SELECT s.name, p.name, s.status, s.session_id, count(*), count(DISTINCT s.span_id)
FROM spans s LEFT JOIN spans p ON p.span_id = s.parent_span_id GROUP BY ALL ORDER BY ALL
"""


def run(folder: Path, program: str, **environ: str) -> tuple[str, list[tuple[object, ...]]]:
    """Run a program; return its standard error, and the number of its spans by name, parent, status and session."""
    (packages,) = environment("schedulers").parent.glob("lib/python*/site-packages")
    path = [str(packages), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, path)),
            "LLMOPS_STORE__PATH": str(folder / "store"),
            **environ,
        },
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = llmops.query(_SQL, path=folder / "store").rows()
    assert all(count == distinct for *_, count, distinct in rows)
    return done.stderr, [tuple(row[:-1]) for row in rows]


@pytest.mark.parametrize("patched", ["first", "late"])
def test_gevent_greenlets_keep_their_own_context(patched: str, tmp_path: Path) -> None:
    """A greenlet, like a thread, starts without its spawner's context; `copy_context` passes it on."""
    said, rows = run(tmp_path, UNDER_GEVENT, PATCHED=patched)
    wanted = [
        ("awaited", "root", "ok", "s", 1),
        ("leaf", "numbers", "ok", "s", 30),
        ("leaf", "numbers", "ok", None, 33),
        ("numbers", "task", "ok", "s", 10),
        ("numbers", "task", "ok", None, 11),
        ("root", None, "ok", "s", 1),
        ("slow", "root", "cancelled", "s", 1),
        ("slow", None, "cancelled", None, 1),
        ("task", "root", "ok", "s", 10),
        ("task", None, "ok", None, 11),
    ]
    if patched == "late":
        wanted.insert(1, ("before", None, "ok", None, 1))
    else:
        assert said == ""  # gevent warns about threads that started before it
    assert rows == wanted


def test_trio_tasks_keep_their_spans(tmp_path: Path) -> None:
    said, rows = run(tmp_path, UNDER_TRIO)
    assert said == ""
    assert rows == [
        ("block", "task", "ok", "s", 5),
        ("blocking", "root", "ok", "s", 1),
        ("fails", "root", "error", "s", 1),
        ("leaf", "block", "ok", "s", 5),
        ("leaf", "blocking", "ok", "s", 1),
        ("leaf", "numbers", "ok", "s", 17),
        ("numbers", "root", "closed", "s", 2),
        ("numbers", "task", "ok", "s", 5),
        ("root", None, "ok", "s", 1),
        ("slow", "root", "cancelled", "s", 2),
        ("task", "root", "ok", "s", 5),
        ("timed", "root", "ok", "s", 1),
    ]
