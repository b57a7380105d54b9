"""Attribute values as OpenTelemetry allows them, and what is said of an exception."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

import orjson

from llmops_sdk._util._guard import Caught
from llmops_sdk._util._static_reads import class_of, module_of, qualname_of, type_name
from llmops_sdk.tracing.capture._encode import encode
from llmops_sdk.tracing.records import _semconv

if TYPE_CHECKING:
    from llmops_sdk.tracing.capture._bounds import Bounds

__all__ = [
    "attribute_value",
    "attribute_values",
    "exception_attributes",
    "message_of",
    "status_of",
    "text_of",
    "usage_attributes",
]

_SCALARS = frozenset({str, bool, int, float, bytes})
_SCALAR_STARTS = frozenset(b"%c" % byte for byte in b'"-0123456789tf')
_STACK_LIMIT = 16_384
_STACK_FRAMES = 24
_CHAIN = 16
_TRACE = "Traceback (most recent call last):\n"
_BECAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"
_DURING = "\nDuring handling of the above exception, another exception occurred:\n\n"
_cause_of: Callable[[BaseException], BaseException | None] = BaseException.__dict__["__cause__"].__get__
_context_of: Callable[[BaseException], BaseException | None] = BaseException.__dict__["__context__"].__get__
_is_alone: Callable[[BaseException], bool] = BaseException.__dict__["__suppress_context__"].__get__
_trace_of: Callable[[BaseException], TracebackType | None] = BaseException.__dict__["__traceback__"].__get__


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
    raw = encode(value, bounds)
    # A string enum, a path, numpy's numbers and flags: they stay a text, a number, a flag.
    return orjson.loads(raw) if raw[:1] in _SCALAR_STARTS else raw.decode()


def attribute_values(attributes: Mapping[str, Any] | None, bounds: Bounds) -> dict[str, Any]:
    """`attribute_value` of each."""
    return {text_of(key): attribute_value(value, bounds) for key, value in (attributes or {}).items()}


def text_of(value: object) -> str:
    """A name or an id as text: programs have them as numbers, UUIDs and string enums too."""
    kind = class_of(value)
    if kind is str:
        return cast("str", value)
    return str.__str__(cast("str", value)) if issubclass(kind, str) else str(value)


def status_of(error: BaseException) -> str:
    """The status that an exception gives its span: "error", or for those that are no failure "cancelled", "closed"."""
    if isinstance(error, Exception):
        return "error"
    return "closed" if isinstance(error, GeneratorExit) else "cancelled"


def message_of(error: BaseException) -> str:
    """The text of an exception, as far as its own class can tell it."""
    text = ""
    try:
        # Whatever it raises, an exit too: what the application raised is on its way to whoever waits for it.
        with Caught(BaseException) as wrong:
            text = str(error)[:2_000]
        raised = wrong.error is not None
    except GeneratorExit:
        raised = True
    return f"<str() of this {qualname_of(class_of(error)).rpartition('.')[2]} raises>" if raised else text


def exception_attributes(error: BaseException, escaped: bool) -> dict[str, Any]:
    """The attributes of an `exception` event by the semantic conventions.

    Only frames are formatted, not the lines of `__notes__` or the locals; the chain of causes is kept.
    """
    cls = class_of(error)
    stack = ""
    with Caught(BaseException) as wrong:
        # The frames nearest to the error: each of a hundred nested spans describes the same exception.
        stack = "".join(_formatted(error))
    if wrong.error is not None:  # its chain or its notes are properties of its class that raise
        stack = "".join(traceback.format_tb(_trace_of(error), limit=-_STACK_FRAMES)) + type_name(cls)
    return {
        "exception.type": _type_of(error),
        "exception.message": message_of(error),
        "exception.stacktrace": stack if len(stack) <= _STACK_LIMIT else "…" + stack[-_STACK_LIMIT:],
        "exception.escaped": "true" if escaped else "false",
    }


def _formatted(error: BaseException) -> list[str]:
    """The exception with what led to it, the nearest few of them: a loop that tries again may chain thousands."""
    links: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and len(links) < _CHAIN:
        links.append(link)
        link = _cause_of(link) or (None if _is_alone(link) else _context_of(link))
    if link is None:
        return traceback.format_exception(error, limit=-_STACK_FRAMES)
    told: list[str] = []
    for link in reversed(links):
        # By hand: the functions of `traceback` look at the whole chain, whatever they are asked for.
        told += [_DURING if _cause_of(link) is None else _BECAUSE, _TRACE]
        told += [*traceback.format_tb(_trace_of(link), limit=-_STACK_FRAMES), f"{_type_of(link)}: {message_of(link)}\n"]
    return told


def _type_of(error: BaseException) -> str:
    cls = class_of(error)
    return qualname_of(cls) if module_of(cls) == "builtins" else type_name(cls)


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
