"""The default view and a search of a real Phoenix, in turns with ours, over as many spans of the same kind."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import urlencode
from uuid import uuid4

import requests
from bench_backends import MARK, marked, memory_of_marked, phoenix_count
from real_backends import Backend, environment, eventually, serve_phoenix
from store_files import DAYS
from store_spans import DAY_NS, FIRST_NS, MIXED, Spans, Texts
from ui_answers import ABSENT, Row, Table
from ui_client import Page, cpu_seconds, served
from ui_stores import OurStore, drop_from_memory

from llmops_sdk.export._destinations import Destination
from llmops_sdk.export._span_sink import OtlpSink

__all__ = ["beside"]

Ask: TypeAlias = Callable[[dict[str, Any]], tuple[float, list[Any]]]
"""Asks Phoenix; gives the seconds, and the rows."""

_SENT = 2_000
_ROUNDS = 7
_COLD = 2
_ROOTS = "parent_id is None"
_DEFAULT = f"/api/v1/traces?limit=50&since={DAYS}d"
_PROJECTS = "{ projects { edges { node { id name traceCount } } } }"
_COPIES = 20
"""Written in one transaction."""


def beside(store: OurStore, folder: Path, spans: int) -> Table:
    """Ask Phoenix and ours the same things in turns.

    Args:
        store: Ours.
        folder: Phoenix's database, or where to make it.
        spans: How many spans it has, or will have.
    """
    os.environ[MARK] = uuid4().hex
    _make_database(folder, spans)
    cold = [_cold(store, folder) for _ in range(_COLD)]
    rows = [_row("its default view, files not in memory, new servers", cold, 10.0)]
    with serve_phoenix(folder) as backend, served(store.path) as page:
        there = phoenix_count(backend)
        assert there == spans, (there, spans)
        ask, errors = _question(backend), f"{_ROOTS} and status_code == 'ERROR'"
        questions: list[tuple[str, dict[str, Any], str, float | None]] = [
            ("its default view, in memory", _list(DAYS), _DEFAULT, 10.0),
            ("the same of the last day", _list(1), "/api/v1/traces?limit=50&since=1d", None),
            ("the same with an error", _list(DAYS, errors), f"{_DEFAULT}&status=error", None),
        ]
        for what, theirs, path, wanted in questions:
            found = [_asked(ask, theirs, page, path) for _ in range(_ROUNDS + 1)]
            rows.append(_row(what, found[1:], wanted))
        text = "a text that is nowhere (Phoenix: in inputs; ours: in all texts)"
        rows += [_row(what, [_searched(ask, page)], 2.0) for what in (f"{text}, from the disk", "the same again")]
        ours = page.memory_mb()
        rows.append(Row("memory of the servers, MB", f"{memory_of_marked() - ours:.0f}, {ours:.0f}"))
    return Table("Beside Phoenix", "Phoenix, ours: ratio; CPU of each; ms", rows)


class _Pair(NamedTuple):
    """Seconds until the answer, and CPU seconds, of Phoenix and of ours."""

    theirs: float
    ours: float
    their_cpu: float
    our_cpu: float


def _asked(ask: Ask, theirs: dict[str, Any], page: Page, path: str) -> _Pair:
    before = _cpu_of_marked() - page.cpu()
    took, found = ask(theirs)
    between = _cpu_of_marked() - page.cpu()
    begun = page.cpu()
    ours, _ = page.timed(path)
    assert len(found) == theirs["first"], len(found)
    return _Pair(took, ours, between - before, page.cpu() - begun)


def _cold(store: OurStore, folder: Path) -> _Pair:
    """Ask new servers, whose files the kernel has dropped from memory."""
    with serve_phoenix(folder) as backend, served(store.path) as page:
        ask = _question(backend)
        drop_from_memory(folder)
        drop_from_memory(Path(store.path))
        return _asked(ask, _list(DAYS), page, _DEFAULT)


def _searched(ask: Ask, page: Page) -> _Pair:
    """Search all spans for a text that is nowhere."""
    before = _cpu_of_marked() - page.cpu()
    took, found = ask(_list(DAYS, f"'{ABSENT}' in input.value"))
    between = _cpu_of_marked() - page.cpu()
    assert found == [], found
    begun = page.cpu()
    with page.stream(f"/api/v1/search?{urlencode({'search': ABSENT})}") as events:
        *_, last = events
    pair = _Pair(took, last.after, between - before, page.cpu() - begun)
    print(f"search, complete: {last.data['complete']}; {pair}", file=sys.stderr, flush=True)
    return pair


def _row(what: str, pairs: list[_Pair], wanted: float | None) -> Row:
    ratio = statistics.median(one.theirs / one.ours for one in pairs)
    theirs, ours, their_cpu, our_cpu = (statistics.median(column) * 1e3 for column in zip(*pairs, strict=True))
    figures = f"{theirs:,.0f}, {ours:,.0f}: {ratio:.1f}×; {their_cpu:,.0f}, {our_cpu:,.0f}"
    return Row(what, figures, "" if wanted is None else f"{wanted:g}×", None if wanted is None else ratio >= wanted)


def _cpu_of_marked() -> float:
    """Return the CPU seconds of the two servers."""
    return sum(cpu_seconds(pid) for pid in marked())


def _list(days: int, condition: str = _ROOTS) -> dict[str, Any]:
    """Return the variables with which Phoenix's page asks for its table."""
    return {
        "first": 50,
        "after": None,
        "filterCondition": condition,
        "rootSpansOnly": True,
        "sort": {"col": "startTime", "dir": "desc"},
        "timeRange": {"start": (datetime.now(UTC) - timedelta(days=days)).isoformat()},
    }


def _question(backend: Backend) -> Ask:
    """Return a function that asks what the table of Phoenix's page asks, with the text that its script has."""
    package = next((environment("phoenix").parent / "lib").glob("python*/site-packages/phoenix"))
    scripts = "".join(file.read_text("utf-8") for file in sorted((package / "server/static/assets").glob("index-*.js")))
    found = re.search(r"`(query SpansTableSpansQuery\([^`]*)`", scripts)
    assert found, "Phoenix's page has no such query any more"
    with requests.Session() as session:
        answer = session.post(f"{backend.url}/graphql", json={"query": _PROJECTS}, timeout=60).json()
        projects = [edge["node"] for edge in answer["data"]["projects"]["edges"]]
        project = max(projects, key=lambda one: one["traceCount"])["id"]

    def ask(variables: dict[str, Any]) -> tuple[float, list[Any]]:
        body = {"query": found[1], "variables": {**variables, "id": project}}
        begin = time.perf_counter()
        response = session.post(f"{backend.url}/graphql", json=body, timeout=900)
        said = response.json()
        took = time.perf_counter() - begin
        assert "errors" not in said, said["errors"]
        return took, said["data"]["node"]["spans"]["edges"]

    return ask


def _make_database(folder: Path, spans: int) -> None:
    """Send Phoenix the first spans, and multiply them."""
    done = folder / f"{spans}.done"
    if done.exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    copies = spans // _SENT
    assert copies * _SENT == spans, f"use a multiple of {_SENT}"
    first = time.time_ns() - DAYS * DAY_NS
    share = DAYS * DAY_NS // copies
    made = Spans(Texts(), MIXED, between_ns=share * 4 // _SENT).take(_SENT)
    for span in made:
        span.start_ns += first - FIRST_NS
    with serve_phoenix(folder) as backend:
        sink = OtlpSink(Destination(endpoint=f"{backend.url}/v1/traces", headers={}, timeout=120.0, content=True))
        for begin in range(0, _SENT, 500):
            sink.write(made[begin : begin + 500])
            assert sink.flush(600.0), "Phoenix did not take the spans"
        eventually(lambda: phoenix_count(backend), lambda there: there == _SENT, "spans in Phoenix", 600.0)
        sink.close(1.0)
    _multiply(folder / "phoenix.db", copies, share)
    done.touch()


def _multiply(database: Path, copies: int, share: int) -> None:
    """Write the traces, spans and costs in Phoenix's database again, each time with ids and times of their own."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -400000")
        for begin in range(1, copies, _COPIES):
            end = min(begin + _COPIES, copies)
            connection.execute("BEGIN")
            for number in range(begin, end):
                for statement in _statements(connection, number, number * share / 1e9):
                    connection.execute(statement)
            connection.execute("COMMIT")
            print(f"Phoenix's database: {end * _SENT:,} spans", file=sys.stderr, flush=True)


def _statements(connection: sqlite3.Connection, number: int, seconds: float) -> list[str]:
    later = {
        column: f"strftime('%Y-%m-%d %H:%M:%f000', {column}, '+{seconds:.3f} seconds')"
        for column in ("start_time", "end_time", "span_start_time")
    }
    statements: list[str] = []
    for table in ("traces", "spans", "span_costs", "span_cost_details"):
        most = _first(connection, table)
        changed = {"id": f"id + {number * most}"}
        for name in _columns(connection, table):
            if name in later:
                changed[name] = later[name]
            elif name in {"span_rowid", "trace_rowid", "span_cost_id"}:
                of = {"span_rowid": "spans", "trace_rowid": "traces", "span_cost_id": "span_costs"}[name]
                changed[name] = f"{name} + {number * _first(connection, of)}"
            elif name in {"span_id", "parent_id", "trace_id"}:
                # The digits of the number take the place of the first ones.
                changed[name] = f"'{number:06x}' || substr({name}, 7)"
        columns = _columns(connection, table)
        selected = ", ".join(changed.get(name, name) for name in columns)
        statements.append(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {selected} FROM {table} WHERE id <= {most}"
        )
    return statements


_FIRST: dict[str, int] = {}
_COLUMNS: dict[str, list[str]] = {}


def _first(connection: sqlite3.Connection, table: str) -> int:
    """Return the largest id of the rows that Phoenix wrote itself."""
    if table not in _FIRST:
        _FIRST[table] = connection.execute(f"SELECT coalesce(max(id), 0) FROM {table}").fetchone()[0]
    return _FIRST[table]


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    if table not in _COLUMNS:
        _COLUMNS[table] = [row[1] for row in connection.execute(f"PRAGMA table_info({table})").fetchall()]
    return _COLUMNS[table]
