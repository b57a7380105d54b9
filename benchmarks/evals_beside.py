"""The same evaluation under this library, DeepEval, ragas and Inspect: time, memory, import, failures, reruns, kills.

Each run is a process of its own (`evals_peers.py`) in the library's own environment, made at first use under
`.venv/evals` (or the folder in `LLMOPS_BENCH_PEERS`) from the pins in `requirements-evals/`. Telemetry is off by the
libraries' own switches, and a run cannot open a connection; attempts are counted.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from environments import environment
from guardrails_tables import number, table

__all__ = ["PEERS", "run", "version_of"]

HERE = Path(__file__).resolve().parent
ENVIRONMENTS = Path(os.environ.get("LLMOPS_BENCH_PEERS", HERE.parent / ".venv" / "evals"))
PEERS = ("deepeval", "ragas", "inspect-ai")
OURS = "llmops-sdk"
ROUNDS = 5
TIMEOUT = 900  # seconds
LONG = 30.0  # seconds after which a run is not repeated
FEWER = 250  # items of the runs whose calls are counted; DeepEval's cache makes 1,000 take minutes
QUIET = {
    "DEEPEVAL_TELEMETRY_OPT_OUT": "1",
    "DEEPEVAL_DISABLE_DOTENV": "1",
    "RAGAS_DO_NOT_TRACK": "true",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "ANONYMIZED_TELEMETRY": "false",
    "DO_NOT_TRACK": "1",
}
IMPORTS = {
    OURS: "from llmops_sdk.evals import evaluate, scorer",
    "deepeval": "from deepeval import evaluate; from deepeval.metrics import BaseMetric; "
    "from deepeval.test_case import LLMTestCase",
    "ragas": "from ragas import Dataset, experiment; from ragas.metrics import numeric_metric",
    "inspect-ai": "from inspect_ai import Task, eval; from inspect_ai.scorer import scorer",
}
LIGHT = {
    OURS: "no store",
    "deepeval": "`write_cache=False`",
    "ragas": 'backend "inmemory"',
    "inspect-ai": "`log_samples=False, log_realtime=False`",
}
PLAIN = {
    OURS: "by itself: rows and traces in an empty store",
    "deepeval": "by itself: its cache of results",
    "ragas": "`experiment`, a file of results at the end",
    "inspect-ai": "by itself: its log",
}
USED = {OURS: "the same, in a store that has rows: it looks for results to use again"}
LEGACY = {"ragas": "`evaluate`, nothing on disk"}
MORE = {OURS: ("used",), "ragas": ("legacy",)}
FAILING = (
    (OURS, "plain", "by itself"),
    ("deepeval", "light", "by itself (`ignore_errors=False`)"),
    ("deepeval", "tolerant", "`ignore_errors=True`"),
    ("ragas", "light", "`experiment`"),
    ("ragas", "legacy", "`evaluate`"),
    ("inspect-ai", "plain", "by itself (`fail_on_error=True`)"),
    ("inspect-ai", "tolerant", "`fail_on_error=False`"),
)
AGAIN = (
    (OURS, "plain", "by itself"),
    ("deepeval", "plain", "by itself"),
    ("deepeval", "again", "`use_cache=True`"),
    ("ragas", "plain", "`experiment`"),
    ("ragas", "again", "model and judge under its `cacher`"),
    ("inspect-ai", "plain", "`eval`"),
    ("inspect-ai", "again", "`eval_set`"),
)


NOTES = f"""Each run is a process of its own, and the libraries run in turns. The model, the judge and the other two
scorers are the same plain functions and take no time: this is what a library adds. A ratio compares with our run of the
same kind, written to disk or not. A run of more than {LONG:.0f} s is not repeated. Nothing is printed, except for the
progress bar of ragas, which has no switch. DeepEval takes answers that the application has made; the others call the
model."""


class Calls(NamedTuple):
    """How often the model and the judge were called, and how the process ended."""

    model: int
    judge: int
    code: int


class Beside:
    """The libraries that could be installed, and what they said."""

    def __init__(self) -> None:
        self.pythons: dict[str, str] = {OURS: sys.executable}
        self.missing: dict[str, str] = {}
        self.attempts: dict[str, set[str]] = {}
        for peer in PEERS:
            try:
                pins = HERE / "requirements-evals" / f"{peer}.txt"
                self.pythons[peer] = str(environment(pins, ENVIRONMENTS / peer))
            except (subprocess.SubprocessError, OSError) as error:
                self.missing[peer] = str(getattr(error, "stderr", "") or error).strip().splitlines()[-1]

    def process(self, library: str, arguments: list[str], folder: str, **variables: str) -> Any:
        """Run a process of a library in a folder, which is also its home."""
        variables = {"PATH": os.environ.get("PATH", ""), "HOME": folder, "PYTHONUTF8": "1", **QUIET, **variables}
        if library == OURS:
            variables["PYTHONPATH"] = str(HERE.parent)
        return subprocess.run(
            [self.pythons[library], *arguments],
            cwd=folder, env=variables, capture_output=True, text=True, timeout=TIMEOUT, check=False,
        )  # fmt: skip

    def report(self, library: str, way: str, **variables: str) -> dict[str, Any]:
        """Return what a library reports of an evaluation in a new folder."""
        with tempfile.TemporaryDirectory() as folder:
            done = self.process(library, [str(HERE / "evals_peers.py"), library, way], folder, **variables)
        if done.returncode:
            return {"raised": f"exit {done.returncode}: {done.stderr.strip().splitlines()[-1][:200]}"}
        found = json.loads(done.stdout)
        self.attempts.setdefault(library, set()).update(found["attempts"])
        return found

    def calls(self, library: str, way: str, folder: str, **variables: str) -> Calls:
        """Return the calls that an evaluation in a folder makes."""
        file = Path(folder) / f"calls-{time.monotonic_ns()}"
        variables = {"BENCH_CALLS": str(file), "BENCH_ITEMS": str(FEWER), **variables}
        done = self.process(library, [str(HERE / "evals_peers.py"), library, way], folder, **variables)
        made = file.read_bytes() if file.exists() else b""
        return Calls(made.count(b"m"), made.count(b"j"), done.returncode)


def version_of(peer: str) -> str:
    """Return the version of a peer that is pinned."""
    text = (HERE / "requirements-evals" / f"{peer}.txt").read_text("utf-8")
    return text.partition(f"\n{peer}==")[2].partition(" ")[0]


def run() -> Iterator[str]:
    """Yield the sections of the comparison, in Markdown."""
    beside = Beside()
    yield NOTES
    yield from (f"{peer} could not be installed: {why}" for peer, why in beside.missing.items())
    yield f"### Time and memory of 1,000 items × 3 scorers\n\n{_speed(beside)}"
    yield f"### Import in a new process\n\n{_imports(beside)}"
    yield f"### The judge fails on 40 of 1,000 items\n\n{_failing(beside)}"
    yield f"### A second run, and a kill\n\n{_again(beside)}"
    tried = [f"{library} ({', '.join(sorted(where))})" for library, where in beside.attempts.items() if where]
    yield f"Connections that a library tried to open, with telemetry off: {', '.join(tried) or 'none'}."


def _speed(beside: Beside) -> str:
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for turn in range(ROUNDS):
        for library in beside.pythons:
            for way in ("plain", "light", *MORE.get(library, ())):
                runs = found.setdefault((library, way), [])
                if turn and (runs[0].get("raised") or runs[0]["seconds"] > LONG):
                    continue
                runs.append(beside.report(library, way))
                _progress(f"speed: {library} {way}")
    rows: list[tuple[str, ...]] = []
    for way, settings in (("plain", PLAIN), ("used", USED), ("light", LIGHT), ("legacy", LEGACY)):
        ours = _medians(found[OURS, "plain" if way in ("plain", "used") else "light"])
        for library in filter(settings.__contains__, beside.pythons):
            runs = found[library, way]
            if runs[0].get("raised"):
                rows.append((library, settings[library], runs[0]["raised"], *[""] * 6))
                continue
            one = _medians(runs)
            rows.append((
                library, settings[library], number(one["seconds"]), number(one["cpu"]), number(one["mb"]),
                *(number(one[name] / ours[name]) for name in ("seconds", "cpu", "mb")), str(len(runs)),
            ))  # fmt: skip
    head = ("library", "settings", "s", "CPU s", "peak MB", "s / ours", "CPU / ours", "MB / ours", "runs")
    return table(head, rows)


def _medians(runs: list[dict[str, Any]]) -> dict[str, float]:
    return {name: statistics.median(one[name] for one in runs) for name in ("seconds", "cpu", "mb")}


def _imports(beside: Beside) -> str:
    code = (
        "import json, time; a, b = time.perf_counter(), time.process_time(); {0}; "
        "print(json.dumps([time.perf_counter() - a, time.process_time() - b, "
        "int(open('/proc/self/status').read().partition('VmHWM:')[2].split()[0]) / 1024]))"
    )
    found: dict[str, list[list[float]]] = {library: [] for library in beside.pythons}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(ROUNDS + 1):
            for library in beside.pythons:
                done = beside.process(library, ["-c", code.format(IMPORTS[library])], folder)
                found[library].append(json.loads(done.stdout.splitlines()[-1]))
    # The first one compiles.
    medians = {
        library: [statistics.median(column) for column in zip(*runs[1:], strict=True)]
        for library, runs in found.items()
    }
    rows = [
        (library, *(number(value) for value in values), number(values[1] / medians[OURS][1]))
        for library, values in medians.items()
    ]
    return table(("library", "s", "CPU s", "peak MB", "CPU / ours"), rows)


def _failing(beside: Beside) -> str:
    rows: list[tuple[str, ...]] = []
    for library, way, name in FAILING:
        if library not in beside.pythons:
            continue
        found = beside.report(library, way, BENCH_FAILING="1")
        _progress(f"failing: {library} {way}")
        if found.get("raised"):
            rows.append((library, name, f"raises {found['raised']}", "0", "", "", "", ""))
            continue
        failed = found.get("failed")
        mean = found["means"].get("judge")
        worst = found.get("worst")
        rows.append((
            library, name, found.get("status") or "returns", f"{found['items']:,}", f"{found['valid']['judge']:,}",
            "no" if failed is None else str(failed["judge"]), str(found["nan"]),
            ("none" if mean is None else f"{mean:.4f}") + (f", {worst[0]:.2f} to {worst[1]:.2f}" if worst else ""),
        ))  # fmt: skip
    head = ("library", "settings", "end", "items in the result", "judge's scores", "failures reported", "NaN", "mean")
    return table(head, rows)


def _again(beside: Beside) -> str:
    rows: list[tuple[str, ...]] = []
    for library, way, name in AGAIN:
        if library not in beside.pythons:
            continue
        with tempfile.TemporaryDirectory() as folder:
            beside.calls(library, way, folder)
            second = beside.calls(library, way, folder)
        with tempfile.TemporaryDirectory() as folder:
            killed = beside.calls(library, way, folder, BENCH_KILL_AT=str(FEWER * 6 // 10))
            resumed = beside.calls(library, way, folder)
        _progress(f"again: {library} {way}")
        if not resumed.judge + second.judge + killed.judge:
            rows.append((library, name, "it does not run", *[""] * 4))
            continue
        rows.append((
            library, name, f"{second.model}, {second.judge}", f"{killed.model}, {killed.judge}",
            f"{resumed.model}, {resumed.judge}",
            f"{killed.model + resumed.model - FEWER}, {killed.judge + resumed.judge - FEWER}",
            "yes" if not (second.code or resumed.code) else "no",
        ))  # fmt: skip
    head = (
        "library", "settings", "calls of a second run", "calls before kill -9 at 60 %", "calls of the run after it",
        "paid twice", "ends well",
    )  # fmt: skip
    return f"{FEWER} items; calls of the model, calls of the judge.\n\n{table(head, rows)}"


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
