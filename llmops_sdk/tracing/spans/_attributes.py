"""Attribute values as OpenTelemetry allows them, and the description of an exception."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

import orjson

from llmops_sdk._util._guard import Caught
from llmops_sdk._util._static_reads import class_of, module_of, qualname_of, type_name
from llmops_sdk.tracing.capture._encode import encode
from llmops_sdk.tracing.records._records import Json, is_json
from llmops_sdk.tracing.records._semconv import CONTENT_ATTRIBUTES

if TYPE_CHECKING:
    from llmops_sdk.tracing.capture._bounds import Bounds

__all__ = [
    "attribute_value",
    "attribute_values",
    "exception_attributes",
    "message_of",
    "status_of",
    "text_of",
]

_SCALARS = frozenset({str, bool, int, float, Json, type(None)})
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


def attribute_value(value: object, bounds: Bounds, name: str = "") -> Any:
    """Return a scalar or a list of one type of scalars (as a snapshot), and the JSON of any other value.

    Args:
        value: Any value.
        bounds: How much of it to capture.
        name: The attribute's name: `bytes` under the name of messages are their JSON.
    """
    cls = type(value)
    if cls is str:
        text = cast("str", value)
        return text if len(text) <= bounds.max_bytes else text[: bounds.max_bytes] + "…"
    if cls in _SCALARS:
        return value
    if cls is bytes and name in CONTENT_ATTRIBUTES and is_json(cast("bytes", value)):
        return Json(cast("bytes", value))
    if cls is list or cls is tuple:
        items = tuple(cast("list[object]", value)[: bounds.max_items])
        classes = {type(item) for item in items}
        if len(classes) <= 1 and classes <= {str, bool, int, float}:
            return items
    raw = encode(value, bounds)
    # A string enum, a path and numpy's scalars become plain texts, numbers and flags.
    return orjson.loads(raw) if raw[:1] in _SCALAR_STARTS else Json(raw)


def attribute_values(attributes: Mapping[str, Any] | None, bounds: Bounds) -> dict[str, Any]:
    """Return the attributes with each value as `attribute_value` gives it."""
    return {text_of(key): attribute_value(value, bounds) for key, value in (attributes or {}).items()}


def text_of(value: object) -> str:
    """Return a name or an id as text; programs also pass numbers, UUIDs and string enums."""
    cls = class_of(value)
    if cls is str:
        return cast("str", value)
    return str.__str__(cast("str", value)) if issubclass(cls, str) else str(value)


def status_of(error: BaseException) -> str:
    """Return the status of a span that ends with this exception: "error", "cancelled" or "closed"."""
    if isinstance(error, Exception):
        return "error"
    return "closed" if isinstance(error, GeneratorExit) else "cancelled"


def message_of(error: BaseException) -> str:
    """Return the text of an exception, or a placeholder if its `__str__` raises."""
    text = ""
    try:
        # Catch exits too: the application's own exception must reach its caller.
        with Caught(BaseException) as wrong:
            text = str(error)[:2_000]
        raised = wrong.error is not None
    except GeneratorExit:
        raised = True
    return f"<str() of this {qualname_of(class_of(error)).rpartition('.')[2]} raises>" if raised else text


def exception_attributes(error: BaseException, escaped: bool) -> dict[str, Any]:
    """Return the attributes of an `exception` event by the semantic conventions.

    The stack trace shows frames and the chain of causes, without `__notes__` and locals.
    """
    cls = class_of(error)
    stack = ""
    with Caught(BaseException) as wrong:
        # Only the frames nearest to the error: each of a hundred nested spans describes the same exception.
        stack = "".join(_formatted(error))
    if wrong.error is not None:  # the class overrides the chain or the notes with properties that raise
        stack = "".join(traceback.format_tb(_trace_of(error), limit=-_STACK_FRAMES)) + type_name(cls)
    return {
        "exception.type": _type_of(error),
        "exception.message": message_of(error),
        "exception.stacktrace": stack if len(stack) <= _STACK_LIMIT else "…" + stack[-_STACK_LIMIT:],
        "exception.escaped": "true" if escaped else "false",
    }


def _formatted(error: BaseException) -> list[str]:
    """Return the exception with its nearest causes: a retry loop may chain thousands."""
    links: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and len(links) < _CHAIN:
        links.append(link)
        link = _cause_of(link) or (None if _is_alone(link) else _context_of(link))
    if link is None:
        return traceback.format_exception(error, limit=-_STACK_FRAMES)
    lines: list[str] = []
    for link in reversed(links):
        # Formatted by hand: the functions of `traceback` always walk the whole chain.
        lines += [_DURING if _cause_of(link) is None else _BECAUSE, _TRACE]
        lines += [
            *traceback.format_tb(_trace_of(link), limit=-_STACK_FRAMES),
            f"{_type_of(link)}: {message_of(link)}\n",
        ]
    return lines


def _type_of(error: BaseException) -> str:
    cls = class_of(error)
    return qualname_of(cls) if module_of(cls) == "builtins" else type_name(cls)
