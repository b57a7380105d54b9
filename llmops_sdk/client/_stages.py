"""The stages around a model, made from one `Settings` object and shared by the calls that need the same ones."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from llmops_sdk._util._guard import guarded
from llmops_sdk.client._record import SpentProvider
from llmops_sdk.client._shared import CALL_CLOCK, SharedProvider
from llmops_sdk.client.structured._answer import AnswerType
from llmops_sdk.client.structured._ask import AskProvider
from llmops_sdk.config import CacheSettings, FallbackSettings, ResolvedModel, RetrySettings, Settings, resolve_model
from llmops_sdk.guardrails import Guard, OutputGuardProvider, resolve
from llmops_sdk.guardrails._protocol import OnError
from llmops_sdk.providers import Provider, open_provider
from llmops_sdk.resilience import Candidate, FallbackProvider, RetryProvider

__all__ = ["Fallbacks", "Lease", "Policies", "Stages"]

# How many models and combinations of policies are kept; beyond that the least recently used is made again.
_KEPT = 256

_T = TypeVar("_T")


class _Recent(Generic[_T]):
    """The most recently used values by key. Not thread-safe."""

    def __init__(self) -> None:
        self._values: OrderedDict[Hashable, _T] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], _T]) -> _T:
        """The value of `key`, made when it is not there."""
        if key in self._values:
            self._values.move_to_end(key)
            return self._values[key]
        value = self._values[key] = make()
        if len(self._values) > _KEPT:
            self._values.popitem(last=False)
        return value

    def values(self) -> list[_T]:
        """All values."""
        return list(self._values.values())


def _identity(resolved: ResolvedModel) -> str:
    """What tells two models of the same name apart: where they are served, and what is set for them there."""
    return json.dumps([resolved.base_url, resolved.options], sort_keys=True, default=str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallbacks:
    """The models to go on to.

    Attributes:
        policy: Which errors go on.
        models: The models in order.
        retries: When and how often to try each again.
    """

    policy: FallbackSettings
    models: tuple[ResolvedModel, ...]
    retries: tuple[RetrySettings, ...]

    @property
    def key(self) -> Hashable:
        """Equal for the same fallbacks; within one `Settings` a name stands for one model."""
        return self.policy, tuple(model.name for model in self.models), self.retries


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """What a chain of stages is made for.

    Attributes:
        retry: When and how often to try again.
        fallbacks: The models to go on to, or None for none.
        cache: The cache, or None for none.
        output: The guards on the answer.
        on_error: What a guard that fails means, "closed" or "open".
        answer: The type that the answer shall have, or None.
    """

    retry: RetrySettings
    fallbacks: Fallbacks | None = None
    cache: CacheSettings | None
    output: tuple[Guard, ...]
    on_error: OnError
    answer: AnswerType | None

    @property
    def key(self) -> Hashable:
        """Equal for the policies that can share a chain; guards count by identity, and the chain keeps them alive."""
        fallbacks = self.fallbacks and self.fallbacks.key
        return self.retry, fallbacks, self.cache, tuple(map(id, self.output)), self.on_error, self.answer


class Stages:
    """Providers and stages of one `Settings` object; closed once it is retired and the last call has left it.

    Args:
        settings: The settings that they are made from.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._lock = threading.RLock()
        self._models: _Recent[ResolvedModel] = _Recent()
        self._providers: _Recent[Provider] = _Recent()
        self._chains: _Recent[Provider] = _Recent()
        self._guards: _Recent[tuple[Guard, ...]] = _Recent()
        self._calls = 0
        self._retired = False
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether their providers are closed."""
        return self._closed

    def lease(self) -> Lease:
        """The right to use them until it is released."""
        with self._lock:
            self._calls += 1
        return Lease(self)

    def model(self, name: str | None) -> ResolvedModel:
        """What the name of a model means; None is the default model."""
        with self._lock:
            return self._models.get(name, lambda: resolve_model(self.settings, name))

    def provider(self, resolved: ResolvedModel) -> Provider:
        """The provider of a model, opened at its first use."""
        with self._lock:
            return self._providers.get(
                resolved.name, lambda: SharedProvider(resolved, open_provider(resolved, clock=CALL_CLOCK))
            )

    def guards(self, specs: tuple[str | Guard, ...]) -> tuple[Guard, ...]:
        """The guards that names and objects stand for; those made from names alone are made once."""
        if not specs:
            return ()
        if not all(isinstance(spec, str) for spec in specs):
            return resolve(specs)
        with self._lock:
            return self._guards.get(specs, lambda: resolve(specs))

    def chain(self, resolved: ResolvedModel, policies: Policies) -> Provider:
        """The stages below the input guards: cache, type of the answer, output guards, fallback, retry, provider."""
        provider = self.provider(resolved)
        with self._lock:
            return self._chains.get((resolved.name, policies.key), lambda: self._build(resolved, provider, policies))

    def _build(self, resolved: ResolvedModel, provider: Provider, policies: Policies) -> Provider:
        chain: Provider = RetryProvider(provider, policies.retry, clock=CALL_CLOCK)
        if policies.fallbacks is not None:
            candidates = [Candidate(resolved.model, chain)]
            for model, retry in zip(policies.fallbacks.models, policies.fallbacks.retries, strict=True):
                candidates.append(Candidate(model.model, RetryProvider(self.provider(model), retry, clock=CALL_CLOCK)))
            chain = FallbackProvider(candidates, policies.fallbacks.policy)
        if policies.output:
            chain = OutputGuardProvider(SpentProvider(chain), policies.output, policies.on_error)
        if policies.answer is not None:
            # Below the cache, so that an answer that does not fit is never stored.
            chain = AskProvider(chain, policies.answer)
        if policies.cache is not None:
            # Imported here: the cache's database library is for those who use a cache.
            from llmops_sdk.caching import CacheProvider

            path = policies.cache.path or self.settings.store.path / "cache"
            chain = CacheProvider(chain, policies.cache, path=path, identity=_identity(resolved))
        return chain

    def retire(self) -> None:
        """Close them as soon as no call uses them any more."""
        if self._last_one_out(retired=True):
            self.close()

    async def aretire(self) -> None:
        """Close them as soon as no call uses them any more, async."""
        if self._last_one_out(retired=True):
            await self.aclose()

    def release(self) -> None:
        """A call has left; see `Lease`."""
        if self._last_one_out(left=1):
            self.close()

    def _last_one_out(self, *, left: int = 0, retired: bool = False) -> bool:
        with self._lock:
            self._calls -= left
            self._retired = self._retired or retired
            last = self._retired and self._calls == 0 and not self._closed
            self._closed = self._closed or last
            return last

    def close(self) -> None:
        """Close every chain and every provider, whoever may still be using them."""
        for chain in self._opened(self._chains):
            guarded("closing the stages around a model", None, chain.close)
        self.close_providers()

    def close_providers(self) -> None:
        """Close every provider."""
        for provider in self._opened(self._providers):
            guarded("closing a provider", None, provider.close)

    async def aclose(self) -> None:
        """Close every chain and every provider, async."""
        for opened in (*self._opened(self._chains), *self._opened(self._providers)):
            await opened.aclose()

    def _opened(self, recent: _Recent[Provider]) -> list[Provider]:
        with self._lock:
            return [one.inner if isinstance(one, SharedProvider) else one for one in recent.values()]


class Lease:
    """Keeps `Stages` open for one call."""

    __slots__ = ("_held", "stages")

    def __init__(self, stages: Stages) -> None:
        self.stages = stages
        self._held = True

    def release(self) -> None:
        """Give it back; a second time does nothing."""
        if self._held:
            self._held = False
            self.stages.release()

    def __enter__(self) -> Stages:
        """The stages."""
        return self.stages

    def __exit__(self, *exception: object) -> None:
        """Give it back."""
        self.release()
