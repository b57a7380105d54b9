"""Tell whether the first argument of a traced function is its receiver: the `self` or `cls` of a method.

A wrapper with its own `__get__` would know, but a plain function binds in the interpreter and costs nothing. A function
from a class body is a method unless its class holds it as a staticmethod. `Binding` looks for that class among those of
the first argument, by the function's qualified name or by the function itself.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, cast

from llmops_sdk._util._static_reads import mro_of, namespace_of

__all__ = ["Binding"]

_LOCALS = "<locals>"
_RECEIVER_NAMES = frozenset({"self", "cls"})


class Binding:
    """Decides at each call whether a function got its receiver; finds the function's class once.

    Args:
        function: The undecorated function.
    """

    __slots__ = ("_last_other", "_module", "_name", "_owner", "_owner_name", "_static")

    def __init__(self, function: Any) -> None:
        owner, _, name = function.__qualname__.rpartition(".")
        self._owner_name: str = "" if owner.endswith(_LOCALS) else owner
        self._name: str = name
        self._module: str | None = function.__module__
        self._owner: type | None = None
        self._static = False
        self._last_other: Callable[[], object] | None = None

    @classmethod
    def of(cls, function: Any) -> Binding | None:
        """Return the binding of a function that may be a method, or None."""
        code = function.__code__
        first = code.co_varnames[0] if code.co_argcount else None
        binding = cls(function)
        return binding if first is not None and (binding._owner_name or first in _RECEIVER_NAMES) else None

    def has_receiver(self, wrapper: object, args: tuple[object, ...]) -> bool:
        """Tell whether the first of `args` is the instance or the class."""
        if not args or self._static:
            return False
        first = args[0]
        cls = type(first)
        owner = self._owner
        if cls is owner:
            return True
        # Never isinstance(): it reads the value's __class__, which may be the application's code.
        return self._owned_by(wrapper, mro_of(cls)) or (
            issubclass(cls, type) and self._owned_by(wrapper, mro_of(cast("type", first)))
        )

    def _owned_by(self, wrapper: object, classes: tuple[type, ...]) -> bool:
        # Remember the class found last, and the last class that does not hold the function.
        if self._owner is not None and self._owner in classes:
            return True
        if self._last_other is not None and self._last_other() is classes[0]:
            return False
        for cls in classes:
            namespace = namespace_of(cls)
            if self._owner_name and cls.__qualname__ == self._owner_name and cls.__module__ == self._module:
                held = namespace.get(self._name) or namespace.get(f"_{cls.__name__.lstrip('_')}{self._name}")
            else:
                held = next((value for value in namespace.values() if _function_in(value) is wrapper), None)
                if held is None:
                    continue
            # Python makes `__new__` a staticmethod, but passes it the class.
            self._static = isinstance(held, staticmethod) and self._name != "__new__"
            self._owner = cls
            return not self._static
        self._last_other = weakref.ref(classes[0])
        return False


def _function_in(value: object) -> object:
    return cast("Any", value).__func__ if type(value) in {classmethod, staticmethod} else value
