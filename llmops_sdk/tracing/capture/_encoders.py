"""The application's own encoders: what is kept of values whose types the capture does not know."""

from __future__ import annotations

import inspect
import threading
import types
from collections.abc import Callable
from typing import Any, TypeVar, cast, overload

from llmops_sdk._util._guard import Caught, report
from llmops_sdk._util._static_reads import class_of, type_name
from llmops_sdk.tracing.records._losses import record_loss

__all__ = ["NOT_ENCODED", "encoded", "encoder_of", "is_busy", "register_encoder", "version"]

_T = TypeVar("_T")
_F = TypeVar("_F", bound=Callable[[Any], object])

NOT_ENCODED: Any = object()
"""What `encoded` gives where the encoder failed."""

# Their exact values are taken before any type is looked at.
_BUILTINS: tuple[type, ...] = (str, int, float, bool, type(None), list, tuple, dict)
_NOT_AT_ONCE = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
_UNFINISHED: tuple[type[Any], ...] = (types.CoroutineType, types.GeneratorType, types.AsyncGeneratorType)

_lock = threading.Lock()
# By the class's identity: a metaclass may have a hash of its own. The class is kept alive beside its encoder.
_registered: dict[int, tuple[type[Any], Callable[[Any], object]]] = {}
_version = 0
_inside = threading.local()


@overload
def register_encoder(cls: type[_T], function: Callable[[_T], object]) -> Callable[[_T], object]: ...


@overload
def register_encoder(cls: type[Any]) -> Callable[[_F], _F]: ...


def register_encoder(cls: type[Any], function: Callable[[Any], object] | None = None) -> Any:
    """Say what is kept of the values of a class, and of its subclasses, in arguments, results and attributes.

    The capture never runs the code of an unknown class, so that only its name is kept; this is the way to more. The
    encoder runs at the time of the call, in its thread: it has to be quick and must not change the value. What it
    returns is captured in its turn, within the same bounds. The encoder of the nearest class wins; another one for the
    same class takes its place. One that raises, or returns what is no data, is reported once and counted in the view
    `losses` as ("value", "encoder_failed"); the value is then kept as if there were no encoder.

    Args:
        cls: The class; not str, int, float, bool, None, list, tuple or dict, which are kept as they are, though a
            subclass of one may be given.
        function: Takes a value and returns what to keep of it; when left out, a decorator is returned.

    Raises:
        TypeError: `cls` is no class or one of those builtins, or the encoder cannot be called or is asynchronous.

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
        raise TypeError(f"register_encoder takes a class first, not {type(cls).__name__}")
    if any(cls is builtin for builtin in _BUILTINS):
        raise TypeError(f"values of {cls.__name__} are kept as they are: register an encoder for a subclass of it")
    if function is None:

        def decorate(encoder: Callable[[Any], object]) -> object:
            return register_encoder(cls, encoder)

        return decorate
    if not callable(function):
        raise TypeError(f"an encoder is a function of one value, not {type(function).__name__}")
    if any(is_kind(function) for is_kind in _NOT_AT_ONCE):
        raise TypeError("an encoder returns what to keep: it cannot be asynchronous or a generator")
    global _version
    with _lock:
        _registered[id(cls)] = (cls, function)
        _version += 1
    return function


def version() -> int:
    """How often one was registered: what was found out before does not hold after."""
    return _version


def is_busy() -> bool:
    """Whether an encoder is at work in this thread: what it traces in turn is kept without."""
    return getattr(_inside, "busy", False)


def encoder_of(cls: type[Any]) -> Callable[[Any], object] | None:
    """The encoder of just this class."""
    known = _registered.get(id(cls))
    return None if known is None else known[1]


def encoded(encoder: Callable[[Any], object], value: object) -> Any:
    """What the encoder says of the value; NOT_ENCODED, reported, when it fails."""
    result: object = NOT_ENCODED
    _inside.busy = True
    try:
        with Caught() as wrong:
            result = encoder(value)
    finally:
        _inside.busy = False
    if wrong.error is not None:
        # Neither its message nor its frames: they may quote the value, and this goes to the log.
        return _failed(value, f"it raised {type(wrong.error).__name__}")
    if result is NotImplemented or result is value or issubclass(class_of(result), _UNFINISHED):
        if class_of(result) is types.CoroutineType:
            cast("types.CoroutineType[Any, Any, Any]", result).close()
        what = "the value itself" if result is value else type_name(class_of(result))
        return _failed(value, f"it returned {what}")
    return result


def _failed(value: object, how: str) -> Any:
    # Imported here: the runtime stands above this module.
    record_loss("value", "encoder_failed", 1, 0)
    report(f"the encoder for {type_name(class_of(value))}", TypeError(how))
    return NOT_ENCODED
