"""Check values and copy them as plain JSON: what is not JSON is refused, never changed silently."""

from __future__ import annotations

import datetime
import enum
import hashlib
import math
import numbers
import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, cast

import orjson

__all__ = ["MAX_ITEM_BYTES", "ValueRefusedError", "digest", "encode", "to_plain"]

MAX_ITEM_BYTES = 8 * 1024 * 1024
_MAX_DEPTH = 100
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1


class ValueRefusedError(ValueError):
    """A value is not JSON; its path leads to it."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.path: list[str] = []

    def __str__(self) -> str:
        """Return where the value is, and what is wrong with it."""
        where = ".".join(reversed(self.path))
        return f"{where}: {self.problem}" if where else self.problem


def to_plain(value: Any, depth: int = 0) -> Any:
    """Return a deep copy of a value in plain JSON types.

    Tuples become lists; times become ISO text; UUIDs become text; decimals become numbers.

    Args:
        value: The value.
        depth: How deep it lies.

    Raises:
        ValueRefusedError: It is not JSON: not a number, too large, too deep, no valid Unicode, or of another type.

    Example:
        >>> to_plain({"a": (1, 2.5, None)})
        {'a': [1, 2.5, None]}
    """
    kind = type(value)  # pyright: ignore[reportUnknownVariableType] - its type argument is any
    if kind is str:
        return value if value.isascii() else _checked_text(value)
    if value is None or kind is bool:
        return value
    if kind is int:
        return _checked_int(value)
    if kind is float:
        return _checked_float(value)
    if depth >= _MAX_DEPTH:
        raise ValueRefusedError(f"more than {_MAX_DEPTH} levels of lists and objects")
    if isinstance(value, Mapping):
        return {_key(key): _inside(str(key), item, depth) for key, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_inside(str(index), item, depth) for index, item in enumerate(cast("list[Any]", value))]
    return _converted(value)


def _inside(name: str, value: Any, depth: int) -> Any:
    try:
        return to_plain(value, depth + 1)
    except ValueRefusedError as error:
        if len(error.path) < _MAX_DEPTH:
            error.path.append(ascii(name)[1:-1][:60])
        raise


def _key(key: Any) -> str:
    if isinstance(key, str):
        return _checked_text(str.__str__(key))
    raise ValueRefusedError(f"the key {ascii(key)[:60]} is of type {type(key).__name__}: keys are text")


def _checked_text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueRefusedError(
            f"a lone surrogate at character {error.start}, which is no valid Unicode: decode the text again, or "
            "replace the character"
        ) from None
    return text


def _checked_int(value: int) -> int:
    if _SMALLEST <= value <= _LARGEST:
        return value
    raise ValueRefusedError("a whole number of more than 64 bits, which few programs read exactly: make it text")


def _checked_float(value: float) -> float:
    if math.isfinite(value):
        return value
    raise ValueRefusedError(f"{value} is not JSON: use None for a missing number")


def _converted(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return to_plain(value.value)
    if isinstance(value, str):
        return _checked_text(str.__str__(value))
    if isinstance(value, numbers.Integral):
        return _checked_int(int(value))
    if isinstance(value, numbers.Real):
        return _checked_float(float(value))
    if isinstance(value, Decimal):
        return _checked_int(int(value)) if value == value.to_integral_value() else _checked_float(float(value))
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    raise ValueRefusedError(f"a value of type {type(value).__name__} is not JSON: convert it first")


def encode(value: Any) -> bytes:
    """Return plain JSON in its canonical form: sorted keys, no spaces, UTF-8.

    Args:
        value: A value from `to_plain`.
    """
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def digest(value: Any) -> str:
    """Return the SHA-256 of the canonical form, in hex.

    Args:
        value: A value from `to_plain`.
    """
    return hashlib.sha256(encode(value)).hexdigest()
