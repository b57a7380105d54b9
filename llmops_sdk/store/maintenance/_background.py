"""Compaction beside the application: a process of its own, niced, started when enough segments are sealed.

DuckDB takes 80 MB and a core's whole attention for a while, neither of which is the application's to give.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from pathlib import Path
from typing import Literal, TypeAlias

from llmops_sdk.errors import StoreError
from llmops_sdk.store.files._layout import list_segments
from llmops_sdk.store.files._manifest import MANIFEST, Manifest, read_manifest, views_are_old
from llmops_sdk.store.maintenance._thinning import ThinningPolicy

__all__ = ["BackgroundCompaction", "CompactionMode"]

CompactionMode: TypeAlias = Literal["auto", "manual"]

_BYTES = 32 * 1024**2
_FILES = 64
_BURST = 8
_PAUSE = 60.0
_INTERPRETER = re.compile(r"(python|pypy)[0-9.t]*(\.exe)?", re.IGNORECASE)
_PROGRAM = "llmops_sdk.store.maintenance._compact_process"


class BackgroundCompaction:
    """Starts a compactor when there is enough for it to do, one at a time.

    Args:
        store: The store's folder.
        mode: "auto", or "manual" for never.
        thinning: What becomes of old traces.
    """

    def __init__(self, store: Path, mode: CompactionMode, thinning: ThinningPolicy) -> None:
        self._store = store
        self._thinning = thinning
        self._on = mode == "auto"
        self._pid = 0

    def start_if_due(self) -> None:
        """Start one if it is due; called when a segment has been sealed.

        When 32 MiB or 64 segments wait, though a minute after the one before; sooner when eight times as much waits.
        """
        if self._on and not self.is_running() and self._is_due():
            self._start()

    def is_running(self) -> bool:
        """Whether the one that was started last is still at it; one that has ended is taken leave of."""
        if not self._pid:
            return False
        with contextlib.suppress(ChildProcessError):  # the application has waited for every child of its own
            if os.waitpid(self._pid, os.WNOHANG)[0] == 0:
                return True
        self._pid = 0
        return False

    def after_fork(self) -> None:
        """In a forked child: the compactor is the parent's."""
        self._pid = 0

    def _is_due(self) -> bool:
        size = count = 0
        try:
            manifest = read_manifest(self._store) or Manifest()
            for segment in list_segments(self._store, manifest.covered):
                with contextlib.suppress(FileNotFoundError):
                    size += segment.path.stat().st_size
                    count += 1
        except StoreError:
            return False  # a newer version's, or damaged: whoever reads it is told
        # Views that name dropped files fail for whoever opens them with another tool.
        return self._is_worth_it(size, count) or views_are_old(self._store)

    def _is_worth_it(self, size: int, count: int) -> bool:
        # Each call costs half a second whatever it finds, and makes files that are put together later at the price of
        # a second conversion: a pause keeps that below a hundredth of a core, and large files are made at once.
        many = max(size / _BYTES, count / _FILES)
        return many >= _BURST or (many >= 1 and _age(self._store / MANIFEST) >= _PAUSE)

    def _start(self) -> None:
        interpreter = find_interpreter()
        if interpreter is None:
            self._on = False
            return
        # The package may be on this program's path alone.
        root = str(Path(__file__).parents[3])
        known = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, *filter(None, known)])}
        nothing = [
            (os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0)  # its output is nobody's
            for number in (0, 1, 2)
        ]
        try:
            # -P: a file of the working folder must not be taken for one of the libraries.
            self._pid = os.posix_spawn(
                interpreter,
                [interpreter, "-P", "-m", _PROGRAM, str(self._store), self._thinning.encode()],
                environment,
                file_actions=nothing,
            )
        except OSError:
            self._on = False  # no more processes, or not allowed: the segments are read as they are


def _age(file: Path) -> float:
    """Seconds since a file was changed, or until then where the clock went back."""
    with contextlib.suppress(FileNotFoundError):
        return abs(time.time() - file.stat().st_mtime)
    return 0.0


def find_interpreter() -> str | None:
    """This process's Python, or None where `sys.executable` is another program: frozen, or with Python inside."""
    name = Path(sys.executable or "").name
    if getattr(sys, "frozen", False) or not _INTERPRETER.fullmatch(name) or not os.access(sys.executable, os.X_OK):
        return None
    return sys.executable
