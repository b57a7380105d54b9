"""Mask secrets: values whose key names a secret, and credentials inside URLs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

__all__ = ["HIDDEN", "is_secret", "masked", "masked_repr"]

HIDDEN = "***"
_MAX_CHARACTERS = 200

_SECRET_WORDS = frozenset({
    "apikey", "auth", "authorization", "bearer", "cookie", "credential", "credentials", "key", "passphrase", "passwd",
    "password", "secret", "secrets", "token",
})  # fmt: skip
_HARMLESS = frozenset({"first_token"})  # our own key, a number of seconds
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
_CREDENTIALS_IN_URL = re.compile(r"(://)[^/@\s]+@")


def is_secret(path: tuple[str, ...]) -> bool:
    """Return whether the value at this path must be hidden: headers, and keys such as `api_key` or `client-secret`.

    Example:
        >>> is_secret(("export", "headers", "x-team")), is_secret(("options", "api_key")), is_secret(("retry", "base"))
        (True, True, False)
    """
    if "headers" in path[:-1]:
        return True
    # The name of a model or price is the user's choice; it says nothing about the values below it.
    names = path[2:] if path[:1] in {("models",), ("prices",)} else path
    return any(
        name not in _HARMLESS and not _SECRET_WORDS.isdisjoint(re.split(r"[^a-z0-9]+", name.lower())) for name in names
    )


def masked(path: tuple[str, ...], value: Any) -> Any:
    """Return the value with every secret in it replaced, at any depth."""
    if isinstance(value, Mapping):
        entries = cast("Mapping[object, Any]", value)
        return {key: masked((*path, str(key)), item) for key, item in entries.items()}
    if isinstance(value, list | tuple):
        items = cast("list[Any] | tuple[Any, ...]", value)
        return type(items)([masked(path, item) for item in items])
    if value is not None and not isinstance(value, bool) and is_secret(path):
        # `api_key_env` holds the name of a variable. A real key that was put there by mistake does not look like one.
        is_variable = path[-1].endswith("_env") and isinstance(value, str) and _VARIABLE.fullmatch(value)
        return value if is_variable else HIDDEN
    return _CREDENTIALS_IN_URL.sub(rf"\1{HIDDEN}@", value) if isinstance(value, str) else value


def masked_repr(path: tuple[str, ...], value: object) -> str:
    """Return the value for an error or a log: without secrets, and cut at 200 characters."""
    text = repr(str(value) if isinstance(value, Path) else masked(path, value))
    return text if len(text) <= _MAX_CHARACTERS else text[: _MAX_CHARACTERS - 1] + "…"
