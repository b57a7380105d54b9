"""What identifies a function whose results are cached, and which results JSON keeps unchanged."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from types import CellType, CodeType, ModuleType
from typing import Any, cast

__all__ = ["check_state", "function_identity", "is_json"]


def function_identity(target: Callable[..., Any]) -> list[Any]:
    """Return what identifies a function, its body included: one edited in a notebook keeps its name.

    Of its closure, texts and numbers count by value, other objects by type.
    """
    if isinstance(target, functools.partial):
        inner = cast("functools.partial[Any]", target)
        return [*function_identity(inner.func), inner.args, inner.keywords]
    function = inspect.unwrap(target)
    code = getattr(function, "__code__", None)
    cells = cast("tuple[CellType, ...]", getattr(function, "__closure__", None) or ())
    return [
        function.__module__,
        function.__qualname__,
        _body(code) if isinstance(code, CodeType) else None,
        [_cell(cell) for cell in cells],
    ]


def _body(code: CodeType) -> list[Any]:
    return [code.co_code.hex(), list(code.co_names), [_constant(item) for item in code.co_consts]]


def _constant(item: Any) -> Any:
    if isinstance(item, CodeType):
        return _body(item)
    # The order of a set differs from one process to the next.
    return sorted(map(repr, cast("frozenset[Any]", item))) if isinstance(item, frozenset) else repr(item)


def _cell(cell: CellType) -> Any:
    try:
        value = cell.cell_contents
    except ValueError:
        return None  # not yet assigned, as in a function that calls itself
    return [repr(value)] if type(value) in (str, int, float, bool) else type(value).__qualname__


def check_state(target: Callable[..., Any], key: Callable[..., Any] | None) -> None:
    """Refuse a callable with a state of its own, which the key would miss."""
    while isinstance(target, functools.partial):
        target = cast("functools.partial[Any]", target).func
    plain = inspect.isfunction(target) or (inspect.isbuiltin(target) and isinstance(target.__self__, ModuleType))
    if key is None and not plain:
        raise TypeError(
            f"@cache cannot tell what the results of {target!r} depend on: pass key=, a function of the arguments"
        )


def is_json(value: Any) -> bool:
    """Return whether JSON gives a value back unchanged: exact types, and finite numbers."""
    todo: list[Any] = [value]
    while todo:
        item = todo.pop()
        value_type = cast("type[Any]", type(item))
        if value_type is list:
            todo.extend(item)
        elif value_type is dict:
            if not all(type(name) is str for name in item):
                return False
            todo.extend(item.values())
        elif not (item is None or value_type in (bool, int, str) or (value_type is float and math.isfinite(item))):
            return False
    return True
