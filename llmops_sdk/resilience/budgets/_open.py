"""Open the budgets of the settings: all deployments of a process share them."""

from __future__ import annotations

import functools
import os
import threading
from collections import OrderedDict

from llmops_sdk._util._clock import Clock
from llmops_sdk.config import BudgetSettings, Settings
from llmops_sdk.resilience.budgets._budgets import Budgets, Recorder
from llmops_sdk.resilience.budgets._spent import read_start
from llmops_sdk.shared._state import SharedState

__all__ = ["forget_open_budgets", "open_budgets"]

_MOST = 16
"""Settings whose budgets are kept; the oldest go first."""

_lock = threading.Lock()
_opened: OrderedDict[tuple[tuple[BudgetSettings, ...], int], Budgets] = OrderedDict()


def open_budgets(
    settings: Settings, state: SharedState, clock: Clock, *, record: Recorder | None = None
) -> Budgets | None:
    """Return the budgets of the settings, or None without any; the same ones for the same budgets and state.

    Args:
        settings: The settings.
        state: Where the sums are. In this process, they begin with what the local store says.
        clock: The time.
        record: Records refusals and exceeded soft budgets.
    """
    if not settings.budgets:
        return None
    key = (settings.budgets, id(state))  # `Budgets` holds the state, so that no other one gets its id
    with _lock:
        found = _opened.get(key)
        if found is None:
            start = None
            if settings.store.enabled and not state.blocking:
                start = functools.partial(read_start, settings.store.path.absolute())
            found = _opened[key] = Budgets(settings.budgets, state, clock, start=start, record=record)
            if len(_opened) > _MOST:
                _opened.popitem(last=False)
        return found


def forget_open_budgets() -> None:
    """Forget all of them: in a test, and in a forked child, whose locks may be taken for ever."""
    global _lock
    _lock = threading.Lock()
    _opened.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_open_budgets)
