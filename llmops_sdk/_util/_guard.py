"""Guard the application against failures of the SDK's own bookkeeping.

This module has the package's only broad `except`. The guard counts each failure, logs the first one of each place, and
re-raises it under the SDK's own tests.
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
    """Let `guarded` re-raise; for the SDK's own tests."""
    global _raise
    _raise = on


def failures() -> dict[str, int]:
    """Return the number of failures of each guarded place since the process began."""
    with _lock:
        return dict(_counts)


def report(what: str, error: Exception) -> None:
    """Count a failure of the SDK's own bookkeeping, and log the first of each place."""
    with _lock:
        _counts[what] += 1
        first = _counts[what] == 1
    if first:
        description, exc_info = type(error).__name__, None
        with Caught():  # an exception of the application in the chain may fail to format
            traceback.format_exception(error)
            description, exc_info = f"{description}: {error}", error
        with Caught():  # a log handler of the application may raise
            _log.warning("llmops: %s failed (%s); logged once", what, description, exc_info=exc_info)


def guarded(what: str, default: _D, function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T | _D:
    """Call `function`; if it raises, report the error under `what` and return `default`.

    KeyboardInterrupt, SystemExit and cancellation pass: they belong to the application.
    """
    try:
        return function(*args, **kwargs)
    except Exception as error:
        if _raise:
            raise
        report(what, error)
        return default


class Caught:
    """A block that catches what the application's own code raises, so that a policy can decide about it.

    Args:
        types: Which exceptions to catch. All others pass, and GeneratorExit always passes.

    Attributes:
        error: The caught exception, or None.
    """

    def __init__(self, types: type[BaseException] = Exception) -> None:
        self._types = types
        self.error: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, cls: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        self.error = error
        return isinstance(error, self._types) and not isinstance(error, GeneratorExit)
