"""A long run beside a provider's bad day: 100,000 calls, one in five of which meets a fault, 64 at a time.

The faults, the server and what a call shall come to are those of tests/faults, the server a process of its own. One
half of the calls is made by 64 threads, the other by 64 tasks of one loop, each in a process of its own and both at the
same time: whole answers and streams, with and without tools, through both APIs, with a retry, a fallback, or neither
left. All is as an application has it: tracing, store, policies.

In the end of each half: every call ended in an answer or an error of ours, and as its case's criterion says (64 at a
time on a busy machine some answers are later than the bound that ends a fault's wait; these are counted); its span is
in the store; no thread, task, descriptor or socket is there that was not there before, but for the threads of litellm's
own pools, which grow to their bound; nothing was left for the collector or the loop to complain of; and memory in the
last quarter is no more than 5 % above that in the second.

Run it with `make soak-faults`; `SOAK_CALLS` of the environment is 100,000. It fails where one of these does not hold.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import logging
import os
import random
import secrets
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests" / "faults"), str(HERE.parent / "tests" / "loopback")]

from fault_cases import AMPLE, ATTEMPTS, CASES, ROUTES, SETUPS, TOOLS, Case, Cell, want  # noqa: E402 - beside the tests
from fault_grades import Outcome, begun, whole  # noqa: E402
from fault_server import FaultServer, Scene  # noqa: E402

CALLS = int(os.environ.get("SOAK_CALLS", "100000"))
AT_ONCE = 64
SHARE = 0.2
POOLS = 150
"""Threads that the pools which litellm keeps for the whole process may grow to: 100 that log, 50 that read errors."""
OURS = {"MainThread", "llmops-pipeline"}
"""The threads that may be left in the end."""
LATE = 0.02
"""Of the calls that meet a fault, those that may end in a time-out of the answer that follows it."""
WARM = 640
"""Calls before anything is counted: libraries are loaded, and pools have the size that they keep."""
LONG_WAITS = {"429: Retry-After: 2", "429: Retry-After: 1.5", "429: Retry-After: a date"}
"""A wait that the server asks for holds nothing but its own time; the shortest of them is among the faults."""
GOOD = Case(fault="none", name="none", play=None, whole=CASES[0].whole, stream=CASES[0].stream, criterion="The answer.")
NAMES = {"openai": "gpt-x", "anthropic": "claude-sonnet-4-5"}
FAULTY = [case for case in CASES if case.key not in LONG_WAITS]
BY_KEY = {case.key: case for case in FAULTY}


class _Scenes(dict[str, Scene]):
    """The scene that a prompt asks for, made when it comes; calls without a fault share one."""

    def __missing__(self, prompt: str) -> Scene:
        key, _, rest = prompt.partition(" / ")
        if key not in BY_KEY:
            return self.setdefault(GOOD.name, Scene())
        play = BY_KEY[key].play
        plays = () if play is None else (play,)
        return self.setdefault(prompt, Scene(plays=plays, persistent=not rest.startswith("retry")))


def serve() -> None:
    """Play the faults until the input ends, and tell what was seen."""
    with FaultServer() as server:
        server.scenes = _Scenes()
        print(json.dumps([server.url, server.refusing]), flush=True)
        sys.stdin.read()
        scenes = [scene for key, scene in server.scenes.items() if key != GOOD.name]
        wrong = [key for key, scene in server.scenes.items() if scene.hung or scene.gone != scene.held]
        print(json.dumps({"met": len(scenes), "held": sum(one.held for one in scenes), "wrong": wrong[:9]}))


@dataclass(kw_only=True)
class Tally:
    """What became of the calls."""

    ends: Counter[str] = field(default_factory=Counter)
    untyped: list[str] = field(default_factory=list)
    unlike: list[str] = field(default_factory=list)
    late: int = 0
    memory: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    done: int = 0
    every: int = 1

    def add(self, cell: Cell, prompt: str, answer: Any, error: BaseException | None) -> None:
        """Judge a call, and look at the memory now and then."""
        import llmops_sdk as llmops

        partial = answer if error is None else getattr(error, "partial", None)
        calls = tuple((one.name, one.arguments) for one in partial.tool_calls) if partial else ()
        outcome = Outcome(text=partial.text if partial else "", calls=calls)
        name = "answer" if error is None else type(error).__name__
        with self.lock:
            self.ends[name] += 1
            if error is not None and not isinstance(error, llmops.LLMOpsError):
                self.untyped.append(f"{prompt}: {error!r}")
            if _as_wanted(cell, outcome, None if error is None else name):
                pass
            elif name == "ProviderTimeoutError" and cell.case.timeouts:
                self.late += 1  # the answer after the wait, or the first piece, which has no more than its bound either
            else:
                self.unlike.append(f"{prompt}: {error!r:.300} {outcome.text!r}")
            self.done += 1
            if self.done % self.every == 0:
                self.memory.append(_memory())


def _as_wanted(cell: Cell, outcome: Outcome, error: str | None) -> bool:
    wanted = None if cell.case is GOOD else want(cell)
    if wanted is None or wanted.served is not None:
        return error is None and whole(outcome, cell)
    return error in wanted.errors and (not cell.ending.delivered or begun(outcome, cell))


def _cells(count: int, prefix: str) -> Iterator[tuple[Cell, str]]:
    """Return calls and prompts, the same in every run, with faults in rotation."""
    chance, faults = random.Random(5), itertools.cycle(FAULTY)
    for number in range(count):
        case = next(faults) if chance.random() < SHARE else GOOD
        setup = chance.choice(SETUPS)
        if case.play is None and case is not GOOD and setup == "retry":
            setup = "alone"  # a port that is closed does not open for a retry
        cell = Cell(
            case=case, setup=setup, way=chance.choice(("chat", "stream")), route=chance.choice(ROUTES),
            tools=chance.random() < 0.5,
        )  # fmt: skip
        yield cell, f"{case.key} / {setup} / {prefix}{number}"


def _options(cell: Cell) -> dict[str, Any]:
    refused = "-refused" if cell.case.play is None and cell.case is not GOOD else ""
    kept = "-kept" if cell.setup == "fallback" else ""
    tools = {"tools": TOOLS} if cell.tools else {}
    bounds = cell.case.bounds(streaming=cell.streaming) or {"total": AMPLE}
    return {"model": f"{cell.route}{refused}{kept}", "timeout": bounds, **tools}


def _threads(calls: Iterator[tuple[Cell, str]], tally: Tally, model: Any) -> None:
    lock = threading.Lock()

    def one(cell: Cell, prompt: str) -> None:
        answer, failed = None, None
        try:
            if cell.streaming:
                chunks = model.stream(prompt, **_options(cell))
                for _ in chunks:
                    pass
                answer = chunks.response
            else:
                answer = model.chat(prompt, **_options(cell))
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is judged
            failed = error
        tally.add(cell, prompt, answer, failed)

    def work() -> None:
        while True:
            with lock:
                following = next(calls, None)
            if following is None:
                return
            one(*following)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for each in [pool.submit(work) for _ in range(AT_ONCE)]:
            each.result()


async def _tasks(calls: Iterator[tuple[Cell, str]], tally: Tally, model: Any) -> None:
    async def one(cell: Cell, prompt: str) -> None:
        answer, failed = None, None
        try:
            if cell.streaming:
                chunks = model.astream(prompt, **_options(cell))
                async for _ in chunks:
                    pass
                answer = chunks.response
            else:
                answer = await model.achat(prompt, **_options(cell))
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is judged
            failed = error
        tally.add(cell, prompt, answer, failed)

    async def work() -> None:
        for cell, prompt in calls:
            await asyncio.create_task(one(cell, prompt))

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))


def _memory() -> float:
    """Megabytes of the process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@dataclass(frozen=True)
class Held:
    """What the process has open."""

    threads: list[str]
    descriptors: int
    sockets: int
    tasks: int
    pool: int
    """Threads of litellm's own pools, which grow to their bound."""

    @classmethod
    def now(cls, tasks: int = 0) -> Held:
        """After what is not referred to is gone."""
        gc.collect()
        found = []
        for one in Path("/proc/self/fd").iterdir():
            try:
                found.append(str(one.readlink()))
            except FileNotFoundError:  # the listing's own
                continue
        names = sorted(one.name for one in threading.enumerate())
        own = [name for name in names if not name.startswith("litellm-")]
        sockets = sum(one.startswith("socket:") for one in found)
        return cls(own, len(found), sockets, tasks, len(names) - len(own))


class _Complaints(logging.Handler):
    """What asyncio, litellm and this package log as errors; and what is raised where nobody can catch it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.seen: list[str] = []
        for name in ("asyncio", "llmops_sdk"):
            logging.getLogger(name).addHandler(self)
        sys.unraisablehook = lambda given: self.seen.append(f"{given.exc_value!r} in {given.object!r:.200}")
        threading.excepthook = lambda given: self.seen.append(f"{given.exc_value!r} in {given.thread}")

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self.seen.append(record.getMessage())


def half(kind: str, count: int, url: str, refusing: str) -> dict[str, Any]:
    """Make the calls in one way, and look at what is left of them."""
    import warnings

    import llmops_sdk as llmops

    warnings.simplefilter("always", ResourceWarning)
    complaints = _Complaints()
    warnings.showwarning = lambda message, category, *_: (
        complaints.seen.append(str(message)) if category is ResourceWarning else None
    )
    models: dict[str, dict[str, Any]] = {}
    for route, name in NAMES.items():
        os.environ[f"{route.upper()}_API_KEY"] = secrets.token_hex(8)
        path, other = ("/v1" if route == "openai" else ""), ROUTES[route == "openai"]
        models[f"{route}-second"] = {"model": f"{route}/{name}", "base_url": f"{url}/second{path}"}
        for suffix, base in (("", f"{url}/first"), ("-refused", refusing)):
            first = {"model": f"{route}/{name}", "base_url": f"{base}{path}"}
            models[f"{route}{suffix}"] = first
            models[f"{route}{suffix}-kept"] = {**first, "fallbacks": [f"{other}-second"]}
    llmops.configure(models=models, retry={"attempts": ATTEMPTS, "base": 0.001, "budget": None})
    tally = Tally(every=max(1, count // 400))

    def sync() -> tuple[Held, Held, float]:
        with llmops.LLM() as model:
            _threads(_cells(WARM, "w"), Tally(every=WARM), model)
        before, began = Held.now(), time.perf_counter()
        with llmops.LLM() as model:
            _threads(_cells(count, "s"), tally, model)
        seconds = time.perf_counter() - began
        return before, Held.now(), seconds

    async def main() -> tuple[Held, Held, float]:
        async with llmops.LLM() as model:
            await _tasks(_cells(WARM, "v"), Tally(every=WARM), model)
        before, began = Held.now(len(asyncio.all_tasks())), time.perf_counter()
        async with llmops.LLM() as model:
            await _tasks(_cells(count, "a"), tally, model)
        seconds = time.perf_counter() - began
        return before, Held.now(len(asyncio.all_tasks())), seconds

    before, after, seconds = sync() if kind == "sync" else asyncio.run(main())
    threads = Held.now().threads  # without those of the loop, which end with it
    report = llmops.flush(120)
    stored = llmops.query("SELECT count(*) FROM llm_calls").scalar()
    return {
        "calls": tally.done, "seconds": seconds, "ends": dict(tally.ends), "untyped": tally.untyped[:9],
        "unlike": tally.unlike[:9], "unlike_count": len(tally.unlike), "late": tally.late, "memory": tally.memory,
        "before": vars(before), "after": vars(after), "complaints": complaints.seen[:9],
        "threads": threads, "spans": stored, "dropped": report.dropped,
    }  # fmt: skip


@contextmanager
def serving() -> Iterator[tuple[list[str], dict[str, Any]]]:
    """Run the server in its own process; its counts are available afterwards."""
    command = [sys.executable, str(HERE / "soak_faults.py"), "--serve"]
    told: dict[str, Any] = {}
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    assert server.stdin is not None
    try:
        yield json.loads(server.stdout.readline()), told
        server.stdin.close()
        told.update(json.loads(server.stdout.readline()))
        server.wait(60)
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def measured(kind: str, count: int) -> dict[str, Any]:
    """Run one half in its own process and folder."""
    with tempfile.TemporaryDirectory() as folder, serving() as (urls, told):
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "LLMOPS_"))}
        done = subprocess.run(
            [sys.executable, str(Path(__file__).resolve()), kind, str(count), *urls],
            env={**kept, "LLMOPS_STORE__PATH": str(Path(folder) / "store")},
            cwd=folder,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return {**json.loads(done.stdout.splitlines()[-1]), "server": told}


def quarter(memory: list[float], number: int) -> float:
    """Return the median of a quarter in MB."""
    size = len(memory) // 4
    return statistics.median(memory[(number - 1) * size : number * size])


def faults(kind: str, row: dict[str, Any], count: int) -> list[str]:
    """Return the failed conditions of a half."""
    second, last = quarter(row["memory"], 2), quarter(row["memory"], 4)
    before, after = row["before"], row["after"]
    checks = {
        f"{row['calls']} calls ended, of {count}": row["calls"] == count,
        f"errors of no type: {row['untyped']}": not row["untyped"],
        f"{row['late']} too late": row["late"] <= LATE * row["server"]["met"],
        f"{row['unlike_count']} unlike their criterion: {row['unlike']}": not row["unlike"],
        f"threads {row['threads']}": set(row["threads"]) <= OURS,
        f"{after['pool']} threads of litellm's pools": after["pool"] <= POOLS,
        f"descriptors {before['descriptors']} {after['descriptors']}": after["descriptors"] <= before["descriptors"],
        f"sockets {before['sockets']} {after['sockets']}": after["sockets"] <= before["sockets"],
        f"tasks {before['tasks']} {after['tasks']}": after["tasks"] <= before["tasks"],
        f"memory {second:.1f} {last:.1f} MB": last <= second * 1.05,
        f"complaints: {row['complaints']}": not row["complaints"],
        f"{row['spans']} spans, {row['dropped']} dropped": (row["spans"], row["dropped"]) == (count + WARM, 0),
        f"the server saw {row['server']}": not row["server"]["wrong"],
    }
    return [f"{kind}: {what}" for what, holds in checks.items() if not holds]


def main() -> int:
    """Both halves, the table, and what does not hold."""
    kinds = ("sync", "async")
    with ThreadPoolExecutor(len(kinds)) as pool:
        rows = dict(zip(kinds, pool.map(lambda kind: measured(kind, CALLS // 2), kinds), strict=True))
    print(f"| {CALLS:,} calls, {AT_ONCE} at a time | 64 threads | 64 tasks |\n|---|---|---|")
    lines: dict[str, Any] = {
        "calls": lambda row: f"{row['calls']:,}",
        "calls a second": lambda row: f"{row['calls'] / row['seconds']:,.0f}",
        "calls that met a fault, connections held until we left": lambda row: (
            f"{row['server']['met']:,}, {row['server']['held']:,}"
        ),
        "answers": lambda row: f"{row['ends'].get('answer', 0):,}",
        "typed errors": lambda row: f"{sum(row['ends'].values()) - row['ends'].get('answer', 0):,}",
        "errors of no type; unlike the criterion; too late": lambda row: (
            f"{len(row['untyped'])}; {row['unlike_count']}; {row['late']}"
        ),
        "threads left": lambda row: ", ".join(row["threads"]),
        "threads of litellm's pools before, after": lambda row: f"{row['before']['pool']}, {row['after']['pool']}",
        "descriptors before, after": lambda row: f"{row['before']['descriptors']}, {row['after']['descriptors']}",
        "sockets before, after": lambda row: f"{row['before']['sockets']}, {row['after']['sockets']}",
        "tasks before, after": lambda row: f"{row['before']['tasks']}, {row['after']['tasks']}",
        "memory in the quarters, MB": lambda row: ", ".join(f"{quarter(row['memory'], n):.1f}" for n in (1, 2, 3, 4)),
        "last quarter to the second": lambda row: f"{quarter(row['memory'], 4) / quarter(row['memory'], 2):.3f}",
        "spans in the store, with the first calls": lambda row: f"{row['spans']:,}",
    }
    for name, shown in lines.items():
        print(f"| {name} | {shown(rows['sync'])} | {shown(rows['async'])} |")
    ends = {name for row in rows.values() for name in row["ends"]} - {"answer"}
    for name in sorted(ends):
        print(f"| {name} | {rows['sync']['ends'].get(name, 0):,} | {rows['async']['ends'].get(name, 0):,} |")
    wrong = [one for kind, row in rows.items() for one in faults(kind, row, CALLS // 2)]
    print("\n".join(wrong), file=sys.stderr)
    return bool(wrong)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve()
    elif len(sys.argv) > 1:
        print(json.dumps(half(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])))
    else:
        sys.exit(main())
