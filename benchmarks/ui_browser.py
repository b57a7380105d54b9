"""The page in Chromium: when its rows are there, how it scrolls, and when it shows a span that was just written."""

from __future__ import annotations

import shutil
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from real_browser import Tab, chromium, serve_page
from store_processes import Child
from ui_answers import Row, Table
from ui_stores import OurStore

__all__ = ["in_browser"]

_OPENINGS = 7
_LIVES = 5
_MOST_MS = 60_000
_FIRST_SEEN = """
globalThis.seen = {};
const looks = ["tr[data-trace]", "[role=treeitem]"];
new MutationObserver(() => {
    for (const one of looks)
        if (!(one in seen) && document.querySelector(one)) seen[one] = performance.now();
}).observe(document, { childList: true, subtree: true });
"""
_SCROLL = """async () => {
    const pane = document.querySelector('.span-pane');
    const frames = [];
    let before = performance.now();
    for (let turn = 0; turn < 200; turn += 1) {
        pane.scrollTop += 250;
        await new Promise(requestAnimationFrame);
        const now = performance.now();
        frames.push(now - before);
        before = now;
    }
    return frames.slice(10);
}"""
_SHOWN = """async ([name, most]) => {
    const until = Date.now() + most;
    const rows = () => [...document.querySelectorAll('tr[data-trace] .row-link')];
    const there = () => rows().some((row) => row.textContent === name);
    while (!there()) {
        if (Date.now() > until) throw new Error(`${name} is not shown`);
        await new Promise(requestAnimationFrame);
    }
    return Date.now();
}"""


def in_browser(store: OurStore, writer: str) -> list[Table]:
    """Measure the page in a browser, if there is one.

    Args:
        store: The store.
        writer: The program that writes traces when told to.
    """
    if shutil.which("chromium") is None and shutil.which("chromium-browser") is None:
        print("no chromium: apt-get install chromium", file=sys.stderr)
        return []
    with serve_page(Path(store.path)) as served, chromium() as browser:
        tab = Tab(browser, served).enter()
        tab.context.add_init_script(_FIRST_SEEN)
        rows = [
            _opening(tab, "the list of traces, first row", "/traces", "tr[data-trace]", None),
            _opening(tab, "a trace of 4 spans, first row", f"/trace/{store.small_trace}", "[role=treeitem]", 300),
            _opening(tab, "a trace of 10,000 spans, first row", f"/trace/{store.large_trace}", "[role=treeitem]", 700),
        ]
        rows += _scrolling(tab)
        rows.append(_shown(tab, store, writer))
        assert tab.problems == [], tab.problems
    return [Table("In Chromium", "median, longest; ms", rows)]


def _opening(tab: Tab, what: str, path: str, row: str, most: float | None) -> Row:
    """Load a page anew until it shows a row; the first time does not count."""
    took: list[float] = []
    for _ in range(_OPENINGS + 1):
        tab.open(path)
        took.append(tab.page.evaluate(f"seen[{row!r}]"))
    return _row(what, took[1:], most)


def _row(what: str, took: list[float], most: float | None) -> Row:
    middle = statistics.median(took)
    wanted = "" if most is None else f"{most:g}"
    return Row(what, f"{middle:.0f}, {max(took):.0f}", wanted, None if most is None else middle <= most)


def _scrolling(tab: Tab) -> list[Row]:
    frames: list[float] = tab.page.evaluate(_SCROLL)
    nodes: int = tab.page.evaluate("document.querySelectorAll('*').length")
    rate, slow = 1e3 * len(frames) / sum(frames), sum(one > 50 for one in frames)
    return [
        Row("scrolling 10,000 spans, frames a second", f"{rate:.0f}", "50", rate >= 50),
        Row(f"frames of more than 50 ms, of {len(frames)}", f"{slow}", "0", slow == 0),
        Row("elements of the document", f"{nodes:,}", "1,500", nodes <= 1_500),
    ]


def _shown(tab: Tab, store: OurStore, writer: str) -> Row:
    page: Any = tab.open("/traces?live=1")
    page.get_by_role("button", name="Live", exact=True).wait_for()
    child = Child(writer, "--write-traces", store.path)
    assert child.read() == "ready"
    took: list[float] = []
    for _ in range(_LIVES):
        name = f"on the screen {time.time_ns()}"  # a store that is kept has those of earlier runs
        child.say(name)
        flushed = child.read()
        shown = page.evaluate(_SHOWN, [name, _MOST_MS])
        took.append(shown - flushed * 1e3)
    child.end()
    return _row("a new trace on the screen after flush()", took, 1_000)
