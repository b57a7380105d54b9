"""The settings in force: one object for the process, replaced by `configure`."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

from llmops_sdk._util._guard import guarded
from llmops_sdk.config.loading._files import forget_warnings
from llmops_sdk.config.loading._load import load
from llmops_sdk.config.loading._settings import Settings

__all__ = ["configure", "current", "reset", "subscribe"]

# One `configure` after the other, so that subscribers are told in order. The other lock is never held while they are
# called: one of them may hold a lock of its own while it subscribes or asks for the settings.
_configuring = threading.RLock()
_lock = threading.Lock()
_current: Settings | None = None
_subscribers: list[Callable[[Settings], object]] = []


def configure(config_file: str | os.PathLike[str] | None = None, **overrides: Any) -> Settings:
    """Load the configuration and put it in force, in place of the call before and its arguments.

    Args:
        config_file: A file to read in place of the `llmops.toml` that would be found.
        overrides: Settings, as in `model="openai/gpt-4.1-mini"`, `retry={"attempts": 5}` or `retry__attempts=5`.

    Returns:
        The settings, now in force for new calls; calls in flight finish on the old ones.

    Raises:
        ConfigError: Something is wrong with it; what was in force before stays so.

    Example:
        >>> import llmops_sdk as llmops
        >>> llmops.configure(model="offline/echo", retry={"attempts": 2}).retry.attempts
        2
        >>> llmops.configure().retry.attempts
        3
    """
    global _current
    with _configuring:
        settings = load(config_file, **overrides)
        with _lock:
            _current = settings
            callbacks = tuple(_subscribers)
        for callback in callbacks:
            guarded("a subscriber to the configuration", None, callback, settings)
    return settings


def current() -> Settings:
    """The settings in force: the same object until `configure` is called; loaded at the first use.

    Raises:
        ConfigError: At the first use, when something is wrong with the configuration.

    Example:
        >>> from llmops_sdk import config
        >>> config.current() is config.current()
        True
    """
    settings = _current
    return settings if settings is not None else _first_use()


def _first_use() -> Settings:
    global _current
    with _lock:
        if _current is None:
            _current = load()
        return _current


def subscribe(callback: Callable[[Settings], object]) -> Callable[[], None]:
    """Have a function called with the new settings after each `configure`, in the thread that called it.

    Args:
        callback: Called with the settings; what it raises is logged, and the settings stay in force.

    Returns:
        A function that ends the subscription.

    Example:
        >>> from llmops_sdk import config
        >>> seen = []
        >>> unsubscribe = config.subscribe(seen.append)
        >>> settings = config.configure()
        >>> unsubscribe()
        >>> seen == [settings]
        True
    """
    with _lock:
        _subscribers.append(callback)

    def unsubscribe() -> None:
        with _lock:
            if callback in _subscribers:
                _subscribers.remove(callback)

    return unsubscribe


def reset() -> None:
    """Forget the settings in force, so that the next use loads them anew; subscriptions stay."""
    global _current
    with _lock:
        _current = None
        forget_warnings()


def _after_fork() -> None:
    # A thread of the parent may have held them; it does not exist in the child.
    global _configuring, _lock
    _configuring = threading.RLock()
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
