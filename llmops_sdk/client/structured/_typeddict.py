"""Make `typing.TypedDict` readable for pydantic on Python 3.11.

Before Python 3.12 a `typing.TypedDict` lacks information that pydantic needs, and pydantic rejects it. The backport in
`typing_extensions` has it, so `readable` rebuilds the class with the backport.
"""

from __future__ import annotations

import sys
import types
import typing
from typing import Any

import typing_extensions

__all__ = ["readable"]


def readable(hint: Any, within: tuple[Any, ...] = ()) -> Any:
    """Return the type with every `typing.TypedDict` in it rebuilt so that pydantic can read it.

    Raises:
        TypeError: A TypedDict contains itself.
    """
    if sys.version_info >= (3, 12):
        return hint
    if typing.is_typeddict(hint) and type(hint).__module__ == "typing":
        if hint in within:
            raise TypeError(f"{hint.__name__} contains itself: make it with typing_extensions.TypedDict")
        hints = typing_extensions.get_type_hints(hint, include_extras=True)
        fields = {name: _field(hint, name, one, (*within, hint)) for name, one in hints.items()}
        return typing_extensions.TypedDict(hint.__name__, fields)  # pyright: ignore[reportArgumentType]
    arguments = typing.get_args(hint)
    changed = tuple(readable(one, within) for one in arguments)
    if changed == arguments:
        return hint
    origin: Any = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return typing.Union[changed]  # noqa: UP007 - made at run time
    if origin is typing.Annotated:
        return typing.Annotated[(changed[0], *hint.__metadata__)]
    return origin[changed]


def _field(owner: Any, name: str, hint: Any, within: tuple[Any, ...]) -> Any:
    # On 3.11 __required_keys__ ignores annotations that are strings, so look at the wrapper first.
    marker = typing.get_origin(hint)
    if marker in (typing.Required, typing.NotRequired):
        return marker[readable(typing.get_args(hint)[0], within)]
    marker = typing.Required if name in owner.__required_keys__ else typing.NotRequired
    return marker[readable(hint, within)]
