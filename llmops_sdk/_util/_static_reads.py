"""What a class or an object holds, read past everything that the application may have overridden.

`getattr`, `isinstance` and `dataclasses.is_dataclass` may all run the application's code: a `__getattr__`, a property,
a metaclass. What stands here reads C slots only.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

__all__ = [
    "MISSING",
    "bases",
    "class_of",
    "field_reader",
    "instance_dict",
    "is_exactly",
    "lookup",
    "module_of",
    "qualname_of",
    "read",
    "type_name",
]

MISSING: Final = object()
"""In place of what is not there."""

class_of: Callable[[object], type[Any]] = type
"""The class of an object; `type` itself, which checkers follow into what they do not know."""

_SLOTS = (types.MemberDescriptorType, types.GetSetDescriptorType)
_of_type: Mapping[str, Any] = type.__dict__
_bases = _of_type["__mro__"].__get__
_namespace = _of_type["__dict__"].__get__
_module = _of_type["__module__"].__get__

qualname_of: Callable[[type[Any]], str] = _of_type["__qualname__"].__get__
"""The qualified name of a class."""


def is_exactly(value: object, *kinds: type[Any]) -> bool:
    """Whether the value is of one of these classes itself; `in` would ask a metaclass for its hash and equality."""
    cls = class_of(value)
    for kind in kinds:  # noqa: SIM110 - a generator takes twice as long
        if cls is kind:
            return True
    return False


def bases(cls: type[Any]) -> tuple[type[Any], ...]:
    """The class and its bases, in the order in which Python looks things up."""
    return _bases(cls)


def module_of(cls: type[Any]) -> str:
    """The name of the module that made the class; "" when it says nothing sensible."""
    try:
        name: object = _module(cls)
    except AttributeError:
        return ""
    return name if type(name) is str else ""


def type_name(cls: type[Any]) -> str:
    """Module and qualified name of a class."""
    return f"{module_of(cls)}.{qualname_of(cls)}"


def lookup(cls: type[Any], name: str) -> Any:
    """What stands under a name in the class or its bases, as it stands there; MISSING where nothing does."""
    for base in _bases(cls):
        namespace = _namespace(base)
        if name in namespace:
            return namespace[name]
    return MISSING


def dict_reader(cls: type[Any]) -> Callable[[object], object] | None:
    """What reads the attributes set on an object of the class; None for one that has no place for them."""
    for base in _bases(cls):
        descriptor = _namespace(base).get("__dict__")
        if is_exactly(descriptor, *_SLOTS):
            return descriptor.__get__
    return None


def instance_dict(value: object) -> dict[str, Any]:
    """The attributes set on an object itself; empty for one that has no place for them."""
    reader = dict_reader(class_of(value))
    held = None if reader is None else reader(value)
    return cast("dict[str, Any]", held) if type(held) is dict else {}


def field_reader(cls: type[Any], names: Sequence[str]) -> Callable[[object], list[Any]]:
    """What reads the named attributes of an object of the class, as `read` does one."""
    reader = dict_reader(cls)
    found = [(name, lookup(cls, name)) for name in names]
    slots = {name: held.__get__ for name, held in found if is_exactly(held, *_SLOTS)}
    plain = {name: held for name, held in found if name not in slots and not _is_descriptor(held)}

    def read_all(value: object) -> list[Any]:
        held = None if reader is None else reader(value)
        own = cast("dict[str, Any]", held) if type(held) is dict else {}
        return [
            _in_slot(slots[name], value) if name in slots else own[name] if name in own else plain.get(name, MISSING)
            for name in names
        ]

    return read_all


def _in_slot(getter: Callable[[object], object], value: object) -> object:
    try:
        return getter(value)
    except AttributeError:
        return MISSING


def _is_descriptor(found: object) -> bool:
    return found is MISSING or lookup(class_of(found), "__get__") is not MISSING


def read(value: object, name: str) -> Any:
    """An attribute that is data: in a slot, on the object, or a plain value on its class; MISSING otherwise.

    Properties and other descriptors written in Python are not run.
    """
    return field_reader(class_of(value), (name,))(value)[0]
