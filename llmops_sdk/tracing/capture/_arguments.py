"""Encode the arguments of a call as a JSON object by parameter name."""

from __future__ import annotations

import inspect
import types

import orjson

from llmops_sdk.tracing.capture._bounds import DEFAULT_BOUNDS, Bounds
from llmops_sdk.tracing.capture._deferrable import MAX_DEFERRED_VALUES
from llmops_sdk.tracing.capture._encode import encode, room_left

__all__ = ["Parameters"]


class Parameters:
    """The parameters of a callable, to capture its arguments by name.

    Args:
        function: A function, or another callable, whose arguments then have no names.
        ignore: Parameter names to leave out.
    """

    __slots__ = ("_bound_names", "_bound_templates", "_ignore", "_keys", "_names", "_templates", "_varargs")

    def __init__(self, function: object, ignore: frozenset[str] = frozenset()) -> None:
        found: object = getattr(function, "__code__", None)
        code = found if isinstance(found, types.CodeType) else None
        self._names: tuple[str, ...] = code.co_varnames[: code.co_argcount] if code else ()
        self._bound_names = self._names[1:]
        index = code.co_argcount + code.co_kwonlyargcount if code and code.co_flags & inspect.CO_VARARGS else None
        self._varargs = code.co_varnames[index] if code and index is not None else "args"
        self._ignore = ignore
        known = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount] if code else ()
        self._keys = {name: b"," + orjson.dumps(name) + b":" for name in known if name not in ignore}
        if code and code.co_posonlyargcount and code.co_flags & inspect.CO_VARKEYWORDS:
            self._keys.clear()  # a keyword may have the name of a parameter too, so use the slow way
        self._templates = self._templates_of(self._names)
        self._bound_templates = self._templates_of(self._bound_names)

    def _templates_of(self, names: tuple[str, ...]) -> list[bytes]:
        """Return the JSON templates for zero, one, two, … arguments, with a placeholder for each value."""
        templates = [b"{}"]
        for name in names[:MAX_DEFERRED_VALUES]:
            if name not in self._keys:
                break
            start = b"{" if len(templates) == 1 else templates[-1][:-1] + b","
            templates.append(start + orjson.dumps(name).replace(b"%", b"%%") + b":%b}")
        return templates

    def encode_deferred(
        self, bound: bool, args: tuple[object, ...], kwargs: dict[str, object] | None, bounds: Bounds
    ) -> bytes:
        """Encode as `encode` does, for values that `can_defer`."""
        templates = self._bound_templates if bound else self._templates
        if kwargs or len(args) >= len(templates):
            return self.encode(bound, args, kwargs or {}, bounds)
        try:
            return templates[len(args)] % tuple(map(orjson.dumps, args))
        except TypeError:  # a lone surrogate
            return self.encode(bound, args, {}, bounds)

    def encode(
        self, bound: bool, args: tuple[object, ...], kwargs: dict[str, object], bounds: Bounds = DEFAULT_BOUNDS
    ) -> bytes:
        """Encode the arguments of a call as a JSON object by parameter name.

        Args:
            bound: Whether the receiver (self, cls) is bound already and not among `args`.
            args: The positional arguments.
            kwargs: The keyword arguments.
            bounds: How much to capture.
        """
        names = self._bound_names if bound else self._names
        try:
            if len(args) == 1 and names and not kwargs and names[0] in self._keys:
                name, value = names[0], args[0]
                if room_left(value, bounds.max_bytes >> 2, bounds.max_depth) >= 0:
                    return orjson.dumps(({name: value},))[1:-1]  # a slice to save memory, as in `encode`
            return self._encode_pieces(names, args, kwargs, bounds)
        except (KeyError, TypeError, ValueError, RuntimeError):
            # An ignored or unknown name, or a value that is not made of exact builtins.
            values: dict[str, object] = dict(zip(names, args, strict=False))
            if len(args) > len(names):
                values[self._varargs] = args[len(names) :]
            values = {name: value for name, value in values.items() if name not in self._ignore}
            for name, value in kwargs.items():
                if name not in self._ignore:
                    # A doubled name: the keyword `a` of f(a, /, **more), or `args` of f(*args, **more).
                    values[f"{name}#2" if name in values else name] = value
            return encode(values, bounds)

    def _encode_pieces(
        self, names: tuple[str, ...], args: tuple[object, ...], kwargs: dict[str, object], bounds: Bounds
    ) -> bytes:
        """Join the encoded arguments without building a mapping first; raise if that is not possible."""
        if len(args) > len(names):
            raise ValueError
        keys = self._keys
        room = bounds.max_bytes >> 2
        pieces: list[bytes] = []
        named = zip(names, args) if not kwargs else (*zip(names, args), *kwargs.items())  # noqa: B905 - fewer are right
        for name, value in named:
            cls = type(value)
            if cls is not int and cls is not bool:
                room = room_left(value, room, bounds.max_depth)
                if room < 0:
                    raise ValueError
            pieces.append(keys[name])
            pieces.append(orjson.dumps(value))
        return b"{" + b"".join(pieces)[1:] + b"}"
