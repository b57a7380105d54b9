"""How long the page's answers, its search and its start take, and what the server holds after many requests."""

from __future__ import annotations

import gzip
import http.client
import itertools
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from real_browser import serve_page
from store_processes import Child, percentile
from ui_client import Event, Page, served, settled_cpu
from ui_stores import OurStore, drop_from_memory

import llmops_sdk.ui
from llmops_sdk.store.maintenance._compact import compact_store

__all__ = ["Row", "Table", "answers", "large", "live", "memory", "searches", "starts", "writer_beside"]

ABSENT = "no such text 5f2c8e"
_COLD = 3
_SEARCHES = 2
_CANCELS = 5
_LIVES = 10
_PAIRS = 12
_WINDOW = 0.5
_CLIENTS = 2


class Row(NamedTuple):
    """A line of a table."""

    what: str
    measured: str
    wanted: str = ""
    is_held: bool | None = None
    """None where nothing is demanded."""


class Table(NamedTuple):
    """A titled table."""

    title: str
    measured: str
    """The heading of the column of figures."""
    rows: list[Row]


class Ask(NamedTuple):
    """A request, and the most milliseconds of the median and of the 95th percentile, where that is demanded."""

    what: str
    path: str
    p50: float | None = None
    p95: float | None = None


def asks(page: Page, store: OurStore) -> list[Ask]:
    """Return the requests that are timed."""
    following = page.json("/api/v1/traces?limit=50")["next"]
    assert following
    return [
        Ask("first page of traces", "/api/v1/traces?limit=50", 300, 800),
        Ask("next page", f"/api/v1/traces?limit=50&cursor={quote(following)}", 200),
        Ask("first page, errors only", "/api/v1/traces?limit=50&status=error"),
        Ask("first page, one model, 30 days", "/api/v1/traces?limit=50&since=30d&model=gpt-4.1"),
        Ask("a trace of 4 spans", f"/api/v1/trace/{store.small_trace}", 300),
        Ask("a trace of 10,000 spans, all of its lines", f"/api/v1/trace/{store.large_trace}", 700),
        Ask("facets, 7 days", "/api/v1/facets", 300),
        Ask("facets, 30 days", "/api/v1/facets?since=30d"),
        Ask("histogram", "/api/v1/histogram"),
        Ask("dashboard, 30 days", "/api/v1/metrics?since=30d", 500),
        Ask("sessions, the newest 50", "/api/v1/sessions?limit=50"),
        Ask("errors, grouped, 30 days", "/api/v1/errors?since=30d"),
    ]


def answers(store: OurStore, rounds: int) -> Table:
    """Time each answer: warm in turns, and what is demanded also cold, from the disk with a new server."""
    took: dict[str, list[float]] = {}
    cpu: dict[str, float] = {}
    sizes: dict[str, int] = {}
    with served(store.path) as page:
        wanted = asks(page, store)
        for number in range(rounds + 1):
            for one in wanted:
                before = page.cpu()
                seconds, content = page.timed(one.path)
                if number:
                    took.setdefault(one.what, []).append(seconds * 1e3)
                    cpu[one.what] = cpu.get(one.what, 0.0) + (page.cpu() - before) * 1e3
                sizes[one.what] = len(content)
    rows: list[Row] = []
    for one in wanted:
        p50, p95 = statistics.median(took[one.what]), percentile(took[one.what], 0.95)
        what = f"{one.what} ({sizes[one.what] / 1e3:,.0f} KB)"
        figures = f"{p50:,.0f}, {p95:,.0f}, {cpu[one.what] / rounds:,.0f}"
        if one.p50 is None:
            rows.append(Row(what, figures))
            continue
        cold = _cold(store, one.path)
        held = p50 <= one.p50 and p95 <= (one.p95 or p95) and cold <= 3 * one.p50
        demand = f"p50 {one.p50:g}{f', p95 {one.p95:g}' if one.p95 else ''}, cold {3 * one.p50:g}"
        rows.append(Row(what, f"{figures}, {cold:,.0f}", demand, held))
        print(rows[-1], file=sys.stderr, flush=True)
    return Table("Answers", "p50, p95, CPU of the server, cold; ms", rows)


def _cold(store: OurStore, path: str) -> float:
    """Return the milliseconds of the first answer of a server, none of whose data is in memory."""
    took: list[float] = []
    for _ in range(_COLD):
        drop_from_memory(Path(store.path))
        with served(store.path) as page:
            took.append(page.timed(path)[0] * 1e3)
    return statistics.median(took)


def searches(store: OurStore) -> Table:
    """Search for a text of the newest day and for one that is nowhere, and leave in the middle."""
    rows: list[Row] = []
    with served(store.path) as page:
        first: list[float] = []
        for _ in range(_SEARCHES):
            with page.stream(f"/api/v1/search?{urlencode({'search': store.words})}") as events:
                first.append(next(event.after for event in events if event.name == "rows"))
        rows.append(_seconds("first hit in the newest day", first, 1.0))
        whole: list[float] = []
        steps = 0
        for _ in range(_SEARCHES):
            with page.stream(f"/api/v1/search?{urlencode({'search': ABSENT})}") as events:
                seen = list(events)
            assert seen[-1].name == "done", seen[-1]
            assert seen[-1].data["complete"], seen[-1]
            assert seen[-1].data["rows"] == 0, seen[-1]
            whole.append(seen[-1].after)
            steps = sum(one.name == "progress" for one in seen)
        rows.append(_seconds(f"whole store without a hit, in {steps} steps", whole, 60.0))
        rested: list[float] = []
        for number in range(_CANCELS):
            with page.stream(f"/api/v1/search?{urlencode({'search': ABSENT})}") as events:
                for _ in range(2 + number % 3):
                    next(events)
            rested.append(settled_cpu(page))
        rows.append(_seconds("left in the middle until the server uses no CPU", rested, 0.2))
    return Table("Search", "median, longest; s", rows)


def _seconds(what: str, took: list[float], most: float | None) -> Row:
    middle = statistics.median(took)
    figures = f"{middle:.2f}, {max(took):.2f}"
    return Row(what, figures, "" if most is None else f"{most:g}", None if most is None else middle <= most)


def starts(store: OurStore) -> Table:
    """Start the server until it answers, and weigh the static files."""
    took: list[float] = []
    for _ in range(_COLD + 2):
        begin = time.perf_counter()
        with serve_page(Path(store.path)) as page:
            at = urlsplit(page.address)
            connection = http.client.HTTPConnection(at.hostname or "", at.port, timeout=30)
            connection.request("GET", f"{at.path}?{at.query}")
            assert connection.getresponse().status == 303
            took.append(time.perf_counter() - begin)
            connection.close()
    folder = Path(llmops_sdk.ui.__file__).parent / "static"
    files = [file for file in folder.rglob("*") if file.suffix in {".js", ".css", ".svg"}]
    packed = sum(len(gzip.compress(file.read_bytes())) for file in files) / 1e3
    return Table(
        "Start and size",
        "measured",
        [
            Row(
                "start of the process to the first byte, s",
                f"{statistics.median(took):.2f}, longest {max(took):.2f}",
                "1.5",
                statistics.median(took) <= 1.5,
            ),
            Row("static files, gzipped, KB", f"{packed:.1f}", "120", packed <= 120),
            Row("static files that a browser may load", str(len(files)), "20", len(files) <= 20),
        ],
    )


def _visits(page: Page, store: OurStore) -> Iterator[str]:
    """Return what a person who reads traces asks for, without end."""
    listed = page.json("/api/v1/traces?limit=50&since=30d")
    ids = [row["trace_id"] for row in listed["data"]["rows"]]
    pages = itertools.cycle(one.path for one in asks(page, store) if store.large_trace not in one.path)
    files = itertools.cycle(("/traces", "/static/app.js", "/static/app.css", "/api/v1/pages"))
    for number in itertools.count():
        if number % 50 == 0:
            yield next(pages)
        elif number % 50 < 5:
            yield f"/api/v1/trace/{ids[number % len(ids)]}"
        else:
            yield next(files)


def memory(store: OurStore, requests: int) -> Table:
    """Ask many times from two connections, and look at the server's memory after each tenth."""
    with served(store.path) as page:
        for one in asks(page, store):
            page.timed(one.path)
        paths, lock = _visits(page, store), threading.Lock()
        seen = [page.memory_mb()]

        def ask(client: Page, count: int) -> None:
            for _ in range(count):
                with lock:
                    path = next(paths)
                client.timed(path)

        for tenth in range(10):
            threads = [
                threading.Thread(target=ask, args=(page.again(), requests // 10 // _CLIENTS)) for _ in range(_CLIENTS)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            seen.append(page.memory_mb())
            print(f"memory after {(tenth + 1) * requests // 10:,}: {seen[-1]:.0f} MB", file=sys.stderr, flush=True)
    growth = seen[-1] / seen[len(seen) // 2]
    return Table(
        "Memory",
        "measured",
        [
            Row(f"most during {requests:,} requests, MB", f"{max(seen):.0f}", "300", max(seen) <= 300),
            Row("after each fifth, MB", ", ".join(f"{one:.0f}" for one in seen[::2])),
            Row("at the end, as a share of the middle", f"{growth:.2f}", "1.05", growth <= 1.05),
        ],
    )


def live(store: OurStore, writer: str) -> Table:
    """Write a trace in another process, and wait for it in the stream."""
    took: list[float] = []
    with served(store.path) as page, page.stream("/api/v1/live") as events:
        assert next(events).name == "ready"
        child = Child(writer, "--write-traces", store.path)
        assert child.read() == "ready"
        for _ in range(_LIVES):
            name = f"live {time.time_ns()}"
            child.say(name)
            flushed = child.read()
            came = next(
                event.at
                for event in events
                if event.name == "traces" and any(row["name"] == name for row in event.data["rows"])
            )
            took.append(came - flushed)
        child.end()
    return Table("Live", "median, longest; s", [_seconds("from flush() to the event", took, 1.0)])


def writer_beside(folder: Path, writer: str) -> Table:
    """Let a process write as fast as it can, in turns without a page and with one that is used.

    Args:
        folder: A copy of the store, which grows.
        writer: The program that writes when told to.
    """
    with ExitStack() as stack:
        page = stack.enter_context(served(str(folder)))
        child = Child(writer, "--write-spans", str(folder))
        assert child.read() == "ready"

        def window() -> float:
            child.say(_WINDOW)
            return float(child.read())

        window()
        watched = _ratios(folder, window, lambda: _watching(page, every=None))
        used = _ratios(folder, window, lambda: _watching(page, every=1.0))
        child.say(0)
        child.end()
    return Table(
        "A writer beside it",
        "median of the pairs",
        [
            Row("throughput while a page is live, relative to none", f"{watched:.3f}", "0.95", watched >= 0.95),
            Row("while the list is read anew each second as well", f"{used:.3f}", "0.95", used >= 0.95),
        ],
    )


def _ratios(folder: Path, window: Callable[[], float], use: Callable[[], ExitStack]) -> float:
    found: list[float] = []
    for number in range(_PAIRS):
        compact_store(folder)  # as the SDK does beside a program, but not within a window
        figures: dict[bool, float] = {}
        for with_page in (True, False) if number % 2 else (False, True):
            with use() if with_page else ExitStack():
                figures[with_page] = window()
        found.append(figures[True] / figures[False])
    return statistics.median(found)


def _watching(page: Page, *, every: float | None) -> ExitStack:
    """Read the live stream, and the list every so many seconds, until the block ends."""
    stack, ended = ExitStack(), threading.Event()

    def read_stream(events: Iterator[Event]) -> None:
        with suppress(OSError, ValueError, AttributeError, http.client.HTTPException):  # the block ends, it is closed
            for _ in events:
                pass

    def read_list() -> None:
        client = page.again()
        while True:
            client.timed("/api/v1/traces?limit=50")
            if ended.wait(every):
                return

    threads = [] if every is None else [threading.Thread(target=read_list)]
    for thread in threads:
        stack.callback(thread.join)
    stack.callback(ended.set)
    events = stack.enter_context(page.again().stream("/api/v1/live"))
    threads.append(threading.Thread(target=read_stream, args=(events,), daemon=True))
    for thread in threads:
        thread.start()
    return stack


def large(store: OurStore, rounds: int) -> Table:
    """Time the first page and a trace of a store of ten million spans."""
    with served(store.path) as page:
        wanted = [
            Ask("first page of traces", "/api/v1/traces?limit=50", 1_500),
            Ask("a trace of 4 spans", f"/api/v1/trace/{store.small_trace}", 1_500),
        ]
        took: dict[str, list[float]] = {one.what: [] for one in wanted}
        for number in range(rounds + 1):
            for one in wanted:
                seconds, _ = page.timed(one.path)
                if number:
                    took[one.what].append(seconds * 1e3)
        memory_mb = page.memory_mb()
    rows = [
        Row(
            one.what,
            f"{statistics.median(took[one.what]):.0f}, {percentile(took[one.what], 0.95):.0f}",
            f"{one.p50:g}",
            statistics.median(took[one.what]) <= (one.p50 or 0),
        )
        for one in wanted
    ]
    return Table("Ten million spans", "p50, p95; ms", [*rows, Row("memory of the server, MB", f"{memory_mb:.0f}")])
