"""Make trace and span ids that are valid for W3C trace context.

The first 48 bits of a trace id are the milliseconds since the epoch, so that the rows of a trace are close together in
time-sorted files and a lookup can skip files by their statistics. The other 80 bits are random.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Generator
from contextlib import contextmanager

__all__ = ["SPAN_BITS", "ids_from", "new_span_id", "new_trace_id"]

SPAN_BITS = 64

# Not the module-level generator: an application that calls random.seed() must not make its trace ids repeat.
_random = random.Random()  # noqa: S311 - ids are no secrets
_getrandbits: Callable[[int], int] = _random.getrandbits
_timed = True

if hasattr(os, "register_at_fork"):
    # A forked child starts with the parent's state and would repeat its ids.
    os.register_at_fork(after_in_child=_random.seed)


def new_trace_id(now_ns: int) -> int:
    """Make a 128-bit trace id, never zero, for a trace that begins now, `now_ns` nanoseconds after the epoch."""
    return (now_ns // 1_000_000) << 80 | _getrandbits(80) if _timed else _getrandbits(80)


def new_span_id() -> int:
    """Make a 64-bit span id, never zero."""
    return _getrandbits(64) or 1


@contextmanager
def ids_from(draw: Callable[[int], int]) -> Generator[None]:
    """Take all ids from `draw(bits)` while the block runs; for tests."""
    global _getrandbits, _timed
    before = _getrandbits, _timed
    _getrandbits, _timed = draw, False
    try:
        yield
    finally:
        _getrandbits, _timed = before
