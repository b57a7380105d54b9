"""Attribute values as OpenTelemetry allows them, and what is said of an exception."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any, cast

from llmops_sdk._util._guard import Caught
from llmops_sdk.tracing import _semconv
from llmops_sdk.tracing._capture import encode

if TYPE_CHECKING:
    from llmops_sdk.tracing._capture import Bounds

__all__ = ["attribute_value", "exception_attributes", "message_of", "usage_attributes"]

_SCALARS = frozenset({str, bool, int, float, bytes})
_STACK_LIMIT = 16_384
_STACK_FRAMES = 24


def attribute_value(value: object, bounds: Bounds) -> Any:
    """`value` where OpenTelemetry allows it (a snapshot of a list), else its JSON as text."""
    kind = type(value)
    if kind is str:
        text = cast("str", value)
        return text if len(text) <= bounds.max_bytes else text[: bounds.max_bytes] + "…"
    if kind in _SCALARS:
        return value
    if kind is list or kind is tuple:
        items = tuple(cast("list[object]", value)[: bounds.max_items])
        kinds = {type(item) for item in items}
        if len(kinds) <= 1 and kinds <= {str, bool, int, float}:
            return items
    return encode(value, bounds).decode()


def message_of(error: BaseException) -> str:
    """The text of an exception, as far as its own class can tell it."""
    text = ""
    with Caught() as wrong:
        text = str(error)[:2_000]
    return text if wrong.error is None else f"<str() of this {type(error).__name__} raises>"


def exception_attributes(error: BaseException, escaped: bool) -> dict[str, Any]:
    """The attributes of an `exception` event by the semantic conventions.

    Only frames are formatted, not the lines of `__notes__` or the locals; the chain of causes is kept.
    """
    cls = type(error)
    module = cls.__module__
    # The frames nearest to the error: each of a hundred nested spans describes the same exception.
    stack = "".join(traceback.format_exception(error, limit=-_STACK_FRAMES))
    return {
        "exception.type": cls.__qualname__ if module == "builtins" else f"{module}.{cls.__qualname__}",
        "exception.message": message_of(error),
        "exception.stacktrace": stack if len(stack) <= _STACK_LIMIT else "…" + stack[-_STACK_LIMIT:],
        "exception.escaped": "true" if escaped else "false",
    }


def usage_attributes(
    input_tokens: int | None,
    output_tokens: int | None,
    cost: float | None,
    model: str | None,
    cache_read_tokens: int | None,
    reasoning_tokens: int | None,
) -> dict[str, Any]:
    """What a call used, under the names of the conventions; what is None is left out."""
    named = {
        _semconv.INPUT_TOKENS: input_tokens,
        _semconv.OUTPUT_TOKENS: output_tokens,
        _semconv.COST: cost,
        _semconv.RESPONSE_MODEL: model,
        _semconv.CACHE_READ_TOKENS: cache_read_tokens,
        _semconv.REASONING_TOKENS: reasoning_tokens,
    }
    return {name: value for name, value in named.items() if value is not None}
