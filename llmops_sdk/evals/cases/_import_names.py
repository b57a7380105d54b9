"""Import what a case file or a command names as "module:function"."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from llmops_sdk.errors import ConfigError

__all__ = ["import_from", "import_name", "is_import_name"]


def is_import_name(text: str) -> bool:
    """Return whether a text has the form `module:function`."""
    module, colon, path = text.partition(":")
    return bool(colon) and all(part.isidentifier() for part in [*module.split("."), *path.split(".")])


def import_name(text: str, *, key: str, source: str | None = None) -> Any:
    """Return what `module:function` names.

    Args:
        text: The name; after the colon, dots lead into classes and objects.
        key: What the name is for, in errors.
        source: The file that has it, in errors.

    Raises:
        ConfigError: It has another form, the module cannot be found, or has no such name.
        Exception: What the module raises while it is imported.
    """
    place = f"{source}: " if source else ""
    if not is_import_name(text):
        raise ConfigError(
            f'{place}{key} = "{text[:200]}" is no name: give "module:function", such as "app.answers:answer"',
            source=source,
            key=key,
            value=text,
        )
    module, _, path = text.partition(":")
    try:
        value = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise ConfigError(
            f'{place}{key} = "{text}": there is no module "{error.name}" in {", ".join(sys.path[:3])} and the rest of '
            "Python's path",
            source=source,
            key=key,
            value=text,
        ) from error
    for part in path.split("."):
        if not hasattr(value, part):
            near = difflib.get_close_matches(part, [name for name in dir(value) if not name.startswith("_")], 1)
            raise ConfigError(
                f'{place}{key} = "{text}": there is no "{part}" in it'
                + (f"; did you mean {near[0]!r}?" if near else ""),
                source=source,
                key=key,
                value=text,
                nearest=near[0] if near else None,
            )
        value = getattr(value, part)
    return value


@contextmanager
def import_from(folders: Iterable[Path]) -> Generator[None]:
    """Let imports also look in some folders, before all others.

    Args:
        folders: The folders.
    """
    added = [str(folder) for folder in dict.fromkeys(folders) if str(folder) not in sys.path]
    sys.path[:0] = added
    try:
        yield
    finally:
        for one in added:
            if one in sys.path:
                sys.path.remove(one)
