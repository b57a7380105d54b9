"""What the benchmarks of the store share: processes that begin together, clocks, tables."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from llmops_sdk.store.files._layout import list_segments
from llmops_sdk.store.files._manifest import Manifest, read_manifest

_T = TypeVar("_T")

ROOM = 500 * 1024**3
"""A `max_bytes` that drops nothing."""


def scale(name: str, default: int) -> int:
    """A number of the environment."""
    return int(os.environ.get(name, str(default)))


class Child:
    """A process of the benchmark's own file: says that it is ready, waits for the word, says a line of JSON."""

    def __init__(self, file: str, *arguments: object) -> None:
        command = [sys.executable, str(Path(file).resolve()), *map(str, arguments)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def read(self) -> Any:
        """The next line that it says."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"{self._process.args} ended with {self._process.wait()}"
        return json.loads(line)

    def say(self, word: object) -> None:
        """Give it a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{json.dumps(word)}\n")
        self._process.stdin.flush()

    def end(self) -> None:
        """Wait for its end, which must be a good one."""
        self._process.communicate()
        assert self._process.returncode == 0, self._process.returncode


def hear() -> Any:
    """In the child: the next word, or None when there is none any more."""
    line = sys.stdin.readline()
    return json.loads(line) if line else None


def tell(word: object) -> None:
    """In the child: say a line."""
    print(json.dumps(word), flush=True)


def together(file: str, arguments: Sequence[Sequence[object]]) -> list[Any]:
    """What processes said that began in the same moment."""
    children = [Child(file, *one) for one in arguments]
    for child in children:
        assert child.read() == "ready"
    for child in children:
        child.say("go")
    said = [child.read() for child in children]
    for child in children:
        child.end()
    return said


def timed(act: Callable[[], _T]) -> tuple[float, _T]:
    """Seconds, and what came of it."""
    begin = time.perf_counter()
    result = act()
    return time.perf_counter() - begin, result


def medians(rounds: Sequence[dict[str, float]]) -> dict[str, float]:
    """The median of each figure."""
    return {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of them do not exceed."""
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def memory_mb() -> float:
    """Megabytes of this process that lie in memory."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def cpu_of_children() -> float:
    """CPU seconds of the children that have ended and were waited for."""
    times = os.times()
    return times.children_user + times.children_system


def waiting_bytes(store: Path) -> int:
    """Bytes of the segments that no Parquet file holds yet."""
    manifest = read_manifest(store) or Manifest()
    size = 0
    for segment in list_segments(store, manifest.covered):
        try:
            size += segment.path.stat().st_size
        except FileNotFoundError:
            continue
    return size


def parquet_bytes(store: Path) -> int:
    """Bytes of the store's Parquet files of spans."""
    manifest = read_manifest(store) or Manifest()
    return sum(file.bytes for file in manifest.files if file.stream == "spans")
