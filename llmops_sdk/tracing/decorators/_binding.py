"""Whether the first argument of a traced function is the instance or the class that it was looked up on.

A wrapper that binds itself would know, but a plain function binds in the interpreter and costs nothing. A function of a
class body is a method, unless the class holds it as a staticmethod; the class is found among those of the first
argument, by the qualified name that the function got in its body, or by the function itself.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any, cast

__all__ = ["Binding"]

_LOCALS = "<locals>"
# Past whatever a metaclass says.
_mro_of: Callable[[type], tuple[type, ...]] = type.__dict__["__mro__"].__get__
_namespace_of: Callable[[type], Mapping[str, object]] = type.__dict__["__dict__"].__get__
_MAYBE = frozenset({"self", "cls"})


class Binding:
    """How a function binds; asked at each call, it looks for the function's class once.

    Args:
        function: The undecorated function.
    """

    __slots__ = ("_known", "_module", "_name", "_owner_name", "_static", "_stranger")

    def __init__(self, function: Any) -> None:
        owner, _, name = function.__qualname__.rpartition(".")
        self._owner_name: str = "" if owner.endswith(_LOCALS) else owner
        self._name: str = name
        self._module: str | None = function.__module__
        self._known: type | None = None
        self._static = False
        self._stranger: Callable[[], object] | None = None

    @classmethod
    def of(cls, function: Any) -> Binding | None:
        """The binding of a function that may be a method; None for one that is none."""
        code = function.__code__
        first = code.co_varnames[0] if code.co_argcount else None
        made = cls(function)
        return made if first is not None and (made._owner_name or first in _MAYBE) else None

    def binds(self, wrapper: object, args: tuple[object, ...]) -> bool:
        """Whether the first of `args` is the instance or the class."""
        if not args or self._static:
            return False
        first = args[0]
        kind = type(first)
        known = self._known
        if kind is known:
            return True
        # Never isinstance(): it asks the value for its __class__, which may be the application's code.
        return self._among(wrapper, _mro_of(kind)) or (
            issubclass(kind, type) and self._among(wrapper, _mro_of(cast("type", first)))
        )

    def _among(self, wrapper: object, classes: tuple[type, ...]) -> bool:
        # Where it stands in several classes, the one that was found last; and the last that was found not to hold it.
        if self._known is not None and self._known in classes:
            return True
        if self._stranger is not None and self._stranger() is classes[0]:
            return False
        for cls in classes:
            space = _namespace_of(cls)
            if self._owner_name and cls.__qualname__ == self._owner_name and cls.__module__ == self._module:
                held = space.get(self._name) or space.get(f"_{cls.__name__.lstrip('_')}{self._name}")
            else:
                held = next((value for value in space.values() if _inside(value) is wrapper), None)
                if held is None:
                    continue
            # Python makes a staticmethod of `__new__`, and gives it the class all the same.
            self._static = isinstance(held, staticmethod) and self._name != "__new__"
            self._known = cls
            return not self._static
        self._stranger = weakref.ref(classes[0])
        return False


def _inside(value: object) -> object:
    return cast("Any", value).__func__ if type(value) in {classmethod, staticmethod} else value
