"""The arguments of a call as one JSON object, by parameter name."""

from __future__ import annotations

import inspect
import types

import orjson

from llmops_sdk.tracing.capture._bounds import DEFAULT_BOUNDS, Bounds
from llmops_sdk.tracing.capture._deferrable import WAITING_ITEMS
from llmops_sdk.tracing.capture._encode import encode, room_left

__all__ = ["Parameters"]


class Parameters:
    """The parameters of a callable, to capture its arguments by name.

    Args:
        function: A function, or anything else that can be called: its arguments then have no names.
        ignore: Names that are not kept.
    """

    __slots__ = ("_bound_forms", "_bound_names", "_forms", "_heads", "_ignore", "_names", "_varargs")

    def __init__(self, function: object, ignore: frozenset[str] = frozenset()) -> None:
        found: object = getattr(function, "__code__", None)
        code = found if isinstance(found, types.CodeType) else None
        self._names: tuple[str, ...] = code.co_varnames[: code.co_argcount] if code else ()
        self._bound_names = self._names[1:]
        index = code.co_argcount + code.co_kwonlyargcount if code and code.co_flags & inspect.CO_VARARGS else None
        self._varargs = code.co_varnames[index] if code and index is not None else "args"
        self._ignore = ignore
        known = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount] if code else ()
        self._heads = {name: b"," + orjson.dumps(name) + b":" for name in known if name not in ignore}
        if code and code.co_posonlyargcount and code.co_flags & inspect.CO_VARKEYWORDS:
            self._heads.clear()  # a keyword may have the name of a parameter too: not the fast way
        self._forms = self._forms_of(self._names)
        self._bound_forms = self._forms_of(self._bound_names)

    def _forms_of(self, names: tuple[str, ...]) -> list[bytes]:
        """The object of the first none, one, two, … parameters, with a place for each value."""
        forms = [b"{}"]
        for name in names[:WAITING_ITEMS]:
            if name not in self._heads:
                break
            start = b"{" if len(forms) == 1 else forms[-1][:-1] + b","
            forms.append(start + orjson.dumps(name).replace(b"%", b"%%") + b":%b}")
        return forms

    def encode_waiting(
        self, bound: bool, args: tuple[object, ...], kwargs: dict[str, object] | None, bounds: Bounds
    ) -> bytes:
        """As `encode`, of values that `may_wait`."""
        forms = self._bound_forms if bound else self._forms
        if kwargs or len(args) >= len(forms):
            return self.encode(bound, args, kwargs or {}, bounds)
        try:
            return forms[len(args)] % tuple(map(orjson.dumps, args))
        except TypeError:  # a lone surrogate
            return self.encode(bound, args, {}, bounds)

    def encode(
        self, bound: bool, args: tuple[object, ...], kwargs: dict[str, object], bounds: Bounds = DEFAULT_BOUNDS
    ) -> bytes:
        """The arguments of a call as a JSON object by parameter name.

        Args:
            bound: Whether the first parameter (self, cls) is bound already and not among `args`.
            args: The positional arguments.
            kwargs: The keyword arguments.
            bounds: How much is kept.
        """
        names = self._bound_names if bound else self._names
        try:
            if len(args) == 1 and names and not kwargs and names[0] in self._heads:
                name, value = names[0], args[0]
                if room_left(value, bounds.max_bytes >> 2, bounds.max_depth) >= 0:
                    return orjson.dumps(({name: value},))[1:-1]  # a slice for the sake of memory, as in `encode`
            return self._joined(names, args, kwargs, bounds)
        except (KeyError, TypeError, ValueError, RuntimeError):
            # A name that is ignored or unknown, or a value that the fast way does not take.
            values: dict[str, object] = dict(zip(names, args, strict=False))
            if len(args) > len(names):
                values[self._varargs] = args[len(names) :]
            values = {name: value for name, value in values.items() if name not in self._ignore}
            for name, value in kwargs.items():
                if name not in self._ignore:
                    # As the keyword `a` of f(a, /, **more), or `args` of f(*args, **more).
                    values[f"{name}#2" if name in values else name] = value
            return encode(values, bounds)

    def _joined(
        self, names: tuple[str, ...], args: tuple[object, ...], kwargs: dict[str, object], bounds: Bounds
    ) -> bytes:
        """The same from pieces, without building the mapping first; raises where that cannot be done."""
        if len(args) > len(names):
            raise ValueError
        heads = self._heads
        room = bounds.max_bytes >> 2
        pieces: list[bytes] = []
        named = zip(names, args) if not kwargs else (*zip(names, args), *kwargs.items())  # noqa: B905 - fewer are right
        for name, value in named:
            kind = type(value)
            if kind is not int and kind is not bool:
                room = room_left(value, room, bounds.max_depth)
                if room < 0:
                    raise ValueError
            pieces.append(heads[name])
            pieces.append(orjson.dumps(value))
        return b"{" + b"".join(pieces)[1:] + b"}"
