"""Tell a cache that its value passed a guard that failed: caches and guards do not import each other."""

from __future__ import annotations

import contextvars
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["CheckNote", "note_unchecked", "watch_checks"]


@dataclass(slots=True)
class CheckNote:
    """Notes failed checks while a value is made; threads and tasks that begin meanwhile share it.

    Attributes:
        outer: The note of the value around it.
        unchecked: Whether a guard failed and let something pass.
    """

    outer: CheckNote | None = None
    unchecked: bool = False


_current: contextvars.ContextVar[CheckNote | None] = contextvars.ContextVar("llmops_check_note", default=None)


@contextmanager
def watch_checks() -> Generator[CheckNote]:
    """Give the note of a value that is made in this block."""
    note = CheckNote(_current.get())
    token = _current.set(note)
    try:
        yield note
    finally:
        _current.reset(token)


def note_unchecked() -> None:
    """Note that a guard failed and let something pass: in every value that is being made here."""
    note = _current.get()
    while note is not None:
        note.unchecked = True
        note = note.outer
