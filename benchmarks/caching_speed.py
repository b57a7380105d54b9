"""How long the semantic cache takes: look-ups by number of entries, comparisons, decisions, eight processes at once."""

from __future__ import annotations

import itertools
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from caching_data import HERE, KEPT, Sets
from environments import environment
from guardrails_tables import Results, table

from llmops_sdk.caching import SemanticCache
from llmops_sdk.caching.semantic._bound import ErrorBound
from llmops_sdk.caching.semantic._entries import NewEntry
from llmops_sdk.caching.semantic.lexical import analyse, compare_analysed
from llmops_sdk.caching.semantic.stores._sqlite import SqliteBackend
from llmops_sdk.caching.semantic.stores._vector_bytes import write_vector
from llmops_sdk.embeddings import open_embedder, vocabulary

__all__ = ["look_ups", "processes", "small_costs"]

_ASKED = 200
_MOST = 1_000_000
_EXACT = 100_000  # up to so many entries, each is compared
_PROCESSES, _EACH = 8, 250


def _times(call: Callable[[str], object], asked: Sequence[str]) -> tuple[float, float, float]:
    """Return the median wall time, its 99th percentile and the mean CPU time of a call, in milliseconds."""
    walls = []
    processor = time.process_time()
    for text in asked:
        begin = time.perf_counter_ns()
        call(text)
        walls.append((time.perf_counter_ns() - begin) / 1e6)
    processor = (time.process_time() - processor) * 1e3 / len(asked)
    return statistics.median(walls), sorted(walls)[int(0.99 * len(walls))], processor


def _texts(sets: Sets, count: int) -> list[str]:
    """Return distinct questions: those of BANKING77 and CLINC150, then pairs of halves of them."""
    real = [text for text, _ in (*sets.design, *sets.clinc)]
    found = dict.fromkeys(real)
    rng = random.Random(0)
    while len(found) < count:
        one, other = (rng.choice(real).split() for _ in range(2))
        found[" ".join([*one[: len(one) // 2], *other[len(other) // 2 :], str(rng.randrange(10_000))])] = None
    return list(found)[:count]


def _fill(folder: Path, texts: Sequence[str]) -> None:
    embedder = open_embedder("static")
    backend = SqliteBackend(folder / "semantic", max_entries=_MOST)
    for begin in range(0, len(texts), 10_000):
        part = texts[begin : begin + 10_000]
        for text, vector in zip(part, embedder.embed(part), strict=True):
            backend.insert(
                NewEntry(
                    scope=f"{embedder.identity}\n",
                    text=text,
                    earlier="",
                    vector=write_vector(vector),
                    value=b'"An answer of some length, as a model writes it to a question of this kind."',
                    group=None,
                    tags=(),
                    stored_at=time.time(),
                    expires_at=None,
                )
            )
    backend.close()


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def look_ups(results: Results, sets: Sets, sizes: Sequence[int]) -> None:
    """Measure `get` of questions that are not stored, by the number of entries, and without and with usearch.

    Each row is a process of its own: the memory of a row is not that of the rows before it.
    """
    rows: list[list[str]] = []
    usearch = environment(HERE / "requirements-caching" / "usearch.txt", KEPT / "usearch")
    (packages,) = usearch.parent.parent.glob("lib/python*/site-packages")
    asked = [text for text, _ in sets.test[:_ASKED]]
    for size in sizes:
        with tempfile.TemporaryDirectory() as made:
            texts = _texts(sets, size)
            _fill(Path(made) / "cache", texts)
            file = Path(made) / "task.json"
            file.write_text(json.dumps({"folder": f"{made}/cache", "texts": texts, "asked": asked}), "utf-8")
            for found in [None, packages] if size > _EXACT else [None]:
                done = subprocess.run(
                    [sys.executable, __file__, str(file), *([] if found is None else [str(found)])],
                    capture_output=True, text=True, timeout=1_800, check=False,
                )  # fmt: skip
                if done.returncode:
                    sys.exit(f"the look-ups among {size:,} entries failed:\n{done.stderr[-2000:]}")
                row = json.loads(done.stdout)
                rows.append([f"{size:,}", "every entry" if found is None else "usearch", *row["cells"]])
                name = f"ms of CPU of a look-up, {size:,} entries" + ("" if found is None else ", usearch")
                results.value(name, row["processor"])
    head = (
        "entries", "compares", "get, ms", "p99", "CPU, ms", "read into memory, s", "and the graph, s", "recall",
        "bytes each on disk", "in memory",
    )  # fmt: skip
    results.table("Look-ups of `SemanticCache` with the static embedder, 256 numbers a vector", table(head, rows))


def _look_up(task: dict[str, Any]) -> dict[str, Any]:
    """As a process: measure the look-ups of a row."""
    folder, texts, asked = task["folder"], task["texts"], task["asked"]
    open_embedder("static").embed(["so that its table is in memory"])
    before = _resident()
    with SemanticCache(path=folder, max_entries=_MOST) as cache:
        begin = time.perf_counter()
        cache.get("the first look-up loads the entries")
        while cache.stats().loading:
            time.sleep(0.01)
        load = time.perf_counter() - begin
        while cache._store._loads:  # the graph is made in parts
            time.sleep(0.1)
        graph = time.perf_counter() - begin
        median, slow, processor = _times(cache.get, asked)
        memory, disk = _resident() - before, cache.stats().bytes
        recall = _recall(cache, open_embedder("static").embed(texts), asked[:50])
    size = len(texts)
    cells = [
        f"{median:.2f}", f"{slow:.2f}", f"{processor:.2f}", f"{load:.1f}", f"{graph:.1f}", f"{recall:.3f}",
        f"{disk / size:,.0f}", f"{memory / size:,.0f}",
    ]  # fmt: skip
    return {"cells": cells, "processor": processor}


def _recall(cache: SemanticCache, vectors: np.ndarray, asked: Sequence[str]) -> float:
    """Return the share of the true five nearest similarities that `explain` finds."""
    found = 0
    for text, vector in zip(asked, open_embedder("static").embed(asked), strict=True):
        truth = np.sort(np.vecdot(vectors, vector))[-5:]
        near = [one.similarity for one in cache.explain(text, top=5)]
        found += sum(one >= truth[0] - 1e-6 for one in near)
    return found / (5 * len(asked))


def small_costs(results: Results, sets: Sets) -> None:
    """Measure an analysis, a comparison, and a decision with 100 observations."""
    words = vocabulary()
    texts = [text for text, _ in sets.test[:1_000]]
    analysed = {text: analyse(text, vocabulary=words) for text in texts}
    pairs = dict(itertools.pairwise(texts))
    costs = {
        "analysis of a question": lambda text: analyse(text, vocabulary=words),
        "comparison of two questions": lambda text: compare_analysed(
            analysed[text], analysed[pairs[text]], similarity=0.8, vocabulary=words
        ),
    }
    judge = ErrorBound(0.02)
    for number in range(100):
        judge.observe(0.9 + number / 1_000, right=number % 50 > 0)
    costs["decision with 100 observations"] = lambda _: judge.serves(0.97)
    costs["its new observation"] = lambda _: judge.observe(0.97, right=True)
    rows = []
    for name, call in costs.items():
        median, _, processor = _times(call, texts[:-1])
        rows.append((name, f"{median * 1e3:.1f}", f"{processor * 1e3:.1f}"))
        results.value(f"µs of CPU, {name}", processor * 1e3)
    results.table("Small costs", table(("", "wall, µs", "CPU, µs"), rows))


_PROGRAM = """
import json, logging, sys, time
from llmops_sdk.caching import SemanticCache
warnings = []
logging.getLogger("llmops_sdk").addHandler(type("H", (logging.Handler,), {"emit": lambda s, r: warnings.append(r)})())
task = json.load(sys.stdin)
wrong = 0
with SemanticCache(path=task["folder"]) as cache:
    cache.get("warm")
    begin = time.perf_counter()
    for number, text in enumerate(task["texts"]):
        hit = cache.get(text)
        wrong += hit is None
        if number % 10 == 0:
            cache.put(f"note {task['number']} {number}", "stored by one of them")
    seconds = time.perf_counter() - begin
    print(json.dumps([len(task["texts"]) / seconds, wrong, len(warnings)]))
"""


def processes(results: Results, sets: Sets) -> None:
    """Measure eight processes that look up stored questions in one folder, with a write each ten look-ups."""
    texts = _texts(sets, 5_000)
    with tempfile.TemporaryDirectory() as folder:
        _fill(Path(folder), texts)
        running = []
        for number in range(_PROCESSES):
            one = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            running.append(one)
            assert one.stdin is not None
            json.dump({"folder": folder, "number": number, "texts": texts[number::20][:_EACH]}, one.stdin)
            one.stdin.close()
        found = [json.loads(one.stdout.read()) for one in running if one.stdout is not None]
        for one in running:
            one.wait(120)
        with SemanticCache(path=folder) as cache:
            entries = cache.stats().entries
    lost = len(texts) + _PROCESSES * _EACH // 10 - entries
    failures = sum(wrong + warned for _, wrong, warned in found) + abs(lost)
    results.value("eight processes, failures", failures, _PROCESSES * _EACH)
    head = ("processes", "look-ups a second, all", "misses", "warnings", "writes lost")
    row = (_PROCESSES, f"{sum(one[0] for one in found):,.0f}", *(sum(one[at] for one in found) for at in (1, 2)), lost)
    results.table("Eight processes on one folder, 5,000 entries", table(head, [row]))


if __name__ == "__main__":
    sys.path += sys.argv[2:]  # usearch, if it is to be used
    print(json.dumps(_look_up(json.loads(Path(sys.argv[1]).read_text("utf-8")))))
