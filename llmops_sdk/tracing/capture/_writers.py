"""Choose how to write the values of a class: by a table of known classes, or by the fields that the class declares."""

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
from llmops_sdk.tracing.capture import _writers_standard
from llmops_sdk.tracing.capture._encoders import encoder_for, registry_version
from llmops_sdk.tracing.capture._writer_types import Branch, Leaf, Walk

__all__ = ["Writer", "writer_of"]

# By the class's id, because a metaclass may define a hash. These classes live as long as the process.
_LEAVES: dict[int, Leaf] = {id(cls): leaf for cls, leaf in _writers_standard.LEAVES.items()}
_BRANCHES: dict[int, Branch] = {id(cls): branch for cls, branch in _writers_standard.BRANCHES.items()}

# The libraries with writers, and the module of each that holds the classes.
_LIBRARIES = {
    "PIL": "PIL.Image",
    "numpy": "numpy",
    "pandas": "pandas",
    "polars": "polars",
    "pyarrow": "pyarrow",
    "pydantic": "pydantic",
    "pydantic_core": "pydantic_core",
}
# Reading a property of these libraries' tensors runs no code of the application.
_TENSOR_LIBRARIES = frozenset({"cupy", "jax", "jaxlib", "mlx", "paddle", "tensorflow", "tinygrad", "torch"})
_TUPLE: Any = tuple
_added_libraries: set[str] = set()
_HIDDEN = {"$hidden": True}


class Writer(NamedTuple):
    """How to write the values of a class.

    Attributes:
        encoders: The application's encoders, nearest class first; the walk tries each until one succeeds.
        leaf: The fallback for values that hold no others, or None.
        branch: The fallback for values that hold others, or None.
    """

    encoders: tuple[Callable[[Any], object], ...]
    leaf: Leaf | None
    branch: Branch | None


# By the class's id too; the entry keeps the class alive, so that no later class can get its id.
_writers: dict[int, tuple[type[Any], int, Writer]] = {}
_MAX_WRITERS = 1_024


def writer_of(cls: type[Any]) -> Writer:
    """Return how to write the values of the class."""
    known = _writers.get(id(cls))
    current = registry_version()
    if known is not None and known[0] is cls and known[1] == current:
        return known[2]
    found, lasting = _find_writer(cls)
    if lasting:
        if len(_writers) >= _MAX_WRITERS:
            _writers.clear()
        _writers[id(cls)] = (cls, current, found)
    return found


def _find_writer(cls: type[Any]) -> tuple[Writer, bool]:
    """Find the writer; return it, and whether it is final: not while a library is being imported."""
    encoders: list[Callable[[Any], object]] = []
    lasting = True
    for base in mro_of(cls):
        encoder = encoder_for(base)
        # An encoder for `object` applies only to classes without declared fields.
        if encoder is not None and (base is not object or _declared_fields_writer(cls) is None):
            encoders.append(encoder)
        known = id(base)
        if known not in _LEAVES and known not in _BRANCHES:
            lasting = _add_library(base) and lasting
        if known in _LEAVES or known in _BRANCHES:
            return Writer(tuple(encoders), _LEAVES.get(known), _BRANCHES.get(known)), lasting
    branch = _declared_fields_writer(cls)
    return Writer(tuple(encoders), None if branch else _opaque_writer(cls), branch), lasting


def _add_library(cls: type[Any]) -> bool:
    """Add a library's classes to the tables if `cls` is the first of them; import nothing.

    Returns:
        False if the import of the library is not complete.
    """
    library = module_of(cls).partition(".")[0]
    if library not in _LIBRARIES or library in _added_libraries:
        return True
    module = sys.modules.get(_LIBRARIES[library])
    # Another thread may be importing it.
    if module is None or getattr(module.__spec__, "_initializing", False):
        return False
    from llmops_sdk.tracing.capture._writers_libraries import library_writers

    leaves, branches = guarded("capture", _NOTHING, library_writers, library, module)
    _LEAVES.update((id(known), leaf) for known, leaf in leaves.items())
    _BRANCHES.update((id(known), branch) for known, branch in branches.items())
    _added_libraries.add(library)
    return True


_NOTHING: tuple[Mapping[type[Any], Leaf], Mapping[type[Any], Branch]] = ({}, {})


# --- classes with declared fields ------------------------------------------------------------------------------


def _declared_fields_writer(cls: type[Any]) -> Branch | None:
    """Return a writer for a dataclass, a pydantic model or an attrs class; None for other classes."""
    if class_attribute(cls, "__pydantic_root_model__") is True:
        return _write_root_model
    models: object = class_attribute(cls, "__pydantic_fields__")
    if type(models) is dict:
        return _pydantic_writer(
            cls, cast("dict[str, Any]", models), class_attribute(cls, "__pydantic_computed_fields__")
        )
    attributes: object = class_attribute(cls, "__attrs_attrs__")
    if issubclass(class_of(attributes), tuple):
        return _fields_writer(
            cls, [(str(one.name), one.repr is not False) for one in cast("tuple[Any, ...]", attributes)]
        )
    fields: object = class_attribute(cls, "__dataclass_fields__")
    if type(fields) is dict:
        # Use the public function, because it skips ClassVar and InitVar; pass a stand-in instead of the class.
        found = dataclasses.fields(cast("Any", types.SimpleNamespace(__dataclass_fields__=fields)))
        return _fields_writer(cls, [(one.name, one.repr) for one in found])
    return None


def _fields_writer(cls: type[Any], named: list[tuple[str, bool]]) -> Branch:
    names = [name for name, _ in named]
    hidden = {name for name, shown in named if not shown}
    read_all = attributes_reader(cls, names)

    def write(walk: Walk, value: object, depth: int) -> object:
        # An instance may lack a declared field.
        present: list[tuple[object, object]] = [
            (name, _HIDDEN if name in hidden else held)
            for name, held in zip(names, read_all(value), strict=True)
            if held is not MISSING
        ]
        return walk.mapping(present, len(present), depth)

    return write


def _pydantic_writer(cls: type[Any], fields: dict[str, Any], computed: object) -> Branch:
    named = [(name, info.repr is not False and info.exclude is not True) for name, info in fields.items()]
    # A computed field is the application's code: read it only if the model cached its value.
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


def _write_root_model(walk: Walk, value: object, depth: int) -> object:
    root = read_attribute(value, "root")
    return walk.type_marker(value) if root is MISSING else walk.rebuild(root, depth)


# --- everything else ------------------------------------------------------------------------------------------------


def _opaque_writer(cls: type[Any]) -> Leaf:
    """Return a writer for an unknown class: it writes the type, and the shape and dtype of a tensor."""
    name = type_name(cls)
    read_traits = attributes_reader(cls, ("shape", "dtype"))
    may_get = _is_of_tensor_library(cls)

    def write(walk: Walk, value: object) -> object:
        shape, dtype = read_traits(value)
        if may_get:
            shape, dtype = (
                guarded("capture", MISSING, getattr, value, trait, MISSING) if held is MISSING else held
                for trait, held in (("shape", shape), ("dtype", dtype))
            )
        if dtype is not MISSING and issubclass(class_of(shape), tuple):
            return _write_tensor(walk, {"$type": name}, cast("tuple[object, ...]", shape), dtype)
        return walk.marker({"$type": name})

    return write


def _write_tensor(walk: Walk, marker: dict[str, object], shape: tuple[object, ...], dtype: Any) -> object:
    lengths: list[object] = list(_TUPLE.__iter__(shape))
    if len(lengths) > 64 or any(type(length) is not int for length in lengths):
        return walk.marker(marker)
    if type(dtype) is str:
        marker["dtype"] = walk.text(dtype)
    elif issubclass(class_of(dtype), type):
        marker["dtype"] = type_name(dtype)
    else:
        marker["dtype"] = str(dtype) if _is_of_tensor_library(class_of(dtype)) else type_name(class_of(dtype))
    marker["shape"] = lengths
    return walk.marker(marker)


def _is_of_tensor_library(cls: type[Any]) -> bool:
    library = module_of(cls).partition(".")[0]
    return library in _TENSOR_LIBRARIES and library in sys.modules
