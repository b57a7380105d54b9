"""Turn any value into strict JSON: the slow path, for values that the fast encoder refuses."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, cast

import orjson

from llmops_sdk.tracing.capture._encode import encode
from llmops_sdk.tracing.records._records import Json

__all__ = ["JsonSanitizer", "not_finite"]

_MAX_DEPTH = 32
_MAX_VALUES = 100_000


class JsonSanitizer:
    """Turns any value into strict JSON without running the application's code, and counts the losses.

    Lone surrogates become U+FFFD. Integers beyond 64 bits and floats that are not finite become text. Any other object
    becomes its type's name. Nesting stops at 32 levels, and a value at 100,000 parts.
    """

    def __init__(self) -> None:
        self.losses: Counter[tuple[str, str]] = Counter()
        self._left = _MAX_VALUES

    def mapping(self, value: Mapping[Any, Any]) -> dict[str, Any]:
        """Return a mapping whose keys and values are strict JSON."""
        return self._mapping(value, 0)

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        return {str(self._value(key, depth)): self._value(item, depth + 1) for key, item in value.items()}

    def _value(self, value: Any, depth: int) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, orjson.Fragment):
            return self._fragment(value)
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, int):
            return int(value) if -(2**63) <= value < 2**63 else _digits(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else not_finite(value)
        if isinstance(value, bytes):
            return orjson.Fragment(bytes(value) if type(value) is Json else encode(value))
        self._left -= 1
        if depth > _MAX_DEPTH or self._left < 0:
            self.losses["attribute", "too_deep"] += 1
            return "…"
        if type(value) is dict or type(value) is list or isinstance(value, (tuple, set, frozenset, Mapping)):
            if isinstance(value, Mapping):
                return self._mapping(cast("Mapping[Any, Any]", value), depth)
            return [self._value(item, depth + 1) for item in cast("Iterable[Any]", value)]
        self.losses["attribute", "not_json"] += 1
        return f"<{type(value).__name__}>"

    def _fragment(self, value: orjson.Fragment) -> Any:
        content = orjson.dumps(value)
        try:
            # orjson accepts surrogates in pairs.
            orjson.loads(content)
        except orjson.JSONDecodeError:
            return self._value(_load_lenient(content), 1)
        return value

    def _text(self, value: str) -> str:
        try:
            value.encode()
        except UnicodeEncodeError:
            self.losses["text", "not_unicode"] += 1
            # In UTF-16 a pair of surrogates becomes its character, and a lone one U+FFFD.
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return str.__str__(value)


def _load_lenient(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return content.decode("utf-8", "replace")


def not_finite(value: float) -> str:
    """Return NaN or an infinity as text, spelled as in the JSON mapping of Protobuf, which OTLP uses."""
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _digits(value: int) -> str:
    # Python refuses to print very long integers in decimal.
    return int.__repr__(value) if value.bit_length() < 10_000 else hex(value)
