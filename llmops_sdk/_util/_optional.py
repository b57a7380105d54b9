"""Import optional libraries, with an error that says what to install."""

from __future__ import annotations

import importlib
from types import ModuleType

from llmops_sdk.errors import MissingDependencyError

__all__ = ["require"]


def require(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import `module`, or raise an error that names the extra to install.

    Args:
        module: The dotted name to import.
        extra: The extra of `llmops-sdk` that installs it.
        purpose: What needs it, as in "Result.df()".

    Raises:
        MissingDependencyError: The library is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] != module.split(".")[0]:
            raise
        raise MissingDependencyError(
            f'{purpose} needs the library "{module}", which is not installed: pip install "llmops-sdk[{extra}]"'
        ) from error
