"""Count what is dropped, truncated or redacted."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

__all__ = ["LossRecorder", "record_loss", "set_recorder"]

LossRecorder: TypeAlias = Callable[[str, str, int, int], None]
"""Takes what was lost, the reason, the number of items and their bytes."""

_recorder: LossRecorder | None = None


def set_recorder(recorder: LossRecorder | None) -> None:
    """Send losses to `recorder` from now on; None while tracing is off."""
    global _recorder
    _recorder = recorder


def record_loss(what: str, reason: str, count: int = 1, bytes: int = 0) -> None:  # noqa: A002 - as in the record
    """Count something that was dropped, truncated or redacted; the view `losses` shows it.

    Args:
        what: "span", "input", "output", "attribute", "cache", …
        reason: Why, as in "queue_full".
        count: The number of items.
        bytes: Their size, 0 if it is unknown.
    """
    if _recorder is not None:
        _recorder(what, reason, count, bytes)
