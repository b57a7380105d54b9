"""Register and run the application's encoders for types that the capture does not know."""

from __future__ import annotations

import inspect
import threading
import types
from collections.abc import Callable
from typing import Any, TypeVar, cast, overload

from llmops_sdk._util._guard import Caught, report
from llmops_sdk._util._static_reads import class_of, type_name
from llmops_sdk.tracing.records._losses import record_loss

__all__ = ["NOT_ENCODED", "encoder_for", "is_encoding", "register_encoder", "registry_version", "run_encoder"]

_T = TypeVar("_T")
_F = TypeVar("_F", bound=Callable[[Any], object])

NOT_ENCODED: Any = object()
"""The result of `run_encoder` if the encoder failed."""

# The capture takes exact values of these before it looks for an encoder.
_PLAIN_TYPES: tuple[type, ...] = (str, int, float, bool, type(None), list, tuple, dict)
_UNSUPPORTED_FUNCTIONS = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
_UNFINISHED_RESULTS: tuple[type[Any], ...] = (types.CoroutineType, types.GeneratorType, types.AsyncGeneratorType)

_lock = threading.Lock()
# By the class's id, because a metaclass may define a hash; the entry keeps the class alive.
_registered: dict[int, tuple[type[Any], Callable[[Any], object]]] = {}
_version = 0
_thread = threading.local()


@overload
def register_encoder(cls: type[_T], function: Callable[[_T], object]) -> Callable[[_T], object]: ...


@overload
def register_encoder(cls: type[Any]) -> Callable[[_F], _F]: ...


def register_encoder(cls: type[Any], function: Callable[[Any], object] | None = None) -> Any:
    """Choose what to capture of the values of a class and its subclasses, in arguments, results and attributes.

    The capture never runs the code of an unknown class and records only its name. An encoder records more. It runs
    during the call, in the caller's thread, so it must be quick and must not change the value. The capture records its
    result within the same bounds. The encoder of the nearest class wins, and a new encoder for the same class replaces
    the old one. If an encoder raises or returns something that is not data, the capture logs that once, counts it in
    the view `losses` as ("value", "encoder_failed"), and records the value as without an encoder.

    Args:
        cls: The class. Not str, int, float, bool, None, list, tuple or dict, which are captured unchanged; their
            subclasses are allowed.
        function: Takes a value and returns what to capture of it. Without it, `register_encoder` returns a decorator.

    Raises:
        TypeError: `cls` is not a class or is one of those builtins, or the encoder is not callable or is asynchronous.

    Example:
        >>> import llmops_sdk as llmops
        >>> class Money:
        ...     def __init__(self, cents: int) -> None:
        ...         self.cents = cents
        >>> @llmops.register_encoder(Money)
        ... def encode_money(value: Money) -> object:
        ...     return {"cents": value.cents}
        >>> with llmops.span("pay", input=Money(250)) as span:
        ...     span.input
        {'cents': 250}
    """
    if not issubclass(class_of(cls), type):
        raise TypeError(f"register_encoder expects a class first, got {type(cls).__name__}")
    if any(cls is builtin for builtin in _PLAIN_TYPES):
        raise TypeError(f"values of {cls.__name__} are captured unchanged: register an encoder for a subclass instead")
    if function is None:

        def decorate(encoder: Callable[[Any], object]) -> object:
            return register_encoder(cls, encoder)

        return decorate
    if not callable(function):
        raise TypeError(f"an encoder must be a function of one value, got {type(function).__name__}")
    if any(test(function) for test in _UNSUPPORTED_FUNCTIONS):
        raise TypeError("an encoder must return what to capture: it cannot be asynchronous or a generator")
    global _version
    with _lock:
        _registered[id(cls)] = (cls, function)
        _version += 1
    return function


def registry_version() -> int:
    """Return the number of registrations, so that callers can drop what they cached before."""
    return _version


def is_encoding() -> bool:
    """Tell whether an encoder runs in this thread; values that it traces itself are captured without encoders."""
    return getattr(_thread, "busy", False)


def encoder_for(cls: type[Any]) -> Callable[[Any], object] | None:
    """Return the encoder of exactly this class, or None."""
    known = _registered.get(id(cls))
    return None if known is None else known[1]


def run_encoder(encoder: Callable[[Any], object], value: object) -> Any:
    """Return the encoder's result; if it fails, report that and return NOT_ENCODED."""
    result: object = NOT_ENCODED
    _thread.busy = True
    try:
        with Caught() as caught:
            result = encoder(value)
    finally:
        _thread.busy = False
    if caught.error is not None:
        # Log neither its message nor its frames: they may quote the value.
        return _report_failure(value, f"it raised {type(caught.error).__name__}")
    if result is NotImplemented or result is value or issubclass(class_of(result), _UNFINISHED_RESULTS):
        if class_of(result) is types.CoroutineType:
            cast("types.CoroutineType[Any, Any, Any]", result).close()
        what = "the value itself" if result is value else type_name(class_of(result))
        return _report_failure(value, f"it returned {what}")
    return result


def _report_failure(value: object, how: str) -> Any:
    record_loss("value", "encoder_failed", 1, 0)
    report(f"the encoder for {type_name(class_of(value))}", TypeError(how))
    return NOT_ENCODED
