"""`@cache`: the exact tier for any function of JSON."""

from __future__ import annotations

import functools
import inspect
import math
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import CellType, CodeType, ModuleType
from typing import Any, TypeVar, cast, overload

from llmops_sdk._util._callables import call_style_of, decorate
from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk.caching._exact import ExactCache, record_bypass
from llmops_sdk.caching._flight import FlightTimeoutError
from llmops_sdk.caching._key import digest
from llmops_sdk.config import CacheSettings, current
from llmops_sdk.errors import ConfigError

__all__ = ["cache"]

_F = TypeVar("_F", bound=Callable[..., Any])

_WAIT = 600.0
"""Seconds that a call waits for an identical one that is under way; then it is made itself."""


@overload
def cache(function: _F, /) -> _F: ...
@overload
def cache(
    *,
    ttl: float | None = 86_400.0,
    key: Callable[..., Any] | None = None,
    namespace: str = "",
    path: str | os.PathLike[str] | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Callable[[_F], _F]: ...
def cache(
    function: Any = None,
    /,
    *,
    ttl: float | None = 86_400.0,
    key: Callable[..., Any] | None = None,
    namespace: str = "",
    path: str | os.PathLike[str] | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Any:
    """Keep the results of a function on disk and serve them to calls with the same arguments; types are kept.

    Arguments and result have to be JSON: None, bool, numbers, str, and lists and dicts of these. A call with others
    is made and not stored, with the reason on the current span. Editing the function's body begins afresh; what it
    reads from elsewhere (a global, a file, an object it closes over) does not: put that into `namespace` or `key`.

    Args:
        function: A function or a coroutine function.
        ttl: Seconds that a result is valid, None for ever.
        key: Makes from the arguments what the results depend on, where that is not the arguments themselves (as on
            a method, whose `self` is not JSON).
        namespace: Results are shared only within one.
        path: The folder; by default the cache's in the configuration.
        clock: The time.

    Raises:
        TypeError: The function is a generator, or an object or bound method without `key`.
        ConfigError: `ttl` is not above zero.

    Example:
        >>> import llmops_sdk as llmops
        >>> @llmops.cache(ttl=60)
        ... def ask(question: str) -> str:
        ...     print("asked")
        ...     return question.upper()
        >>> ask("why?"), ask(question="why?")
        asked
        ('WHY?', 'WHY?')
    """
    if ttl is not None and not 0 < ttl < math.inf:
        raise ConfigError(f"@cache(ttl={ttl!r}): seconds above zero, or None for ever", key="ttl", value=ttl)

    def wrap(target: Callable[..., Any]) -> Callable[..., Any]:
        kind = call_style_of(target)
        if kind not in ("function", "coroutine"):
            raise TypeError(f"@cache takes functions and coroutine functions, and {target!r} is a generator")
        _check_state(target, key)
        store = _Store(None if path is None else Path(path), ttl, clock)
        plan = functools.partial(_plan, target, key, namespace)
        return (_function if kind == "function" else _coroutine)(target, plan, store)

    def decorator(target: Any) -> Any:
        return decorate(target, wrap)

    return decorator if function is None else decorator(function)


@dataclass(frozen=True, slots=True)
class _Result:
    """A result; None is one too."""

    value: Any


@dataclass(frozen=True, slots=True)
class _ResultPlan:
    """How results are stored and served."""

    key: str
    total: float | None = _WAIT

    def refused(self, value: _Result) -> str | None:
        return None if _is_json(value.value) else "result_not_json"

    def write(self, value: _Result) -> Any:
        return [value.value]

    def read(self, payload: Any) -> _Result | None:
        return _Result(payload[0]) if isinstance(payload, list) and len(cast("list[Any]", payload)) == 1 else None

    def saved(self, value: _Result) -> float | None:  # noqa: ARG002 - a function says nothing of its price
        return None


class _Store:
    """The cache of one function, opened at its first call: the configuration is not read at import."""

    def __init__(self, path: Path | None, ttl: float | None, clock: Clock) -> None:
        self._path, self._ttl, self._clock = path, ttl, clock
        self._lock = threading.Lock()

    @functools.cached_property
    def _opened(self) -> ExactCache:
        settings = current()
        folder = self._path or settings.cache.path or settings.store.path / "cache"
        size: int = CacheSettings().max_bytes if self._path else settings.cache.max_bytes
        return ExactCache(folder / "functions", ttl=self._ttl, max_bytes=size, clock=self._clock)

    def opened(self) -> ExactCache:
        """The cache; two threads at once get the same."""
        with self._lock:
            return self._opened


def _function(target: Callable[..., Any], plan: Callable[..., _ResultPlan | None], store: _Store) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        planned = plan(args, kwargs)
        if planned is None:
            return target(*args, **kwargs)

        def ask(_: float | None) -> _Result:
            return _Result(target(*args, **kwargs))

        try:
            return store.opened().fetch(planned, ask).value
        except FlightTimeoutError:
            return target(*args, **kwargs)

    return wrapper


def _coroutine(
    target: Callable[..., Any], plan: Callable[..., _ResultPlan | None], store: _Store
) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        planned = plan(args, kwargs)
        if planned is None:
            return await target(*args, **kwargs)

        async def ask(_: float | None) -> _Result:
            return _Result(await target(*args, **kwargs))

        try:
            return (await store.opened().afetch(planned, ask)).value
        except FlightTimeoutError:
            return await target(*args, **kwargs)

    return wrapper


def _plan(
    target: Callable[..., Any],
    key: Callable[..., Any] | None,
    namespace: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> _ResultPlan | None:
    """The plan of a call, or None, with the reason recorded, when its arguments are not JSON."""
    if key is not None:
        arguments = key(*args, **kwargs)
    else:
        bound = inspect.signature(target).bind(*args, **kwargs)
        bound.apply_defaults()
        arguments = dict(bound.arguments)
    found = digest([_identity(target), namespace, key is None, arguments])
    if found is None:
        record_bypass("arguments_not_json")
        return None
    return _ResultPlan(found)


def _identity(target: Callable[..., Any]) -> list[Any]:
    """Which function it is, its body included: one that was edited in a notebook has the same name.

    Of what it closes over, texts and numbers count by value, other objects by their type.
    """
    if isinstance(target, functools.partial):
        inner = cast("functools.partial[Any]", target)
        return [*_identity(inner.func), inner.args, inner.keywords]
    function = inspect.unwrap(target)
    code = getattr(function, "__code__", None)
    cells = cast("tuple[CellType, ...]", getattr(function, "__closure__", None) or ())
    return [
        function.__module__,
        function.__qualname__,
        _body(code) if isinstance(code, CodeType) else None,
        [_cell(cell) for cell in cells],
    ]


def _body(code: CodeType) -> list[Any]:
    return [code.co_code.hex(), list(code.co_names), [_constant(item) for item in code.co_consts]]


def _constant(item: Any) -> Any:
    if isinstance(item, CodeType):
        return _body(item)
    # The order of a set differs from one process to the next.
    return sorted(map(repr, cast("frozenset[Any]", item))) if isinstance(item, frozenset) else repr(item)


def _cell(cell: CellType) -> Any:
    try:
        value = cell.cell_contents
    except ValueError:
        return None  # not yet assigned: a function that calls itself
    return [repr(value)] if type(value) in (str, int, float, bool) else type(value).__qualname__


def _check_state(target: Callable[..., Any], key: Callable[..., Any] | None) -> None:
    """Refuse what has a state that the key does not know."""
    while isinstance(target, functools.partial):
        target = cast("functools.partial[Any]", target).func
    plain = inspect.isfunction(target) or (inspect.isbuiltin(target) and isinstance(target.__self__, ModuleType))
    if key is None and not plain:
        raise TypeError(f"@cache cannot tell what the results of {target!r} depend on: give it key=")


def _is_json(value: Any) -> bool:
    """Whether a value comes back from JSON as what it was: exact types, and finite numbers."""
    todo: list[Any] = [value]
    while todo:
        item = todo.pop()
        kind = cast("type[Any]", type(item))
        if kind is list:
            todo.extend(item)
        elif kind is dict:
            if not all(type(name) is str for name in item):
                return False
            todo.extend(item.values())
        elif not (item is None or kind in (bool, int, str) or (kind is float and math.isfinite(item))):
            return False
    return True
