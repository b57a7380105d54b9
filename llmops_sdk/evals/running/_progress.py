"""Show how far an experiment is: a line on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

from llmops_sdk.evals._types import ItemResult

__all__ = ["Progress"]

_EVERY = 0.1  # seconds


class Progress:
    """Counts results, and shows the counts.

    Args:
        total: The number of results to come.
        show: True for a line on stderr, None for one if stderr is a terminal, or a function of the number of results
            and the total.
        stream: Where the line goes.
    """

    def __init__(
        self, total: int, show: bool | Callable[[int, int], object] | None, stream: TextIO | None = None
    ) -> None:
        self._total = total
        self._stream = stream or sys.stderr
        self._tell = show if callable(show) else None
        self._line = show is True or (show is None and self._stream is not None and self._stream.isatty())
        self._done = self._failed = self._reused = 0
        self._cost = 0.0
        self._began = time.monotonic()
        self._shown = 0.0
        self._width = 0

    def note(self, result: ItemResult, cost: float) -> None:
        """Count a result.

        Args:
            result: The result.
            cost: USD so far.
        """
        self._done += 1
        self._reused += result.reused
        self._failed += result.status != "ok" or any(
            score.status in {"error", "timeout"} for score in result.scores.values()
        )
        self._cost = cost
        if self._tell is not None:
            self._tell(self._done, self._total)
        now = time.monotonic()
        if self._line and (now - self._shown >= _EVERY or self._done == self._total):
            self._shown = now
            self._show(now)

    def _show(self, now: float) -> None:
        parts = [f"{self._done:,} of {self._total:,} items"]
        parts += [f"{self._reused:,} reused"] if self._reused else []
        parts += [f"{self._failed:,} failed"] if self._failed else []
        parts += [f"{self._cost:.4f} USD"] if self._cost else []
        fresh = self._done - self._reused
        if fresh and self._done < self._total:
            left = (now - self._began) / fresh * (self._total - self._done)
            parts.append(f"about {left:,.0f} s left")
        text = ", ".join(parts)
        self._stream.write("\r" + text.ljust(self._width))
        self._stream.flush()
        self._width = len(text)

    def close(self) -> None:
        """End the line."""
        if self._line and self._width:
            self._stream.write("\n")
            self._stream.flush()
            self._width = 0
