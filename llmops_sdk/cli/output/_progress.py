"""A progress bar on stderr, on terminals only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

__all__ = ["progress_bar"]

_WIDTH = 24


@contextmanager
def progress_bar(verb: str, unit: str) -> Generator[Callable[[int, int], None] | None]:
    """Yield a callback that takes the done and total amounts, or None if stderr is not a terminal.

    Args:
        verb: The work, e.g. "compacted".
        unit: The counted unit, e.g. "rows".
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
