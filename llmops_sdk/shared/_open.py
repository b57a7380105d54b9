"""Open the state of limits and budgets: one for each server, or for this process, in a process."""

from __future__ import annotations

import os
import threading

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock, is_real_time
from llmops_sdk.config import SharedSettings
from llmops_sdk.shared._away import AwayState, ServerState
from llmops_sdk.shared._decisions import record_decision
from llmops_sdk.shared._local import LocalState
from llmops_sdk.shared._server import SharedServer
from llmops_sdk.shared._state import SharedState

__all__ = ["forget_states", "open_state"]

_lock = threading.Lock()
_states: dict[tuple[str | None, str, int | None], SharedState] = {}


def open_state(settings: SharedSettings, clock: Clock = SYSTEM_CLOCK) -> SharedState:
    """Return the state of the settings; all callers of a process get the same one.

    It connects at its first use, and replaces a server that is away.
    Configuration and decorators have clocks of their own, but on a server they are one peer.

    Args:
        settings: The server; without a URL the state is in this process.
        clock: The time.

    Raises:
        MissingDependencyError: The library for the server is not installed.
    """
    is_one_peer = settings.url is not None and is_real_time(clock)
    key = (settings.url, settings.namespace, None if is_one_peer else id(clock))
    with _lock:
        state = _states.get(key)
        if state is None:
            state = LocalState(clock) if settings.url is None else AwayState(_server(settings), clock, _record_change)
            _states[key] = state
        return state


def _record_change(decision: str) -> None:
    record_decision("shared", decision)


def forget_states() -> None:
    """Forget every state, so that the next use begins without one: in a test, and in a forked child."""
    global _lock
    _lock = threading.Lock()
    _states.clear()


def _server(settings: SharedSettings) -> ServerState:
    server = SharedServer(settings, "the shared state")
    # Imported here: each needs a library of its own.
    if settings.is_redis:
        from llmops_sdk.shared._redis_state import RedisState

        return RedisState(server)
    from llmops_sdk.shared._postgres_state import PostgresState

    return PostgresState(server)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_states)
