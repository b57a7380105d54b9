"""The semantic tier below `@cache`: serve the result of another call whose text asks for the same."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeVar

from llmops_sdk._util._guard import guarded
from llmops_sdk.caching.semantic._cache import Hit, SemanticCache
from llmops_sdk.errors import ConfigError
from llmops_sdk.tracing import current_span
from llmops_sdk.tracing.records._semconv import EVENT_CACHE_LOOKUP

__all__ = ["SemanticFunction"]


class _Result(Protocol):
    @property
    def value(self) -> Any: ...


_ASKED = "\x00question"
"""Stands for the question in the key of the other arguments."""

_R = TypeVar("_R", bound=_Result)


class SemanticFunction(Generic[_R]):
    """Looks for the result of a call by one argument that is a text; the other arguments are the scope.

    Args:
        cache: The cache.
        target: The function.
        text: The name of the argument that is the question; by default the first.
        scope_of: Returns the key of a call with another text in place of the question, or None when it has none.
        refused: Returns why a result is not stored, or None.
        make: Makes the result to return from a value of the cache.

    Raises:
        ConfigError: The function has no such argument.
    """

    def __init__(
        self,
        cache: SemanticCache,
        target: Callable[..., Any],
        text: str | None,
        scope_of: Callable[[tuple[Any, ...], dict[str, Any]], str | None],
        *,
        refused: Callable[[_R], str | None],
        make: Callable[[Any], _R],
    ) -> None:
        self._cache = cache
        self._signature = inspect.signature(target)
        names = list(self._signature.parameters)
        if text is not None and text not in names:
            raise ConfigError(
                f"@cache(text={text!r}): the function has the arguments {', '.join(names) or 'none'}", key="text"
            )
        if not names:
            raise ConfigError("@cache(semantic=...) needs a function with an argument: its question", key="semantic")
        self._text = text or names[0]
        self._scope_of = scope_of
        self._refused = refused
        self._make = make

    def call(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], run: Callable[[], _R], tags: Sequence[str] = ()
    ) -> _R:
        """Return the result of a call, from the cache or new."""
        question = self._question(args, kwargs)
        if question is None:
            return run()
        hit = guarded("semantic look-up", None, self._get, *question)
        if (served := self._served(hit)) is not None:
            return served
        result = run()
        guarded("semantic write", None, self._put, *question, result, tags)
        return result

    async def acall(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], run: Callable[[], Awaitable[_R]], tags: Sequence[str] = ()
    ) -> _R:
        """Return the result of a call, from the cache or new, async."""
        question = self._question(args, kwargs)
        if question is None:
            return await run()
        hit = await asyncio.to_thread(guarded, "semantic look-up", None, self._get, *question)
        if (served := self._served(hit)) is not None:
            return served
        result = await run()
        await asyncio.to_thread(guarded, "semantic write", None, self._put, *question, result, tags)
        return result

    def _question(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, str] | None:
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        text = bound.arguments[self._text]
        if not isinstance(text, str) or not text.strip():
            return None
        bound.arguments[self._text] = _ASKED
        scope = guarded("semantic scope", None, self._scope_of, bound.args, bound.kwargs)
        return None if scope is None else (text, scope)

    def _get(self, text: str, scope: str) -> Hit | None:
        return self._cache.get(text, scope=scope)

    def invalidate(self, tag: str) -> int:
        """Remove the results of a tag, and return how many there were."""
        return self._cache.invalidate(tag=tag)

    def _put(self, text: str, scope: str, result: _R, tags: Sequence[str]) -> None:
        if self._refused(result) is None:
            with suppress(ValueError):  # the value is too large to store
                self._cache.put(text, result.value, scope=scope, tags=tags)

    def _served(self, hit: Hit | None) -> Any:
        """Return the result of a hit, or None; record the look-up in both cases."""
        fields: dict[str, Any] = {"tier": "semantic", "hit": hit is not None}
        if hit is None:
            fields |= {"decision": "unsure", "reason": "none"}
        else:
            near = {"similarity": hit.similarity, "score": hit.score, "age_s": hit.age_s}
            fields |= {"decision": "served", "reason": hit.reason, **near}
        guarded("record cache lookup", None, current_span().add_event, EVENT_CACHE_LOOKUP, fields)
        return None if hit is None else self._make(hit.value)
