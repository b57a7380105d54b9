"""The settings in force: one object per process, which `configure` replaces."""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Callable
from typing import Any

from llmops_sdk._util._guard import guarded
from llmops_sdk.config._begin_tracing import begin_tracing
from llmops_sdk.config.loading._files import ProcessEnvironment, forget_warnings
from llmops_sdk.config.loading._load import load, load_from
from llmops_sdk.config.loading._prices import warn_of_misspelt_prices
from llmops_sdk.config.loading._settings import Settings

__all__ = ["configure", "current", "reset", "subscribe", "tolerate_untrusted"]

# `_configuring` serializes calls of `configure`, so subscribers see changes in order. `_lock` is never held while
# subscribers run: one may hold a lock of its own while it subscribes or reads the settings.
_configuring = threading.RLock()
_lock = threading.Lock()
_current: Settings | None = None
_tolerates_untrusted = False
_subscribers: list[Callable[[Settings], object]] = []


def configure(config_file: str | os.PathLike[str] | None = None, **overrides: Any) -> Settings:
    """Load the configuration and put it in force. It replaces the previous call and its arguments.

    Args:
        config_file: A file to read instead of the `llmops.toml` that the search finds.
        overrides: Settings, e.g. `model="openai/gpt-4.1-mini"`, `retry={"attempts": 5}` or `retry__attempts=5`.

    Returns:
        The settings, now in force for new calls. Calls in flight finish with the old ones.

    Raises:
        ConfigError: The configuration is not valid. The previous settings stay in force.

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
    guarded("beginning to trace", None, begin_tracing)
    warn_of_misspelt_prices(settings)
    _warm_up_if_set(settings)
    return settings


def current() -> Settings:
    """Return the settings in force. The first use loads them; the object stays the same until `configure`.

    Raises:
        ConfigError: The configuration is not valid. Only the first use raises this.

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
            tolerant = _tolerates_untrusted
            _current = load_from(ProcessEnvironment.of_this_process(), None, {}, drop_untrusted=tolerant)
        settings = _current
    warn_of_misspelt_prices(settings)
    _warm_up_if_set(settings)
    return settings


def _warm_up_if_set(settings: Settings) -> None:
    if settings.providers.warm_up:
        # By name: this package is below the providers, and most programs do not need them here.
        importlib.import_module("llmops_sdk.providers._warm_up").warm_up()


def tolerate_untrusted(tolerate: bool) -> None:
    """Leave out what an untrusted file may not set when the first use loads the settings, instead of an error.

    Only for programs that send nothing. Where data lies on this machine must be trusted all the same.
    """
    global _tolerates_untrusted
    with _lock:
        _tolerates_untrusted = tolerate


def subscribe(callback: Callable[[Settings], object]) -> Callable[[], None]:
    """Call a function with the new settings after each `configure`, in the thread of that call.

    Args:
        callback: Called with the settings. Its exceptions are logged, and the settings stay in force.

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
    """Discard the settings in force, so that the next use loads them again. Subscriptions stay."""
    global _current, _tolerates_untrusted
    with _lock:
        _current = None
        _tolerates_untrusted = False
        forget_warnings()


def _after_fork() -> None:
    # A thread of the parent, which does not exist in the child, may have held them.
    global _configuring, _lock
    _configuring = threading.RLock()
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
