"""Read from the bytecode of a function what it does to the names that it uses."""

from __future__ import annotations

import dis
import functools
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType
from typing import cast

from llmops_sdk.evals.identity._receivers import mutated_names

__all__ = ["CodeUse", "code_use", "is_library"]

_ASSIGNS = frozenset({"STORE_GLOBAL", "STORE_DEREF", "DELETE_GLOBAL", "DELETE_DEREF"})


@dataclass(frozen=True, slots=True)
class CodeUse:
    """What a function does.

    Attributes:
        body: The instructions, names and constants, as JSON: they change with each edit of the function.
        names: The globals and attributes that it names.
        assigned: The globals and outer variables that it assigns: their values are state.
        attributes: The attributes that it assigns.
        mutated: The globals, outer variables and attributes whose containers it changes in place: these are state.
        mutates: Whether the value at hand is such a container.
    """

    body: list[object]
    names: frozenset[str]
    assigned: frozenset[str]
    attributes: frozenset[str]
    mutated: frozenset[str]
    mutates: bool = False


@functools.lru_cache(maxsize=4096)
def code_use(code: CodeType) -> CodeUse:
    """Return what the code of a function does, with that of the functions inside it.

    Args:
        code: The code.
    """
    names: set[str] = set()
    assigned: set[str] = set()
    attributes: set[str] = set()
    mutated: set[str] = set()
    for inner in _with_inner(code):
        names.update(inner.co_names)
        mutated |= mutated_names(inner)
        for step in dis.get_instructions(inner):
            if step.opname in _ASSIGNS:
                assigned.add(str(step.argval))
            elif step.opname in {"STORE_ATTR", "DELETE_ATTR"}:
                attributes.add(str(step.argval))
    return CodeUse(_body(code), frozenset(names), frozenset(assigned), frozenset(attributes), frozenset(mutated))


def _with_inner(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _with_inner(constant)


def _body(code: CodeType) -> list[object]:
    return [
        code.co_code.hex(),
        list(code.co_names),
        [_constant(item) for item in code.co_consts],
        list(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]),
    ]


def _constant(item: object) -> object:
    if isinstance(item, CodeType):
        return _body(item)
    # The order of a set differs from one process to the next.
    return sorted(map(repr, cast("frozenset[object]", item))) if isinstance(item, frozenset) else repr(item)


@functools.cache
def _library_folders() -> tuple[str, ...]:
    import llmops_sdk

    paths = sysconfig.get_paths()
    own = llmops_sdk.__file__.rpartition("__init__")[0]
    return (own, *(paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib") if name in paths))


def is_library(file: str | None) -> bool:
    """Return whether a file is part of Python, of an installed package or of this SDK, and not of the application.

    Args:
        file: The file's path; None, or a name such as "<stdin>", is the application's.
    """
    return file is not None and file.startswith(_library_folders())
