"""Find out which names a function's bytecode changes in place, by following where the values on its stack come from."""

from __future__ import annotations

import dis
from types import CodeType
from typing import Any

__all__ = ["mutated_names"]

_MUTATORS = frozenset({
    "add", "append", "appendleft", "clear", "discard", "extend", "extendleft", "insert", "pop", "popitem", "popleft",
    "remove", "reverse", "setdefault", "sort", "update",
})  # fmt: skip
_OUTER = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF", "LOAD_CLASSDEREF"})
_CONSUMES = ("POP_", "STORE_", "DELETE_", "RETURN", "LIST_", "SET_", "MAP_", "DICT_", "RAISE", "RERAISE", "END_")
"""How the instructions begin that leave no result on the stack."""
_JUMPS = frozenset({*dis.hasjrel, *dis.hasjabs})
_LEAVES = ("JUMP_FORWARD", "JUMP_BACKWARD", "RETURN", "RAISE", "RERAISE")
"""How the instructions begin after which the next one is reached from elsewhere alone."""
_CHANGES = {"STORE_SUBSCR": 2, "DELETE_SUBSCR": 2, "STORE_SLICE": 3}
"""Instructions that change a container, and its place on the stack from the top."""


def mutated_names(code: CodeType) -> frozenset[str]:
    """Return the globals, outer variables and attributes whose containers a function changes in place.

    A container that comes from elsewhere, such as the result of a call or a new list, has no name. The code is read in
    its order, so a name can be missed: its container counts as a value then, and what it holds changes the digest.

    Args:
        code: The code, without the functions inside it.
    """
    found: set[str] = set()
    locals_: dict[str, str | None] = {}
    for _ in range(2):  # a loop may use a local variable before the line that names it
        _Reader(locals_, found).read(code)
    return frozenset(found)


class _Reader:
    """One pass over the instructions. An origin is the name of a global, outer variable or attribute, or None."""

    def __init__(self, locals_: dict[str, str | None], found: set[str]) -> None:
        self._locals = locals_
        self._found = found
        self._stack: list[str | None] = []

    def read(self, code: CodeType) -> None:
        at_targets: dict[int, list[str | None]] = {}
        after_jump = False
        for step in dis.get_instructions(code):
            if after_jump and step.offset in at_targets:
                self._stack = at_targets[step.offset]
            if not self._moved(step):
                self._other(step)
            if step.opcode in _JUMPS:
                at_targets.setdefault(step.argval, self._stack.copy())
            after_jump = step.opname.startswith(_LEAVES)

    def _moved(self, step: dis.Instruction) -> bool:
        """Follow an instruction that moves values; return whether it was one."""
        name = step.opname
        if name in _OUTER:
            self._grow(step)
            self._stack[-1 if name != "LOAD_GLOBAL" or not step.argrepr.endswith("NULL") else -2] = str(step.argval)
            if name == "LOAD_GLOBAL" and step.argrepr.startswith("NULL"):
                self._stack[-1], self._stack[-2] = str(step.argval), None
        elif name.startswith(("LOAD_FAST", "STORE_FAST")):
            self._local(step)
        elif name in ("LOAD_ATTR", "LOAD_METHOD"):
            self._attribute(step)
        elif name == "COPY":
            self._stack.append(self._at(step.arg or 1))
        elif name == "SWAP" and (step.arg or 0) <= len(self._stack):
            place = -(step.arg or 1)
            self._stack[-1], self._stack[place] = self._stack[place], self._stack[-1]
        elif name in ("BINARY_SUBSCR", "BINARY_OP") and (name == "BINARY_SUBSCR" or step.argrepr == "[]"):
            container = self._at(2)
            self._drop(2)
            self._stack.append(container)  # what is in a container is a part of it
        else:
            return False
        return True

    def _local(self, step: dis.Instruction) -> None:
        # Newer versions of Python join two of these instructions into one, with a tuple of names.
        joined: Any = step.argval
        names = [str(name) for name in joined] if isinstance(joined, tuple) else [str(joined)]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        kinds = [part for part in step.opname.split("_") if part in ("LOAD", "STORE")]
        for kind, name in zip(kinds, names, strict=False):
            if kind == "LOAD":
                self._stack.append(self._locals.get(name))
            else:
                origin = self._at(1)
                self._drop(1)
                self._locals[name] = origin if origin is not None else self._locals.get(name)

    def _attribute(self, step: dis.Instruction) -> None:
        name = str(step.argval)
        receiver = self._at(1)
        if name in _MUTATORS and receiver is not None:
            self._found.add(receiver)
        self._drop(1)
        before = len(self._stack)
        self._stack += [None] * (1 + _effect(step))
        if len(self._stack) > before:
            self._stack[before] = name

    def _other(self, step: dis.Instruction) -> None:
        place = _CHANGES.get(step.opname)
        if place is not None and (receiver := self._at(place)) is not None:
            self._found.add(receiver)
        self._grow(step)

    def _grow(self, step: dis.Instruction) -> None:
        effect = _effect(step)
        if effect >= 0:
            self._stack += [None] * effect
        elif step.opname.startswith(_CONSUMES):
            self._drop(-effect)
        else:
            self._drop(-effect + 1)
            self._stack.append(None)  # the result

    def _at(self, place: int) -> str | None:
        return self._stack[-place] if place <= len(self._stack) else None

    def _drop(self, count: int) -> None:
        del self._stack[max(0, len(self._stack) - count) :]


def _effect(step: dis.Instruction) -> int:
    return dis.stack_effect(step.opcode, step.arg, jump=False)
