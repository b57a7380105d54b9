"""`@cache`: the exact cache for functions whose arguments and results are JSON."""

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
from typing import Any, TypeAlias, TypeVar, cast, overload

from llmops_sdk._util._callables import call_style_of, decorate, policies_of
from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk._util._unchecked import watch_checks
from llmops_sdk.caching._exact import CachePolicy, ExactCache, record_bypass
from llmops_sdk.caching._flight import FlightTimeoutError
from llmops_sdk.caching._key import typed_digest
from llmops_sdk.config import CacheSettings, current
from llmops_sdk.errors import ConfigError

__all__ = ["cache"]

_F = TypeVar("_F", bound=Callable[..., Any])

_WAIT = 600.0
"""Seconds that a call waits for an identical one under way; then it is made itself."""


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

    Arguments and result must be JSON: None, bool, numbers, str, and lists and dicts of these. Arguments may also be
    tuples and enums, and values of different types are different arguments. Other calls are made and not stored; nor
    are results that passed a guard which failed (`on_error="open"`). The current span gets the reason. Editing the
    function's body invalidates its results; changing what it reads from elsewhere (a global, a file, an object in its
    closure) does not: put that into `namespace` or `key`.

    Args:
        function: A function or a coroutine function.
        ttl: Seconds that a result is valid, or None for no limit.
        key: Takes the arguments and returns what the results depend on, where the arguments themselves will not do (as
            on a method, whose `self` is not JSON).
        namespace: Only calls of the same namespace share results.
        path: The folder; by default the configured one of the cache.
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
        raise ConfigError(f"@cache(ttl={ttl!r}): give seconds above zero, or None for no limit", key="ttl", value=ttl)

    def wrap(target: Callable[..., Any]) -> Callable[..., Any]:
        style = call_style_of(target)
        if style not in ("function", "coroutine"):
            raise TypeError(f"@cache takes functions and coroutine functions; {target!r} is a generator")
        _check_state(target, key)
        opened = _LazyCache(None if path is None else Path(path), ttl, clock)
        policy = functools.partial(_policy, target, key, namespace)
        return (_function if style == "function" else _coroutine)(target, policy, opened)

    return functools.partial(decorate, wrap=wrap) if function is None else decorate(function, wrap)


@dataclass(frozen=True, slots=True)
class _Result:
    value: Any
    unchecked: bool = False
    """Whether a guard that failed let it pass: a guard that works again must see it."""


def _refused(result: _Result) -> str | None:
    if result.unchecked:
        return "unchecked"
    return None if _is_json(result.value) else "result_not_json"


def _write(result: _Result) -> list[Any]:
    return [result.value]  # in a list, so that None is a result too


def _read(payload: Any) -> _Result | None:
    if not isinstance(payload, list):
        return None
    items = cast("list[Any]", payload)
    return _Result(items[0]) if len(items) == 1 else None


class _LazyCache:
    """The cache of one function, opened at its first call: importing the function must not read the configuration."""

    def __init__(self, path: Path | None, ttl: float | None, clock: Clock) -> None:
        self._path, self._ttl, self._clock = path, ttl, clock
        self._lock = threading.Lock()

    @functools.cached_property
    def _opened(self) -> ExactCache:
        settings = current()
        folder = self._path or settings.cache.path or settings.store.path / "cache"
        size: int = CacheSettings().max_bytes if self._path else settings.cache.max_bytes
        return ExactCache(folder / "functions", ttl=self._ttl, max_bytes=size, clock=self._clock)

    def __call__(self) -> ExactCache:
        with self._lock:  # two threads must get the same cache
            return self._opened


_PolicyOf: TypeAlias = Callable[..., CachePolicy[_Result] | None]


def _function(target: Callable[..., Any], policy_of: _PolicyOf, opened: _LazyCache) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        policy = policy_of(args, kwargs)
        if policy is None:
            return target(*args, **kwargs)

        def ask(_: float | None) -> _Result:
            with watch_checks() as note:
                value = target(*args, **kwargs)
            return _Result(value, note.unchecked)

        try:
            return opened().fetch(policy, ask).value
        except FlightTimeoutError:
            return target(*args, **kwargs)

    return wrapper


def _coroutine(target: Callable[..., Any], policy_of: _PolicyOf, opened: _LazyCache) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        policy = policy_of(args, kwargs)
        if policy is None:
            return await target(*args, **kwargs)

        async def ask(_: float | None) -> _Result:
            with watch_checks() as note:
                value = await target(*args, **kwargs)
            return _Result(value, note.unchecked)

        try:
            return (await opened().afetch(policy, ask)).value
        except FlightTimeoutError:
            return await target(*args, **kwargs)

    return wrapper


def _policy(
    target: Callable[..., Any],
    key: Callable[..., Any] | None,
    namespace: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> CachePolicy[_Result] | None:
    """Return the policy of a call; None, with the reason recorded, when its arguments are not JSON."""
    if key is not None:
        arguments = key(*args, **kwargs)
    else:
        bound = inspect.signature(target).bind(*args, **kwargs)
        bound.apply_defaults()
        arguments = dict(bound.arguments)
    found = typed_digest([_identity(target), *policies_of(target), namespace, key is None, arguments])
    if found is None:
        record_bypass("arguments_not_json")
        return None
    return CachePolicy(found, _WAIT, _refused, _write, _read, lambda _: None)


def _identity(target: Callable[..., Any]) -> list[Any]:
    """Return what identifies a function, its body included: one edited in a notebook keeps its name.

    Of its closure, texts and numbers count by value, other objects by type.
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
        return None  # not yet assigned, as in a function that calls itself
    return [repr(value)] if type(value) in (str, int, float, bool) else type(value).__qualname__


def _check_state(target: Callable[..., Any], key: Callable[..., Any] | None) -> None:
    """Refuse a callable with a state of its own, which the key would miss."""
    while isinstance(target, functools.partial):
        target = cast("functools.partial[Any]", target).func
    plain = inspect.isfunction(target) or (inspect.isbuiltin(target) and isinstance(target.__self__, ModuleType))
    if key is None and not plain:
        raise TypeError(
            f"@cache cannot tell what the results of {target!r} depend on: pass key=, a function of the arguments"
        )


def _is_json(value: Any) -> bool:
    """Return whether JSON gives a value back unchanged: exact types, and finite numbers."""
    todo: list[Any] = [value]
    while todo:
        item = todo.pop()
        value_type = cast("type[Any]", type(item))
        if value_type is list:
            todo.extend(item)
        elif value_type is dict:
            if not all(type(name) is str for name in item):
                return False
            todo.extend(item.values())
        elif not (item is None or value_type in (bool, int, str) or (value_type is float and math.isfinite(item))):
            return False
    return True
