"""Which kind of value a class makes: by a table of known classes, and by what a class declares of itself."""

from __future__ import annotations

import dataclasses
import sys
import types
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from llmops_sdk._util._guard import guarded
from llmops_sdk.tracing import _kinds_standard
from llmops_sdk.tracing._statics import MISSING, class_of, lookup, module_of, read, type_name

if TYPE_CHECKING:
    from llmops_sdk.tracing._walk import Walk

__all__ = ["BRANCHES", "LEAVES", "Branch", "Leaf", "declared", "described", "learn"]

Leaf: TypeAlias = "Callable[[Walk, Any], object]"
"""Writes a value that holds no others."""
Branch: TypeAlias = "Callable[[Walk, Any, int], object]"
"""Writes a value that holds others, so many levels deep."""

# By the class's identity, for a metaclass may have a hash of its own. All of these classes live as long as the program.
LEAVES: dict[int, Leaf] = {id(cls): leaf for cls, leaf in _kinds_standard.LEAVES.items()}
BRANCHES: dict[int, Branch] = {id(cls): branch for cls, branch in _kinds_standard.BRANCHES.items()}

# What is known of libraries, and in which module of theirs a class shows that they are imported.
_LIBRARIES = {
    "PIL": "PIL.Image",
    "numpy": "numpy",
    "pandas": "pandas",
    "polars": "polars",
    "pyarrow": "pyarrow",
    "pydantic": "pydantic",
    "pydantic_core": "pydantic_core",
}
# Of these, a property of a tensor is no code of the application.
_TENSOR_LIBRARIES = frozenset({"cupy", "jax", "jaxlib", "mlx", "paddle", "tensorflow", "tinygrad", "torch"})
_TUPLE: Any = tuple
_learned: set[str] = set()
_HIDDEN = {"$hidden": True}


def learn(cls: type[Any]) -> None:
    """Put the classes of a library into the tables when `cls` is the first of them to be met; nothing is imported."""
    library = module_of(cls).partition(".")[0]
    if library not in _LIBRARIES or library in _learned:
        return
    module = sys.modules.get(_LIBRARIES[library])
    if module is None:
        return
    from llmops_sdk.tracing import _kinds_libraries

    leaves, branches = guarded("capture", _NOTHING, _kinds_libraries.of, library, module)
    LEAVES.update((id(known), leaf) for known, leaf in leaves.items())
    BRANCHES.update((id(known), branch) for known, branch in branches.items())
    _learned.add(library)


_NOTHING: tuple[Mapping[type[Any], Leaf], Mapping[type[Any], Branch]] = ({}, {})


# --- classes that declare their fields ------------------------------------------------------------------------------


def declared(cls: type[Any]) -> Branch | None:
    """How to write the values of a dataclass, a pydantic model or an attrs class; None for other classes."""
    if lookup(cls, "__pydantic_root_model__") is True:
        return _root
    models: object = lookup(cls, "__pydantic_fields__")
    if type(models) is dict:
        return _model(cast("dict[str, Any]", models), lookup(cls, "__pydantic_computed_fields__"))
    attributes: object = lookup(cls, "__attrs_attrs__")
    if isinstance(attributes, tuple):
        return _fields([(str(one.name), one.repr is not False) for one in cast("tuple[Any, ...]", attributes)])
    fields: object = lookup(cls, "__dataclass_fields__")
    if type(fields) is dict:
        # By the public function, which also knows ClassVar and InitVar, but past the class itself.
        found = dataclasses.fields(cast("Any", types.SimpleNamespace(__dataclass_fields__=fields)))
        return _fields([(one.name, one.repr) for one in found])
    return None


def _fields(named: list[tuple[str, bool]]) -> Branch:
    def write(walk: Walk, value: object, depth: int) -> object:
        pairs = [(name, read(value, name) if shown else _HIDDEN) for name, shown in named]
        there = [(name, held) for name, held in pairs if held is not MISSING]  # declared, but not set on this one
        return walk.mapping(there, len(there), depth)

    return write


def _model(fields: dict[str, Any], computed: object) -> Branch:
    named = [(name, info.repr is not False and info.exclude is not True) for name, info in fields.items()]
    # A computed field is the application's code: it is kept only where its value was cached on the model.
    cached = list(cast("dict[str, Any]", computed)) if type(computed) is dict else []

    def write(walk: Walk, value: object, depth: int) -> object:
        held = read(value, "__dict__")
        values = cast("dict[str, Any]", held) if type(held) is dict else {}
        pairs: list[tuple[object, object]] = [
            (name, values[name] if shown else _HIDDEN) for name, shown in named if name in values
        ]
        pairs += [(name, values[name]) for name in cached if name in values]
        extra: object = read(value, "__pydantic_extra__")
        if type(extra) is dict:
            pairs += cast("dict[object, object]", extra).items()
        return walk.mapping(pairs, len(pairs), depth)

    return write


def _root(walk: Walk, value: object, depth: int) -> object:
    root = read(value, "root")
    return walk.marker({"$type": type_name(class_of(value))}) if root is MISSING else walk.plain(root, depth)


# --- everything else ------------------------------------------------------------------------------------------------


def described(walk: Walk, value: object) -> dict[str, object]:
    """What is said of a value of an unknown class: the class, and what a tensor declares of itself."""
    cls = class_of(value)
    said: dict[str, object] = {"$type": type_name(cls)}
    shape, kind = _trait(value, "shape"), _trait(value, "dtype")
    if not isinstance(shape, tuple) or kind is MISSING:
        return said
    lengths: list[object] = list(_TUPLE.__iter__(shape))
    if len(lengths) > 64 or any(type(length) is not int for length in lengths):
        return said
    if type(kind) is str:
        said["dtype"] = walk.text(kind)
    elif issubclass(class_of(kind), type):
        said["dtype"] = type_name(kind)
    else:
        said["dtype"] = str(kind) if _of_tensors(class_of(kind)) else type_name(class_of(kind))
    said["shape"] = lengths
    return said


def _trait(value: object, name: str) -> Any:
    found = read(value, name)
    if found is MISSING and _of_tensors(class_of(value)):
        found = guarded("capture", MISSING, getattr, value, name, MISSING)
    return found


def _of_tensors(cls: type[Any]) -> bool:
    library = module_of(cls).partition(".")[0]
    return library in _TENSOR_LIBRARIES and library in sys.modules
