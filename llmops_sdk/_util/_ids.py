"""Trace and span ids: valid for W3C trace context, and cheap to make.

A trace id starts with the milliseconds since the epoch in its first 48 bits, so that rows of one trace lie together
in time-sorted files and their statistics prune a look-up; the other 80 bits are random.
"""

from __future__ import annotations

import os
import random
import time

__all__ = ["new_span_id", "new_trace_id"]

# Not the module-level generator: an application that calls random.seed() must not make its trace ids repeat.
_random = random.Random()  # noqa: S311 - ids are no secrets
_getrandbits = _random.getrandbits
_now = time.time_ns

if hasattr(os, "register_at_fork"):
    # A forked child starts with the parent's state and would repeat its ids.
    os.register_at_fork(after_in_child=_random.seed)


def new_trace_id() -> int:
    """A new 128-bit trace id, never zero."""
    return (_now() // 1_000_000) << 80 | _getrandbits(80)


def new_span_id() -> int:
    """A new 64-bit span id, never zero."""
    return _getrandbits(64) or 1
