"""Which kind of value a class makes: by a table of known classes, and by what a class declares of itself."""

from __future__ import annotations

import dataclasses
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

from llmops_sdk._util._guard import guarded
from llmops_sdk._util._static_reads import (
    MISSING,
    attributes_reader,
    class_attribute,
    class_of,
    module_of,
    mro_of,
    read_attribute,
    type_name,
)
from llmops_sdk.tracing.capture import _writers_standard as _kinds_standard
from llmops_sdk.tracing.capture._encoders import encoder_of, version
from llmops_sdk.tracing.capture._writer_types import Branch, Leaf, Walk

__all__ = ["BRANCHES", "LEAVES", "Plan", "plan_of"]

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
# Tensors of these may be asked for their properties.
_TENSOR_LIBRARIES = frozenset({"cupy", "jax", "jaxlib", "mlx", "paddle", "tensorflow", "tinygrad", "torch"})
_TUPLE: Any = tuple
_learned: set[str] = set()
_HIDDEN = {"$hidden": True}


class Plan(NamedTuple):
    """How the values of a class are written.

    Attributes:
        encoders: The application's, the nearest first; each is tried until one does not fail.
        leaf: Else this, for a value that holds no others, or None:
        branch: then this, for one that may.
    """

    encoders: tuple[Callable[[Any], object], ...]
    leaf: Leaf | None
    branch: Branch | None


# By the class's identity too, with the class, which a later one could take the place of otherwise.
_plans: dict[int, tuple[type[Any], int, Plan]] = {}
_MAX_PLANS = 1_024


def plan_of(cls: type[Any]) -> Plan:
    """How the values of the class are written."""
    known = _plans.get(id(cls))
    now = version()
    if known is not None and known[0] is cls and known[1] == now:
        return known[2]
    found, lasting = _found(cls)
    if lasting:
        if len(_plans) >= _MAX_PLANS:
            _plans.clear()
        _plans[id(cls)] = (cls, now, found)
    return found


def _found(cls: type[Any]) -> tuple[Plan, bool]:
    """The plan, and whether it stays: not while a library is being imported."""
    encoders: list[Callable[[Any], object]] = []
    lasting = True
    for base in mro_of(cls):
        encoder = encoder_of(base)
        # One for `object` is for what declares nothing of itself.
        if encoder is not None and (base is not object or _declared(cls) is None):
            encoders.append(encoder)
        known = id(base)
        if known not in LEAVES and known not in BRANCHES:
            lasting = _learn(base) and lasting
        if known in LEAVES or known in BRANCHES:
            return Plan(tuple(encoders), LEAVES.get(known), BRANCHES.get(known)), lasting
    branch = _declared(cls)
    return Plan(tuple(encoders), None if branch else _undeclared(cls), branch), lasting


def _learn(cls: type[Any]) -> bool:
    """Put the classes of a library into the tables when `cls` is the first of them to be met; nothing is imported.

    Returns:
        False for a class of a known library that is not there yet.
    """
    library = module_of(cls).partition(".")[0]
    if library not in _LIBRARIES or library in _learned:
        return True
    module = sys.modules.get(_LIBRARIES[library])
    # Another thread may be at the import of it.
    if module is None or getattr(module.__spec__, "_initializing", False):
        return False
    from llmops_sdk.tracing.capture import _writers_libraries as _kinds_libraries

    leaves, branches = guarded("capture", _NOTHING, _kinds_libraries.of, library, module)
    LEAVES.update((id(known), leaf) for known, leaf in leaves.items())
    BRANCHES.update((id(known), branch) for known, branch in branches.items())
    _learned.add(library)
    return True


_NOTHING: tuple[Mapping[type[Any], Leaf], Mapping[type[Any], Branch]] = ({}, {})


# --- classes that declare their fields ------------------------------------------------------------------------------


def _declared(cls: type[Any]) -> Branch | None:
    """How to write the values of a dataclass, a pydantic model or an attrs class; None for other classes."""
    if class_attribute(cls, "__pydantic_root_model__") is True:
        return _root
    models: object = class_attribute(cls, "__pydantic_fields__")
    if type(models) is dict:
        return _model(cls, cast("dict[str, Any]", models), class_attribute(cls, "__pydantic_computed_fields__"))
    attributes: object = class_attribute(cls, "__attrs_attrs__")
    if issubclass(class_of(attributes), tuple):
        return _fields(cls, [(str(one.name), one.repr is not False) for one in cast("tuple[Any, ...]", attributes)])
    fields: object = class_attribute(cls, "__dataclass_fields__")
    if type(fields) is dict:
        # By the public function, which also knows ClassVar and InitVar, but past the class itself.
        found = dataclasses.fields(cast("Any", types.SimpleNamespace(__dataclass_fields__=fields)))
        return _fields(cls, [(one.name, one.repr) for one in found])
    return None


def _fields(cls: type[Any], named: list[tuple[str, bool]]) -> Branch:
    names = [name for name, _ in named]
    hidden = {name for name, shown in named if not shown}
    read_all = attributes_reader(cls, names)

    def write(walk: Walk, value: object, depth: int) -> object:
        # What is declared may not be set on this one.
        there: list[tuple[object, object]] = [
            (name, _HIDDEN if name in hidden else held)
            for name, held in zip(names, read_all(value), strict=True)
            if held is not MISSING
        ]
        return walk.mapping(there, len(there), depth)

    return write


def _model(cls: type[Any], fields: dict[str, Any], computed: object) -> Branch:
    named = [(name, info.repr is not False and info.exclude is not True) for name, info in fields.items()]
    # A computed field is the application's code: it is kept only where its value was cached on the model.
    cached = list(cast("dict[str, Any]", computed)) if type(computed) is dict else []

    read_both = attributes_reader(cls, ("__dict__", "__pydantic_extra__"))

    def write(walk: Walk, value: object, depth: int) -> object:
        held, extra = read_both(value)
        values = cast("dict[str, Any]", held) if type(held) is dict else {}
        pairs: list[tuple[object, object]] = [
            (name, values[name] if shown else _HIDDEN) for name, shown in named if name in values
        ]
        pairs += [(name, values[name]) for name in cached if name in values]
        if type(extra) is dict:
            pairs += cast("dict[object, object]", extra).items()
        return walk.mapping(pairs, len(pairs), depth)

    return write


def _root(walk: Walk, value: object, depth: int) -> object:
    root = read_attribute(value, "root")
    return walk.marker({"$type": type_name(class_of(value))}) if root is MISSING else walk.plain(root, depth)


# --- everything else ------------------------------------------------------------------------------------------------


def _undeclared(cls: type[Any]) -> Leaf:
    """What is said of the values of an unknown class: the class, and what a tensor declares of itself."""
    name = type_name(cls)
    read_traits = attributes_reader(cls, ("shape", "dtype"))
    asked = _of_tensors(cls)

    def write(walk: Walk, value: object) -> object:
        shape, kind = read_traits(value)
        if asked:
            # A property of such a library is no code of the application.
            shape, kind = (
                guarded("capture", MISSING, getattr, value, trait, MISSING) if held is MISSING else held
                for trait, held in (("shape", shape), ("dtype", kind))
            )
        if kind is not MISSING and issubclass(class_of(shape), tuple):
            return _tensor(walk, {"$type": name}, cast("tuple[object, ...]", shape), kind)
        return walk.marker({"$type": name})

    return write


def _tensor(walk: Walk, said: dict[str, object], shape: tuple[object, ...], kind: Any) -> object:
    lengths: list[object] = list(_TUPLE.__iter__(shape))
    if len(lengths) > 64 or any(type(length) is not int for length in lengths):
        return walk.marker(said)
    if type(kind) is str:
        said["dtype"] = walk.text(kind)
    elif issubclass(class_of(kind), type):
        said["dtype"] = type_name(kind)
    else:
        said["dtype"] = str(kind) if _of_tensors(class_of(kind)) else type_name(class_of(kind))
    said["shape"] = lengths
    return walk.marker(said)


def _of_tensors(cls: type[Any]) -> bool:
    library = module_of(cls).partition(".")[0]
    return library in _TENSOR_LIBRARIES and library in sys.modules
