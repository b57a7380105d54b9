"""Set the public module of a public class."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable
from typing import TypeVar, get_type_hints

__all__ = ["public"]

_Class = TypeVar("_Class", bound=type)


def public(module: str) -> Callable[[_Class], _Class]:
    """Set the `__module__` of a class to the package that users import it from.

    Tracebacks, `repr` and pickles then name that package, so that a file can move without breaking a pickle.

    Args:
        module: The public package, as in "llmops_sdk".

    Returns:
        A decorator. It belongs above all others, `@dataclass` included.
    """

    def publish(cls: _Class) -> _Class:
        # Resolve the hints first: `get_type_hints` looks names up in `cls.__module__`. Names that only a type checker
        # imports stay text.
        own = inspect.get_annotations(cls)
        with contextlib.suppress(NameError):
            hints = get_type_hints(cls, localns={cls.__name__: cls}, include_extras=True) if own else {}
            cls.__annotations__ = {name: hints[name] for name in own}
        cls.__module__ = module
        return cls

    return publish
