"""State by name that a whole process shares, bounded and forgotten in a forked child."""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["NamedStates", "forget_named_states"]

_T = TypeVar("_T")

_MOST = 1_024

_forget_each: list[weakref.WeakMethod[Callable[[], None]]] = []


class NamedStates(Generic[_T]):
    """States by name, at most 1,024; then the least recently used one is forgotten.

    Example:
        >>> from llmops_sdk.resilience._named_states import NamedStates
        >>> states: NamedStates[list[int]] = NamedStates()
        >>> states.get("east", list).append(1)
        >>> states.get("east", list)
        [1]
    """

    def __init__(self) -> None:
        self.forget()
        _forget_each.append(weakref.WeakMethod(self.forget))

    def get(self, name: Hashable, make: Callable[[], _T]) -> _T:
        """Return the state of a name; make a missing one."""
        with self._lock:
            if name not in self._states:
                self._states[name] = make()
            self._states.move_to_end(name)
            if len(self._states) > _MOST:
                self._states.popitem(last=False)
            return self._states[name]

    def forget(self) -> None:
        """Forget every state. In a forked child a thread of the parent may have held the lock, so make a new one."""
        self._lock = threading.Lock()
        self._states: OrderedDict[Hashable, _T] = OrderedDict()


def forget_named_states() -> None:
    """Forget the states of every kind: in a test, and in a forked child."""
    for known in _forget_each:
        forget = known()
        if forget is not None:
            forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_named_states)
