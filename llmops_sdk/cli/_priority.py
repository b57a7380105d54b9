"""Commands that run for long beside the application that they serve."""

from __future__ import annotations

import os
from contextlib import suppress

__all__ = ["lower_priority"]

_NICE = 10


def lower_priority() -> None:
    """Let the application go first where both want a core. Windows has no such call: there it does nothing."""
    with suppress(OSError, AttributeError):
        os.nice(_NICE)
