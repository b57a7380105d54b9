"""The local page over a million spans, beside a real Phoenix with spans of the same kind.

Traces of an agent, a retriever and two chats, 4.4 KB a chat, over the thirty days up to now, and one trace of 10,000
spans (`ui_stores.py`). All figures are taken from outside: a `llmops ui` of its own process, asked over HTTP by one
client (`ui_answers.py`), or by Chromium where that is installed (`ui_browser.py`). Warm figures are taken in turns, one
request of each kind a round; cold ones with a new server after the kernel has dropped the store's files from memory.

Phoenix runs in an environment of its own (1 GB at first use, in `.integration` or `LLMOPS_TEST_BACKENDS`) and is asked
what its page asks, through its GraphQL (`ui_phoenix.py`), in turns with ours.

Run it with `make bench-ui`. `--folder` keeps the stores for further runs (one million spans: 0.7 GB, and Phoenix's
9 GB); `--only` runs some parts; `--large` takes ten million spans for the first page and one trace (7 GB more);
`--write` writes what was measured into its sections of `ui.md`.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

from store_processes import ROOM, hear, tell
from store_spans import BATCH, MIXED, Spans, Texts, renewed
from ui_answers import Table, answers, large, live, memory, searches, starts, writer_beside
from ui_browser import in_browser
from ui_phoenix import beside
from ui_stores import our_store

import llmops_sdk as llmops
from llmops_sdk.store._sink import StoreSink

HERE = Path(__file__).parent
PARTS = ("answers", "search", "live", "start", "browser", "phoenix", "writer", "memory")
_LARGE = 10_000_000
_TITLES = (
    "Answers", "Search", "Live", "Start and size", "In Chromium", "Beside Phoenix", "A writer beside it", "Memory",
    "Ten million spans",
)  # fmt: skip
_HEAD = f"""# The local page over a million spans

`make bench-ui` writes this page. Python {platform.python_version()}, {os.cpu_count()} cores. Traces of an agent, a
retriever and two chats, 4.4 KB a chat, over thirty days, and one trace of 10,000 spans. Wall time grows with the load
of the machine, so each table states the load; CPU time depends on it far less. "Cold" is the first answer of a new
server whose files are not in memory.

Phoenix has as many spans of the same kind: 2,000 over OTLP, the others copies of them that SQL in its SQLite database
makes, with ids and times of their own. It is asked in turns with ours, by the query that its page sends for its table,
for 50 root spans of 30 days. Its database has 9 GB, ours 0.7 GB: what it takes depends on whether the kernel holds the
file in memory, so both are in the table; of the two searches, only the first reads the disk."""


def write_traces(store: str) -> None:
    """As a child: write a trace of each name that comes, and report when it was flushed."""
    llmops.configure(store={"path": store})
    tell("ready")
    while name := hear():
        with llmops.span(name):
            pass
        llmops.flush()
        tell(time.time())


def write_spans(store: str) -> None:
    """As a child: write for so many seconds as come, and report the spans a second."""
    made = cycle(list(Spans(Texts(), MIXED, seed=4).batches(20 * BATCH)))
    tell("ready")
    while seconds := hear():
        sink = StoreSink(Path(store), compaction="manual", max_bytes=ROOM)
        sink.write([])
        begin, written = time.perf_counter(), 0
        while time.perf_counter() - begin < seconds:
            written += sink.write(renewed(next(made)))
        tell(written / (time.perf_counter() - begin))
        sink.close(0.0)  # so that all of it can be compacted


def _parts(folder: Path, given: argparse.Namespace) -> dict[str, Callable[[], list[Table]]]:
    store = our_store(folder / "ours", given.spans)

    def copy() -> list[Table]:
        with tempfile.TemporaryDirectory(dir=folder) as name:
            copied = Path(name) / "store"
            shutil.copytree(store.path, copied)
            return [writer_beside(copied, __file__)]

    parts: dict[str, Callable[[], list[Table]]] = {
        "answers": lambda: [answers(store, given.rounds)],
        "search": lambda: [searches(store)],
        "live": lambda: [live(store, __file__)],
        "start": lambda: [starts(store)],
        "browser": lambda: in_browser(store, __file__),
        "phoenix": lambda: [beside(store, folder / "phoenix", given.spans)],
        "writer": copy,
        "memory": lambda: [memory(store, given.requests)],
    }
    if given.large:
        parts["large"] = lambda: [large(our_store(folder / "large", _LARGE), given.rounds)]
    return parts


def load() -> str:
    """Return the load averages of 1, 5 and 15 minutes."""
    return ", ".join(f"{one:.1f}" for one in os.getloadavg())


def _section(table: Table, spans: int, before: str) -> str:
    lines = [f"| | {table.measured} | wanted | met |", "|---|---|---|---|"]
    for row in table.rows:
        met = "" if row.is_held is None else "yes" if row.is_held else "**no**"
        lines.append(f"| {row.what} | {row.measured} | {row.wanted} | {met} |")
    today = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}"
    lines += ["", f"{today}, {spans:,} spans; load average {before} before, {load()} after."]
    return "\n".join(lines)


def _write(sections: dict[str, str]) -> None:
    """Put sections into the page, each in the place of an older one."""
    page = HERE / "ui.md"
    found: dict[str, str] = {}
    if page.exists():
        for part in page.read_text("utf-8").split("\n## ")[1:]:
            title, _, rest = part.partition("\n")
            found[title] = rest.strip()
    merged = {**found, **sections}
    known = [title for title in _TITLES if title in merged]
    text = "\n\n".join(f"## {title}\n\n{merged[title]}" for title in known)
    page.write_text(f"{_HEAD}\n\n{text}\n", "utf-8")


def main() -> None:
    """Measure the parts that the command line names, and print the tables."""
    parser = argparse.ArgumentParser(description="The local page over a million spans, beside Phoenix")
    parser.add_argument("--only", default=",".join(PARTS), help=f"parts, with commas: {', '.join(PARTS)}")
    parser.add_argument("--spans", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=30, help="of each answer")
    parser.add_argument("--requests", type=int, default=10_000, help="after which memory is looked at")
    parser.add_argument("--folder", type=Path, help="keep the stores here")
    parser.add_argument("--large", action="store_true", help="ten million spans as well")
    parser.add_argument("--write", action="store_true", help="write the sections of ui.md that were measured")
    given = parser.parse_args()
    wanted = given.only.split(",")
    if unknown := set(wanted) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}: use some of {', '.join(PARTS)}")
    with tempfile.TemporaryDirectory() as name:
        for part, measure in _parts(given.folder or Path(name), given).items():
            if part not in wanted and part != "large":
                continue
            before = load()
            for table in measure():
                section = _section(table, _LARGE if part == "large" else given.spans, before)
                print(f"## {table.title}\n\n{section}\n", flush=True)
                if given.write:
                    _write({table.title: section})


if __name__ == "__main__":
    if sys.argv[1:2] == ["--write-traces"]:
        write_traces(sys.argv[2])
    elif sys.argv[1:2] == ["--write-spans"]:
        write_spans(sys.argv[2])
    else:
        main()
