"""Register the application's own redactors, which see every text before the SDK stores or sends it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable

__all__ = ["add_redactor", "redaction_label", "registered_redactors"]

_lock = threading.Lock()
_registered: tuple[tuple[str, Callable[[str], str]], ...] = ()


def add_redactor(function: Callable[[str], str], *, name: str | None = None) -> Callable[[], None]:
    """Register a function that redacts every text of spans and scores before the SDK stores or sends it.

    The background thread calls it with each string of arguments, results, prompts, answers, attributes, events,
    exceptions, context and scores. JSON is decoded by then, and the well-known secrets and `[redaction] patterns` are
    replaced. Each text that it changes counts in the view `losses` as ("secret", name). If it raises, the SDK drops the
    content of that span.

    Args:
        function: Takes a string and returns it, changed or unchanged.
        name: The name in `losses`; by default the function's name.

    Returns:
        A function that removes the redactor.

    Example:
        >>> import llmops_sdk as llmops
        >>> remove = llmops.add_redactor(lambda text: text.replace("Project X", "[REDACTED:project]"), name="project")
        >>> remove()
    """
    global _registered
    entry = (redaction_label(name or getattr(function, "__name__", type(function).__name__)), function)
    with _lock:
        _registered = (*_registered, entry)

    def remove() -> None:
        global _registered
        with _lock:
            _registered = tuple(one for one in _registered if one is not entry)

    return remove


def registered_redactors() -> tuple[tuple[str, Callable[[str], str]], ...]:
    """Return the names and functions of all redactors, in the order of their registration."""
    return _registered


def redaction_label(name: str) -> str:
    """Return a name that is safe inside a replacement, also in JSON."""
    return re.sub(r"[^\w.-]+", "_", name)[:64]
