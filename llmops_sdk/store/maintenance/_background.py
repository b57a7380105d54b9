"""Start compaction in a low-priority background process when enough segments are sealed.

In the application itself, DuckDB would take 80 MB and a whole core for a while.
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
    """Starts one compactor at a time, when there is enough to compact.

    Args:
        store: The store's folder.
        mode: "auto", or "manual" for never.
        thinning: How compaction samples old traces.
    """

    def __init__(self, store: Path, mode: CompactionMode, thinning: ThinningPolicy) -> None:
        self._store = store
        self._thinning = thinning
        self._on = mode == "auto"
        self._pid = 0

    def start_if_due(self) -> None:
        """Start a compactor if it is due; call this after a segment is sealed.

        It is due when 32 MiB or 64 segments wait, at most once a minute; at once when eight times as much waits.
        """
        if self._on and not self.is_running() and self._is_due():
            self._start()

    def is_running(self) -> bool:
        """Return whether the last compactor still runs; reap it if it has exited."""
        if not self._pid:
            return False
        with contextlib.suppress(ChildProcessError):  # the application may wait for all its children itself
            if os.waitpid(self._pid, os.WNOHANG)[0] == 0:
                return True
        self._pid = 0
        return False

    def after_fork(self) -> None:
        """Forget the parent's compactor in a forked child."""
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
            return False  # a newer version's store, or a damaged one: readers report it
        # Views that name dropped files fail in other tools.
        return self._is_worth_it(size, count) or views_are_old(self._store)

    def _is_worth_it(self, size: int, count: int) -> bool:
        # A run costs half a second, and small files cost a merge later: the pause keeps that below 1 % of a core.
        many = max(size / _BYTES, count / _FILES)
        return many >= _BURST or (many >= 1 and _age(self._store / MANIFEST) >= _PAUSE)

    def _start(self) -> None:
        interpreter = find_interpreter()
        if interpreter is None:
            self._on = False
            return
        # The package may be on the path of this program only.
        root = str(Path(__file__).parents[3])
        known = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, *filter(None, known)])}
        nothing = [
            (os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0)  # nobody reads its output
            for number in (0, 1, 2)
        ]
        try:
            # -P: never import modules from the working folder.
            self._pid = os.posix_spawn(
                interpreter,
                [interpreter, "-P", "-m", _PROGRAM, str(self._store), self._thinning.encode()],
                environment,
                file_actions=nothing,
            )
        except OSError:
            self._on = False  # no process can be started; readers read the segments as they are


def _age(file: Path) -> float:
    """Return the seconds since a file was changed; absolute, in case the clock was set back."""
    with contextlib.suppress(FileNotFoundError):
        return abs(time.time() - file.stat().st_mtime)
    return 0.0


def find_interpreter() -> str | None:
    """Return this process's Python, or None in frozen programs and programs that embed Python."""
    name = Path(sys.executable or "").name
    if getattr(sys, "frozen", False) or not _INTERPRETER.fullmatch(name) or not os.access(sys.executable, os.X_OK):
        return None
    return sys.executable
