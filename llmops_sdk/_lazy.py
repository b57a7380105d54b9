"""Import a package's public names at their first use (PEP 562)."""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # importing `typing` costs more than the rest of the package's import
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

__all__ = ["lazy_names"]


def lazy_names(
    package: str, homes: Mapping[str, str], *, modules: str = ""
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the `__getattr__` and the `__dir__` of a package that loads its modules late.

    Args:
        package: The package's `__name__`.
        homes: The names of each module below the package, separated by spaces. `a=b` exports the module's `b` as `a`.
        modules: The public modules of the package to load in the same way, separated by spaces.

    Returns:
        The two functions, to assign in the package.
    """
    found = {module: (f"{package}.{module}", "") for module in modules.split()}
    for module, names in homes.items():
        for name in names.split():
            public, _, own = name.partition("=")
            found[public] = (f"{package}.{module}", own or public)

    def load(name: str) -> Any:
        if name not in found:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        from importlib import import_module

        module, own = found[name]
        home = import_module(module)
        value = getattr(home, own) if own else home
        setattr(sys.modules[package], name, value)
        return value

    def list_names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *found})

    return load, list_names
