"""The application's own redactors: functions that see every text before it is stored or sent."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable

__all__ = ["add_redactor", "kind_name", "registered"]

_lock = threading.Lock()
_registered: tuple[tuple[str, Callable[[str], str]], ...] = ()


def add_redactor(function: Callable[[str], str], *, name: str | None = None) -> Callable[[], None]:
    """Have a function redact every text of spans and scores before it is stored or sent, from now on.

    It is called on the background thread with each string of arguments, results, prompts, answers, attributes, events,
    exceptions, context and scores, after the well-known secrets and `[redaction] patterns` are replaced, JSON already
    decoded. A text that it changes counts as one in the view `losses`, as ("secret", name). When it raises, the content
    of that span is left out.

    Args:
        function: Takes a string and gives it back, changed or not.
        name: Its name in `losses`; by default the function's own.

    Returns:
        A function that takes it away again.

    Example:
        >>> import llmops_sdk as llmops
        >>> remove = llmops.add_redactor(lambda text: text.replace("Project X", "[REDACTED:project]"), name="project")
        >>> remove()
    """
    global _registered
    entry = (kind_name(name or getattr(function, "__name__", type(function).__name__)), function)
    with _lock:
        _registered = (*_registered, entry)

    def remove() -> None:
        global _registered
        with _lock:
            _registered = tuple(kept for kept in _registered if kept is not entry)

    return remove


def registered() -> tuple[tuple[str, Callable[[str], str]], ...]:
    """The names and functions in force, in the order in which they came."""
    return _registered


def kind_name(name: str) -> str:
    """A name as it may stand in a replacement, inside JSON too."""
    return re.sub(r"[^\w.-]+", "_", name)[:64]
