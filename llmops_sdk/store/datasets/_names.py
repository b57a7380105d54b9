"""Names of data sets and of their versions, which are also names of folders and files."""

from __future__ import annotations

import re

from llmops_sdk.errors import DatasetError

__all__ = ["VERSION", "check_name", "is_name"]

VERSION = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def is_name(name: str) -> bool:
    """Return whether a data set may have this name: it leads nowhere else, and every file system has it."""
    return _NAME.fullmatch(name) is not None


def check_name(name: object) -> str:
    """Return the name of a data set.

    Args:
        name: The name.

    Raises:
        DatasetError: It is not a possible name.

    Example:
        >>> check_name("support-2026.11")
        'support-2026.11'
    """
    if isinstance(name, str) and is_name(name):
        return name
    raise DatasetError(
        f"{ascii(name)[:120]} is not a name of a data set: use 1 to 100 ASCII letters, digits, dots, dashes and "
        "underscores, beginning with a letter or a digit",
        name=name if isinstance(name, str) else None,
    )
