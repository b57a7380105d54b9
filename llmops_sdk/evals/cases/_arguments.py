"""How a test function gets an item: its input as for a task of `evaluate`, and what else it names."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from llmops_sdk.datasets import Item
from llmops_sdk.errors import ConfigError

__all__ = ["CaseArguments"]

_EXTRAS = ("expected", "metadata", "item_id")


class CaseArguments:
    """Decides how a test function is called, from its signature and the inputs of all items.

    If every input is a mapping that has a key for a parameter, the function gets these keys as keyword arguments.
    Otherwise its first parameter gets the input. Of the other parameters, `expected`, `metadata` and `item_id` are the
    item's, and the rest are `fixtures`: pytest gives them, or the caller.

    Args:
        function: The function; `self` of a method does not count.
        items: The items.
        skip: The number of leading parameters that are already bound, 1 for a method.

    Attributes:
        fixtures: The names of the parameters without a default that the item does not have.

    Raises:
        ConfigError: The function takes nothing, or an item lacks a key that others have.
    """

    def __init__(self, function: Callable[..., Any], items: Sequence[Item], *, skip: int = 0) -> None:
        parameters = list(inspect.signature(function).parameters.values())[skip:]
        named = [one for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
        self._takes_all = any(one.kind is one.VAR_KEYWORD for one in parameters)
        if not named and not self._takes_all:
            raise ConfigError(
                "@eval_case expects a function with a parameter: it gets the item's input", key="function"
            )
        keys = [set(_mapping(one)) for one in items]
        common = set[str].intersection(*keys) if keys else set[str]()
        self._first = None if any(one.name in common for one in named) or not named else named[0].name
        names = [one.name for one in named if one.name != self._first]
        self._inputs = [] if self._first is not None else [name for name in names if any(name in one for one in keys)]
        self._extras = [name for name in names if name in _EXTRAS and name not in self._inputs]
        required = {one.name for one in named if one.default is one.empty}
        self.fixtures = [
            name for name in names if name in required and name not in self._inputs and name not in self._extras
        ]
        for item, there in zip(items, keys, strict=True):
            missing = [name for name in self._inputs if name in required and name not in there]
            if missing:
                raise ConfigError(
                    f"the input of the item {item.id!r} has no key {missing[0]!r}, which the function needs",
                    key=missing[0],
                    value=item.id,
                )

    def of(self, item: Item) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the positional and keyword arguments that an item gives.

        Args:
            item: The item.
        """
        given: dict[str, Any] = {name: getattr(item, "id" if name == "item_id" else name) for name in self._extras}
        if self._first is not None:
            return (), {self._first: item.input, **given}
        there = _mapping(item)
        if self._takes_all:
            return (), {**there, **given}
        if not self._inputs:
            return (item.input,), given
        return (), {**{name: there[name] for name in self._inputs if name in there}, **given}


def _mapping(item: Item) -> Mapping[str, Any]:
    given: Any = item.input
    return cast("Mapping[str, Any]", given) if isinstance(given, Mapping) else {}
