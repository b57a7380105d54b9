"""How far long work has come: a line on stderr, on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

__all__ = ["progress_bar"]

_WIDTH = 24


@contextmanager
def progress_bar(verb: str, unit: str) -> Generator[Callable[[int, int], None] | None]:
    """What work calls with how much is done and how much there is; None where nobody would see it.

    Args:
        verb: What has been done to them, as in "compacted".
        unit: What is counted, as in "rows".
    """
    if not sys.stderr.isatty():
        yield None
        return

    def show(done: int, total: int) -> None:
        share = min(done / total, 1.0) if total else 0.0
        bar = "█" * round(share * _WIDTH)
        counted = f"{done:,} of {total:,} {unit} {verb}" if total else f"counting the {unit}"
        sys.stderr.write(f"\r{bar:░<{_WIDTH}} {share:4.0%}  {counted}\x1b[K")
        sys.stderr.flush()

    try:
        yield show
    finally:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
