"""How a task gets the input of an item."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, cast

__all__ = ["TaskArguments"]

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class TaskArguments:
    """Decides how a task is called, from its signature.

    The rule: if the input is a mapping, and each parameter without a default has the name of a key, the task gets these
    keys as keyword arguments, and of the others those that it has a parameter for (all, with `**kwargs`). Otherwise the
    task gets the input as its one argument.

    Args:
        task: The task.
    """

    def __init__(self, task: Callable[..., Any]) -> None:
        self._names: frozenset[str] = frozenset()
        self._required: frozenset[str] = frozenset()
        self._takes_all = False
        try:
            parameters = inspect.signature(task).parameters.values()
        except (TypeError, ValueError):
            return  # some builtins have none
        if any(one.kind is inspect.Parameter.POSITIONAL_ONLY and one.default is one.empty for one in parameters):
            return
        named = [one for one in parameters if one.kind in _POSITIONAL[1:] or one.kind is one.KEYWORD_ONLY]
        self._names = frozenset(one.name for one in named)
        self._required = frozenset(one.name for one in named if one.default is one.empty)
        self._takes_all = any(one.kind is one.VAR_KEYWORD for one in parameters)

    def of(self, value: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the positional and the keyword arguments for an input.

        Args:
            value: The item's input.
        """
        given: Mapping[str, Any] = cast("Any", value) if isinstance(value, Mapping) else {}
        if not self._required or not self._required <= given.keys():
            return (cast("Any", value),), {}
        return (), {name: given[name] for name in given if self._takes_all or name in self._names}
