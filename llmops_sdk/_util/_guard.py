"""The telemetry guard: the one place where a broad `except` stands.

Whatever goes wrong inside the SDK's own book-keeping must not reach the application's call. It is logged once for
each place, counted, and, when the SDK's own tests run, raised again.
"""

from __future__ import annotations

import logging
import threading
import traceback
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

__all__ = ["Caught", "failures", "guarded", "raise_in_tests", "report"]

_P = ParamSpec("_P")
_T = TypeVar("_T")
_D = TypeVar("_D")

_log = logging.getLogger("llmops_sdk")
_lock = threading.Lock()
_counts: Counter[str] = Counter()
_raise = False


def raise_in_tests(on: bool) -> None:
    """Make `guarded` raise what it caught; for the SDK's own tests."""
    global _raise
    _raise = on


def failures() -> dict[str, int]:
    """How often each guarded place has failed since the process began."""
    with _lock:
        return dict(_counts)


def report(what: str, error: Exception) -> None:
    """Count a failure of the SDK's own book-keeping, and log the first of each place."""
    with _lock:
        _counts[what] += 1
        first = _counts[what] == 1
    if first:
        told, shown = type(error).__name__, None
        with Caught():  # what the application raised may stand in its chain, and not let itself be formatted
            traceback.format_exception(error)
            told, shown = f"{told}: {error}", error
        with Caught():  # and a handler of the application's may raise
            _log.warning("llmops: %s failed (%s); logged once", what, told, exc_info=shown)


def guarded(what: str, default: _D, function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T | _D:
    """Call `function`; should it raise, report that under `what` and return `default`.

    KeyboardInterrupt, SystemExit and cancellation are not caught: they belong to the application.
    """
    try:
        return function(*args, **kwargs)
    except Exception as error:
        if _raise:
            raise
        report(what, error)
        return default


class Caught:
    """Keeps what the application's own code raised inside the `with`, for a policy to decide what it means.

    Args:
        kinds: What to keep; everything else passes. GeneratorExit always passes.

    Attributes:
        error: What was raised, or None.
    """

    def __init__(self, kinds: type[BaseException] = Exception) -> None:
        self._kinds = kinds
        self.error: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        self.error = error
        return isinstance(error, self._kinds) and not isinstance(error, GeneratorExit)
