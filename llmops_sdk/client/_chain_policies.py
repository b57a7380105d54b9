"""The policies that a chain of stages is made from."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from llmops_sdk.client.structured._answer import AnswerType
from llmops_sdk.config import CacheSettings, FallbackSettings, ResolvedModel, RetrySettings
from llmops_sdk.guardrails import Guard
from llmops_sdk.guardrails._protocol import OnError
from llmops_sdk.providers import Response

__all__ = ["Fallbacks", "Policies"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallbacks:
    """The models to fall back to, in order, and the retry policy of each."""

    policy: FallbackSettings
    models: tuple[ResolvedModel, ...]
    retries: tuple[RetrySettings, ...]

    @property
    def key(self) -> Hashable:
        """Return a key that equal fallbacks share; within one `Settings` a name means one model."""
        return self.policy, tuple(model.name for model in self.models), self.retries


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """The policies of a chain of stages: among them the guards on the answer, and the answer's type."""

    retry: RetrySettings
    fallbacks: Fallbacks | None = None
    cache: CacheSettings | None
    admit: Callable[[Response], bool] | None = None
    """Says which answers the cache stores."""
    embedder: Callable[..., Any] | None = None
    """Makes the vectors of the semantic tier, in place of the configured embedder."""
    judge: Callable[..., Any] | None = None
    """Says which stored answers were right, in place of the configured judge."""
    output: tuple[Guard, ...]
    tool_arguments: tuple[Guard, ...] = ()
    on_error: OnError
    reasks: int = 0
    fallback: bool = False
    """Whether the chain is itself a guard's fallback, and has no other."""
    answer: AnswerType | None

    @property
    def key(self) -> Hashable:
        """Return a key that policies with the same chain share; guards count by identity, as the chain keeps them."""
        fallbacks = self.fallbacks and self.fallbacks.key
        guards = tuple(map(id, self.output)), tuple(map(id, self.tool_arguments))
        cache = self.cache, self.admit, self.embedder, self.judge
        return self.retry, fallbacks, cache, guards, self.on_error, self.reasks, self.fallback, self.answer
