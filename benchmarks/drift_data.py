"""Data drift: power and false alarms beside Evidently, on the same windows, and a check of a million stored calls.

The windows are those of `drift_windows.py`. Evidently runs as a process in its own environment, made at first use under
`.venv/drift`, or the folder in LLMOPS_BENCH_PEERS, from the pins in `requirements-drift/`; it cannot open a connection.
It is measured in two ways: its content drift of a text column, and what its users do for vectors, a column for each
dimension and the share of columns that drifted, for the first windows alone because it takes a minute for each. Each is
measured at its default threshold, and the text column at the threshold, too, that 5 % of the windows without a change
exceed. Shares have 95 % intervals (Clopper and Pearson).

Run it with `make bench-drift-data`, or a part: `python benchmarks/drift_data.py --only quality,calls --runs 40`. With
`--write`, a run of all parts writes `drift_data.md`. By default it takes about 40 minutes of CPU: 15 for our windows,
20 for those of Evidently, the rest for the million calls.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from drift_peer import COLUMN_RUNS
from environments import environment
from guardrails_tables import table

HERE = Path(__file__).resolve().parent
ENVIRONMENTS = Path(os.environ.get("LLMOPS_BENCH_PEERS") or HERE.parent / ".venv" / "drift")
PINS = HERE / "requirements-drift" / "evidently.txt"
TIMEOUT = 4 * 3_600
_FEWEST_QUIET = 20
CALLS = int(os.environ.get("DRIFT_CALLS", "1000000"))


def quality(data: Path, runs: int, peer_runs: int) -> Iterator[str]:
    """Yield a table of the share of windows with an alarm; Evidently gets the first windows of each kind."""
    from drift_windows import Windows, scenarios

    from llmops_sdk.drift import data_drift

    kinds = scenarios(Windows(data))
    lines: list[tuple[str, ...]] = []
    quiet: dict[str, list[float]] = {}
    windows = {kind.name: [kind.draw(seed) for seed in range(runs)] for kind in kinds}
    other = _evidently({name: drawn[:peer_runs] for name, drawn in windows.items()})
    for kind in kinds:
        begin = time.process_time()
        reports = [data_drift(*one) for one in windows[kind.name]]
        seconds = (time.process_time() - begin) / runs
        print(f"{kind.name}: {seconds * runs:.0f} s of CPU", file=sys.stderr, flush=True)
        alone = [
            sum(one.status == "drifted" for report in reports for one in report.features if one.signal == signal) / runs
            for signal in ("novelty", "mmd", "cluster_share")
        ]
        found = other.get(kind.name, [])
        size = kind.name.split(";")[1]
        if not kind.changes:
            quiet[size] = [one["content"] for one in found]
        columns = [one["columns_drift"] for one in found if one["columns_drift"] is not None]
        lines.append((
            kind.name,
            _share(sum(report.drifted for report in reports), runs),
            ", ".join(f"{share:.2f}" for share in alone),
            _share(sum(one["content_drift"] for one in found), len(found)),
            _calibrated([one["content"] for one in found], quiet.get(size, [])),
            f"{sum(columns)} of {len(columns)}" if columns else "",
            f"{seconds:.2f}",
            f"{sum(one['seconds'] for one in found) / len(found):.2f}" if found else "",
            "" if kind.asked is None else f"{'at least' if kind.changes else 'at most'} {kind.asked:.2f}",
        ))  # fmt: skip
    yield table(
        (
            "windows; sizes of reference and current", "ours", "novelty, mmd, cluster_share alone",
            "Evidently, text column: default", "the same, calibrated", "Evidently, a column a dimension: default",
            "CPU s, ours", "CPU s, Evidently", "asked",
        ),
        lines,
    )  # fmt: skip
    yield (
        f"{runs} windows of each kind, with 95 % intervals; the first {peer_runs} of them for Evidently, and in its "
        f"slower way, which takes a minute for each, the first {COLUMN_RUNS}. There is a calibrated figure where "
        f"{_FEWEST_QUIET} windows of one size have no change; for these it is at most 0.05 by its making."
    )


def _share(count: int, of: int) -> str:
    """Return a share with its 95 % interval."""
    from llmops_sdk.stats import clopper_pearson

    if not of:
        return ""
    low, high = clopper_pearson(count, of, 0.95)
    return f"{count / of:.2f} ({low:.2f} to {high:.2f})"


def _calibrated(values: Sequence[float], quiet: Sequence[float]) -> str:
    """Return the share of windows above what 5 % of those without a change exceed."""
    if not values or len(quiet) < _FEWEST_QUIET:
        return ""
    threshold = sorted(quiet)[min(int(len(quiet) * 0.95), len(quiet) - 1)]
    return _share(sum(value > threshold for value in values), len(values))


def _evidently(windows: dict[str, list[tuple[list[str], ...]]]) -> dict[str, list[dict[str, Any]]]:
    """Return what Evidently says about the windows: nothing where it is not installed."""
    from llmops_sdk.embeddings import open_embedder

    if not PINS.exists() and "DRIFT_EVIDENTLY" not in os.environ:
        return {}
    python = Path(os.environ["DRIFT_EVIDENTLY"]) if "DRIFT_EVIDENTLY" in os.environ else environment(PINS, ENVIRONMENTS)
    embedder = open_embedder("static")
    given = {
        name: [
            [{"texts": side, "vectors": embedder.embed(side).tolist() if number < COLUMN_RUNS else []} for side in one]
            for number, one in enumerate(drawn)
        ]
        for name, drawn in windows.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "windows.json"
        file.write_text(json.dumps(given))
        ran = subprocess.run(
            [str(python), str(HERE / "drift_peer.py"), str(file)], capture_output=True, text=True, timeout=TIMEOUT,
            check=False, env={"PATH": os.environ.get("PATH", ""), "DO_NOT_TRACK": "1"},
        )  # fmt: skip
    if ran.returncode:
        print(ran.stderr[-2_000:], file=sys.stderr)
        return {}
    return json.loads(ran.stdout.splitlines()[-1])


# The peak of the program itself: getrusage would tell that of its parent, where that is higher.
_CHECK = """import json, re, sys, time
from llmops_sdk.drift import Drift
begin, cpu = time.perf_counter(), time.process_time()
report = Drift(path=sys.argv[1]).check(now=float(sys.argv[2]), write=False)
print(json.dumps([time.perf_counter() - begin, time.process_time() - cpu,
    int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024, len(report.features),
    report.status]))"""


def calls(count: int) -> Iterator[str]:
    """Yield what a check of so many stored calls takes, in a process of its own."""
    import store_files
    from store_spans import DAY_NS, FIRST_NS, LARGE

    store_files.MIXED = LARGE
    files = max(count // store_files.FILE_SPANS, 1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = store_files.write_first(folder, count // files, days=store_files.DAYS / files / 4)
        store, _ = store_files.build(folder, first, files, count // files)
        now = (FIRST_NS + store_files.DAYS * DAY_NS) / 1e9
        rows: list[tuple[str, ...]] = []
        for number in range(3):
            ran = subprocess.run(
                [sys.executable, "-c", _CHECK, str(store), str(now)], capture_output=True, text=True, check=True
            )
            wall, cpu, memory, features, status = json.loads(ran.stdout.splitlines()[-1])
            rows.append((str(number + 1), f"{wall:.1f}", f"{cpu:.1f}", f"{memory:.0f}", str(features), status))
    yield table(("run", "s", "CPU s", "MB of the process", "rows of the report", "status"), rows)
    yield f"{count:,} calls of 4.4 KB. Asked: at most 10 s and 500 MB. Load: {load()}."


def cold() -> Iterator[str]:
    """Yield what the imports take."""
    rows = []
    for what in ("import llmops_sdk", "from llmops_sdk.drift import data_drift", "from llmops_sdk.drift import Drift"):
        took = []
        for _ in range(5):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, "-c", what], check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            took.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        rows.append((f"`{what}`", f"{sorted(took)[2] * 1e3:.0f}"))
    yield table(("a new process", "CPU ms, median of 5"), rows)


def load() -> str:
    """Return the load averages of 1, 5 and 15 minutes."""
    return ", ".join(f"{one:.1f}" for one in os.getloadavg())


def main() -> None:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="quality,calls,cold")
    parser.add_argument("--runs", type=int, default=120)
    parser.add_argument("--peer-runs", type=int, default=25)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    data = Path(os.environ.get("LLMOPS_BENCH_DATA", "")) / "semantic_cache"
    parts = set(asked.only.split(","))
    said = [
        "# Data drift",
        (
            f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, Python {platform.python_version()}, "
            f"{os.cpu_count()} cores, load {load()}. Made by `benchmarks/drift_data.py`, which says what is measured."
        ),
    ]
    if "quality" in parts and data.is_dir():
        said += [
            "## Texts: the share of windows with an alarm",
            *quality(data, asked.runs, min(asked.runs, asked.peer_runs)),
        ]
    if "calls" in parts:
        said += ["## A check of stored calls", *calls(CALLS)]
    if "cold" in parts:
        said += ["## Imports", *cold()]
    text = "\n\n".join(said) + "\n"
    print(text)
    if asked.write:
        (HERE / "drift_data.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
