"""`@cache`: the exact cache for functions whose arguments and results are JSON."""

from __future__ import annotations

import functools
import inspect
import math
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar, cast, overload

from llmops_sdk._util._callables import call_style_of, decorate, policies_of
from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk._util._guard import guarded
from llmops_sdk._util._unchecked import watch_checks
from llmops_sdk.caching._function_identity import check_state, function_identity, is_json
from llmops_sdk.caching.backends._open import open_store
from llmops_sdk.caching.exact._exact import ExactCache
from llmops_sdk.caching.exact._flight import FlightTimeoutError
from llmops_sdk.caching.exact._key import typed_digest
from llmops_sdk.caching.exact._lookup import CachePolicy, ValueRules, record_bypass
from llmops_sdk.config import CacheSettings, current
from llmops_sdk.errors import ConfigError

if TYPE_CHECKING:
    from llmops_sdk.caching.semantic._cache import SemanticCache
    from llmops_sdk.caching.semantic._function import SemanticFunction

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
    tags: Sequence[str] | Callable[..., Sequence[str]] = (),
    stale_while_revalidate: float | None = None,
    admit: Callable[[Any], bool] | None = None,
    semantic: SemanticCache | str | None = None,
    text: str | None = None,
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
    tags: Sequence[str] | Callable[..., Sequence[str]] = (),
    stale_while_revalidate: float | None = None,
    admit: Callable[[Any], bool] | None = None,
    semantic: SemanticCache | str | None = None,
    text: str | None = None,
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
        tags: Tags of the results, for `llmops_sdk.caching.invalidate(tag=...)`: at most 16 texts, or a function of the
            arguments that returns them.
        stale_while_revalidate: Seconds after `ttl` in which a result is still returned while the function runs again
            in the background (a coroutine function as a task of the caller's event loop).
        admit: Takes a new result and returns whether to store it.
        semantic: A `SemanticCache`, or "serve" for the configured one: a call whose text asks for the same as an
            earlier one gets its result, if all other arguments are equal.
        text: The name of the argument that is the text; by default the first.
        path: The folder; by default the server of `[shared]`, if set, else the configured folder of the cache.
        clock: The time.

    Raises:
        TypeError: The function is a generator, or an object or bound method without `key`.
        ConfigError: `ttl` or `stale_while_revalidate` is not above zero, or a tag is empty or too long.

    The decorated function has `cache_invalidate`: called with the same arguments as the function, it removes their
    result and returns whether there was one. On a method, pass the object first.

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
    wrap = _wrapper(ttl, stale_while_revalidate, key, namespace, tags, admit, path, clock, _Semantic(semantic, text))
    return functools.partial(decorate, wrap=wrap) if function is None else decorate(function, wrap)


def _wrapper(
    ttl: float | None,
    stale_ttl: float | None,
    key: Callable[..., Any] | None,
    namespace: str,
    tags: Sequence[str] | Callable[..., Sequence[str]],
    admit: Callable[[Any], bool] | None,
    path: str | os.PathLike[str] | None,
    clock: Clock,
    semantic: _Semantic,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return what wraps a function; check the arguments of the decorator."""
    chosen = semantic.cache
    if chosen is not None and chosen != "serve" and not hasattr(chosen, "aget"):
        raise ConfigError(f'@cache(semantic={chosen!r}): use "serve" or a SemanticCache', key="semantic")
    for name, seconds in (("ttl", ttl), ("stale_while_revalidate", stale_ttl)):
        if seconds is not None and not 0 < seconds < math.inf:
            raise ConfigError(f"@cache({name}={seconds!r}): give seconds above zero, or None", key=name, value=seconds)
    fixed = tags if callable(tags) else _checked_tags(tags)
    rules = _RULES if admit is None else replace(_RULES, refused=functools.partial(_refused, admit=admit))

    def wrap(target: Callable[..., Any]) -> Callable[..., Any]:
        style = call_style_of(target)
        if style not in ("function", "coroutine"):
            raise TypeError(f"@cache takes functions and coroutine functions; {target!r} is a generator")
        check_state(target, key)
        opened = _LazyCache(None if path is None else Path(path), ttl, stale_ttl or 0.0, clock)
        policy = functools.partial(_policy, _Call(target, key, namespace, fixed, rules))
        below = semantic.function(_Call(target, key, namespace, fixed, rules), opened, ttl)
        wrapped: Any = (_function if style == "function" else _coroutine)(target, policy, opened, below)
        wrapped.cache_invalidate = functools.partial(_invalidate, policy, opened, below)
        return wrapped

    return wrap


def _checked_tags(tags: Sequence[str]) -> tuple[str, ...]:
    if isinstance(tags, str):
        raise TypeError(f"@cache(tags={tags!r}): give a list of tags, or a function of the arguments")
    return CacheSettings(tags=tuple(tags)).tags


@dataclass(frozen=True, slots=True)
class _Result:
    value: Any
    unchecked: bool = False
    """Whether a guard that failed let it pass: a guard that works again must see it."""
    semantic: bool = False
    """Whether it is the result of another call, which must neither spread nor live longer."""


def _refused(result: _Result, admit: Callable[[Any], bool] | None = None) -> str | None:
    if result.unchecked:
        return "unchecked"
    if result.semantic:
        return "semantic"
    if not is_json(result.value):
        return "result_not_json"
    return None if admit is None or guarded("cache admission", False, admit, result.value) else "admit"


def _write(result: _Result) -> list[Any]:
    return [result.value]  # in a list, so that None is a result too


def _read(payload: Any) -> _Result | None:
    if not isinstance(payload, list):
        return None
    items = cast("list[Any]", payload)
    return _Result(items[0]) if len(items) == 1 else None


_RULES: ValueRules[_Result] = ValueRules(_refused, _write, _read, lambda _: None, lambda _: None)


class _Semantic(NamedTuple):
    """What a decorator says of the semantic tier."""

    cache: SemanticCache | str | None
    text: str | None

    def function(self, call: _Call, opened: _LazyCache, ttl: float | None) -> _Below | None:
        """Return what opens the semantic tier of a function at its first call, or None without one."""
        if self.cache is None:
            return None

        @functools.cache
        def open_function() -> SemanticFunction[_Result]:
            from llmops_sdk.caching.semantic._function import SemanticFunction
            from llmops_sdk.caching.semantic._open import configured_cache

            cache = configured_cache(opened.folder, ttl) if isinstance(self.cache, str) else self.cache
            assert cache is not None
            return SemanticFunction(
                cache,
                call.target,
                self.text,
                # Also what `key` adds, such as a tenant that is no argument.
                functools.partial(_digest, call),
                refused=call.rules.refused,
                make=lambda value: _Result(value, semantic=True),
            )

        return open_function


class _LazyCache:
    """The cache of one function, opened at its first call: importing the function must not read the configuration."""

    def __init__(self, path: Path | None, ttl: float | None, stale_ttl: float, clock: Clock) -> None:
        self._path, self._ttl, self._stale_ttl, self._clock = path, ttl, stale_ttl, clock
        self._lock = threading.Lock()

    @property
    def folder(self) -> Path:
        """Return the folder of the cache."""
        settings = current()
        return self._path or settings.cache.path or settings.store.path / "cache"

    @functools.cached_property
    def _opened(self) -> ExactCache:
        settings, folder = current(), self.folder
        size: int = CacheSettings().max_bytes if self._path else settings.cache.max_bytes
        shared = None if self._path else settings.shared
        store = open_store("functions", folder, shared, max_bytes=size, clock=self._clock)
        return ExactCache(store, ttl=self._ttl, stale_ttl=self._stale_ttl, clock=self._clock)

    def __call__(self) -> ExactCache:
        with self._lock:  # two threads must get the same cache
            return self._opened


_Below: TypeAlias = "Callable[[], SemanticFunction[_Result]]"
_PolicyOf: TypeAlias = Callable[..., CachePolicy[_Result] | None]


def _function(
    target: Callable[..., Any], policy_of: _PolicyOf, opened: _LazyCache, below: _Below | None
) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        policy = policy_of(args, kwargs)
        if policy is None:
            return target(*args, **kwargs)

        def ask(_: float | None) -> _Result:
            def run() -> _Result:
                with watch_checks() as note:
                    value = target(*args, **kwargs)
                return _Result(value, note.unchecked)

            return run() if below is None else below().call(args, kwargs, run, _semantic_tags(policy))

        try:
            return opened().fetch(policy, ask).value
        except FlightTimeoutError:
            return target(*args, **kwargs)

    return wrapper


def _coroutine(
    target: Callable[..., Any], policy_of: _PolicyOf, opened: _LazyCache, below: _Below | None
) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        policy = policy_of(args, kwargs)
        if policy is None:
            return await target(*args, **kwargs)

        async def ask(_: float | None) -> _Result:
            async def run() -> _Result:
                with watch_checks() as note:
                    value = await target(*args, **kwargs)
                return _Result(value, note.unchecked)

            return await run() if below is None else await below().acall(args, kwargs, run, _semantic_tags(policy))

        try:
            return (await opened().afetch(policy, ask)).value
        except FlightTimeoutError:
            return await target(*args, **kwargs)

    return wrapper


class _Call(NamedTuple):
    """What a decorator says of all calls of its function."""

    target: Callable[..., Any]
    key: Callable[..., Any] | None
    namespace: str
    tags: tuple[str, ...] | Callable[..., Sequence[str]]
    rules: ValueRules[_Result]


def _digest(call: _Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
    """Return the key of a call; None when its arguments, or what the decorator's `key` returns, are not JSON."""
    target, key, namespace, _, _ = call
    if key is not None:
        arguments = key(*args, **kwargs)
    else:
        bound = inspect.signature(target).bind(*args, **kwargs)
        bound.apply_defaults()
        arguments = dict(bound.arguments)
    return typed_digest([function_identity(target), *policies_of(target), namespace, key is None, arguments])


def _policy(call: _Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> CachePolicy[_Result] | None:
    """Return the policy of a call; None, with the reason recorded, when its arguments are not JSON."""
    _, _, _, tags, rules = call
    found = _digest(call, args, kwargs)
    if found is None:
        record_bypass("arguments_not_json")
        return None
    return CachePolicy(found, _WAIT, rules, _checked_tags(tags(*args, **kwargs)) if callable(tags) else tags)


def _invalidate(policy_of: _PolicyOf, opened: _LazyCache, below: _Below | None, *args: Any, **kwargs: Any) -> bool:
    """Remove the result of a call with these arguments, and return whether there was one."""
    policy = policy_of(args, kwargs)
    if policy is None:
        return False
    count = 0 if below is None else below().invalidate(_semantic_tags(policy)[-1])
    return opened().store.invalidate(key=policy.key) + count > 0


def _semantic_tags(policy: CachePolicy[_Result]) -> tuple[str, ...]:
    """Return the tags of a semantic entry: the last one names the call, so that the call can be invalidated."""
    return (*policy.tags, f"call:{policy.key}")
