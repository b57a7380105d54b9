"""The semantic tier below `@cache`: serve the result of another call whose text asks for the same."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from llmops_sdk._util._guard import guarded
from llmops_sdk.caching.semantic._cache import Hit, SemanticCache
from llmops_sdk.errors import ConfigError
from llmops_sdk.tracing import current_span
from llmops_sdk.tracing.records._semconv import EVENT_CACHE_LOOKUP

__all__ = ["SemanticFunction", "SemanticResult"]


class SemanticResult(list[Any]):
    """A result of the semantic tier in a list of one: the exact tier must not store it."""


class SemanticFunction:
    """Looks for the result of a call by one argument that is a text; the other arguments are the scope.

    Args:
        cache: The cache.
        target: The function.
        text: The name of the argument that is the question; by default the first.
        scope_of: Returns the key of the other arguments, or None when they are not JSON.

    Raises:
        ConfigError: The function has no such argument.
    """

    def __init__(
        self,
        cache: SemanticCache,
        target: Callable[..., Any],
        text: str | None,
        scope_of: Callable[[dict[str, Any]], str | None],
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

    def call(self, target: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        """Return the result of a call in a list, from the cache or new."""
        question = self._question(args, kwargs)
        if question is None:
            return [target(*args, **kwargs)]
        text, scope = question
        hit = guarded("semantic look-up", None, self._get, text, scope)
        if self._record(hit):
            return SemanticResult([hit.value if hit else None])
        result = target(*args, **kwargs)
        guarded("semantic write", None, self._put, text, result, scope)
        return [result]

    async def acall(
        self, target: Callable[..., Awaitable[Any]], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> list[Any]:
        """Return the result of a call in a list, async; see `call`."""
        question = self._question(args, kwargs)
        if question is None:
            return [await target(*args, **kwargs)]
        text, scope = question
        hit = await asyncio.to_thread(guarded, "semantic look-up", None, self._get, text, scope)
        if self._record(hit):
            return SemanticResult([hit.value if hit else None])
        result = await target(*args, **kwargs)
        await asyncio.to_thread(guarded, "semantic write", None, self._put, text, result, scope)
        return [result]

    def _question(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, str] | None:
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        arguments = dict(bound.arguments)
        text = arguments.pop(self._text)
        scope = self._scope_of(arguments) if isinstance(text, str) and text.strip() else None
        return None if scope is None else (text, scope)

    def _get(self, text: str, scope: str) -> Hit | None:
        return self._cache.get(text, scope=scope)

    def _put(self, text: str, result: Any, scope: str) -> None:
        try:
            orjson.dumps(result, option=orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_PASSTHROUGH_DATETIME)
        except orjson.JSONEncodeError:
            return  # as the exact tier: results that are not JSON are not stored
        self._cache.put(text, result, scope=scope)

    def _record(self, hit: Hit | None) -> bool:
        fields: dict[str, Any] = {"tier": "semantic", "hit": hit is not None}
        if hit is None:
            fields |= {"decision": "unsure", "reason": "none"}
        else:
            near = {"similarity": hit.similarity, "score": hit.score, "age_s": hit.age_s}
            fields |= {"decision": "served", "reason": hit.reason, **near}
        guarded("record cache lookup", None, current_span().add_event, EVENT_CACHE_LOOKUP, fields)
        return hit is not None
