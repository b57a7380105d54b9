"""Hooks that run when the interpreter exits.

`llmops_sdk` imports this module, so the hooks run after those that an application registers later: `atexit` calls the
latest first. That holds even when the application's exit hook makes the first traced call.
"""

from __future__ import annotations

import atexit

TYPE_CHECKING = False  # as in `_lazy`
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["at_exit"]

_hooks: list[Callable[[], object]] = []


def at_exit(hook: Callable[[], object]) -> None:
    """Call `hook` when the interpreter exits; the latest one runs first."""
    _hooks.append(hook)


def _run() -> None:
    while _hooks:
        _hooks.pop()()


atexit.register(_run)
