"""Read classes and objects without running the application's code.

`getattr`, `isinstance` and `dataclasses.is_dataclass` can run a `__getattr__`, a property or a metaclass of the
application. The functions here read C slots only.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

__all__ = [
    "MISSING",
    "attributes_reader",
    "class_attribute",
    "class_of",
    "instance_dict",
    "is_exactly",
    "module_of",
    "mro_of",
    "namespace_of",
    "qualname_of",
    "read_attribute",
    "type_name",
]

MISSING: Final = object()
"""Stands for an attribute that does not exist."""

class_of: Callable[[object], type[Any]] = type
"""The class of an object: `type`, without the types that checkers infer for its result."""

_SLOTS = (types.MemberDescriptorType, types.GetSetDescriptorType)
_of_type: Mapping[str, Any] = type.__dict__
_module = _of_type["__module__"].__get__

mro_of: Callable[[type], tuple[type[Any], ...]] = _of_type["__mro__"].__get__
"""The class and its bases in lookup order."""
namespace_of: Callable[[type], Mapping[str, Any]] = _of_type["__dict__"].__get__
"""The attributes that the class itself defines."""
qualname_of: Callable[[type], str] = _of_type["__qualname__"].__get__
"""The qualified name of the class."""


def is_exactly(value: object, *classes: type[Any]) -> bool:
    """Tell whether the value's own class is among `classes`; `in` would call a metaclass's `__eq__`."""
    cls = class_of(value)
    for one in classes:  # noqa: SIM110 - a generator takes twice as long
        if cls is one:
            return True
    return False


def module_of(cls: type[Any]) -> str:
    """Return the name of the class's module, or "" if it is not a string."""
    try:
        name: object = _module(cls)
    except AttributeError:
        return ""
    return name if type(name) is str else ""


def type_name(cls: type[Any]) -> str:
    """Return the class's name as "module.qualname"."""
    return f"{module_of(cls)}.{qualname_of(cls)}"


def class_attribute(cls: type[Any], name: str) -> Any:
    """Return the raw attribute of the class or its bases, without binding it; MISSING if there is none."""
    for base in mro_of(cls):
        namespace = namespace_of(base)
        if name in namespace:
            return namespace[name]
    return MISSING


def dict_reader(cls: type[Any]) -> Callable[[object], object] | None:
    """Return a reader of the `__dict__` of the class's instances; None if they have none."""
    for base in mro_of(cls):
        descriptor: Any = namespace_of(base).get("__dict__")
        if is_exactly(descriptor, *_SLOTS):
            return descriptor.__get__
    return None


def instance_dict(value: object) -> dict[str, Any]:
    """Return the object's `__dict__`; empty if it has none."""
    reader = dict_reader(class_of(value))
    held = None if reader is None else reader(value)
    return cast("dict[str, Any]", held) if type(held) is dict else {}


def attributes_reader(cls: type[Any], names: Sequence[str]) -> Callable[[object], list[Any]]:
    """Return a function that reads these attributes of an instance, each as `read_attribute` does."""
    reader = dict_reader(cls)
    found = [(name, class_attribute(cls, name)) for name in names]
    slots = {name: held.__get__ for name, held in found if is_exactly(held, *_SLOTS)}
    plain = {name: held for name, held in found if name not in slots and not _is_descriptor(held)}

    def read_all(value: object) -> list[Any]:
        held = None if reader is None else reader(value)
        own = cast("dict[str, Any]", held) if type(held) is dict else {}
        return [
            _read_slot(slots[name], value) if name in slots else own[name] if name in own else plain.get(name, MISSING)
            for name in names
        ]

    return read_all


def _read_slot(getter: Callable[[object], object], value: object) -> object:
    try:
        return getter(value)
    except AttributeError:
        return MISSING


def _is_descriptor(found: object) -> bool:
    return found is MISSING or class_attribute(class_of(found), "__get__") is not MISSING


def read_attribute(value: object, name: str) -> Any:
    """Return an attribute that is data: in a slot, on the object, or a plain value on its class; MISSING otherwise.

    It never runs a property or another descriptor written in Python.
    """
    return attributes_reader(class_of(value), (name,))(value)[0]
