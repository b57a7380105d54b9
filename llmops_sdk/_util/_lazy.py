"""Import a package's public names at their first use (PEP 562)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["lazy_names"]


def lazy_names(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the `__getattr__` and the `__dir__` of a package that loads its modules late.

    Args:
        package: The package's `__name__`.
        homes: The names, separated by blanks, of each module below the package. A name `a=b` is `b` there.

    Returns:
        The two functions, to be assigned in the package.
    """
    found: dict[str, tuple[str, str]] = {}
    for module, names in homes.items():
        for name in names.split():
            public, _, own = name.partition("=")
            found[public] = (f"{package}.{module}", own or public)

    def getattr_(name: str) -> Any:
        if name not in found:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        from importlib import import_module

        module, own = found[name]
        value = getattr(import_module(module), own)
        setattr(sys.modules[package], name, value)
        return value

    def dir_() -> list[str]:
        return sorted({*vars(sys.modules[package]), *found})

    return getattr_, dir_
