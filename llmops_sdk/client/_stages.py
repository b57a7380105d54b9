"""The stages around a model, made from one `Settings` object and shared by the calls with the same policies."""

from __future__ import annotations

import json
import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from typing import Any, Generic, TypeVar

from llmops_sdk._util._guard import guarded
from llmops_sdk.client._chain_policies import Policies
from llmops_sdk.client._record import record_cost, recording_refresh
from llmops_sdk.client._shared import CALL_CLOCK, STAND_INS, JudgeProvider, LazyProvider, SharedProvider
from llmops_sdk.client.serving._serve import Served, identity_of, serve
from llmops_sdk.client.structured._answer import AnswerType
from llmops_sdk.client.structured._reask import ReaskProvider
from llmops_sdk.config import ResolvedModel, RetrySettings, Settings, current, placed, resolve_model
from llmops_sdk.errors import ConfigError, LLMOpsError
from llmops_sdk.guardrails import Guard, OutputGuardProvider, ToolPolicy, resolve
from llmops_sdk.guardrails._protocol import CALL_RAILS, Rail
from llmops_sdk.guardrails._registry import ASKING
from llmops_sdk.guardrails.running._imported import import_modules
from llmops_sdk.providers import Provider
from llmops_sdk.resilience import Candidate, FallbackProvider, RetryProvider

__all__ = ["CurrentStages", "Stages", "StagesLease"]

# How many models, and how many combinations of policies, are kept; the least recently used is made again.
_MAX_KEPT = 256

_T = TypeVar("_T")


class _RecentlyUsed(Generic[_T]):
    """The most recently used values by key. Not thread-safe."""

    def __init__(self) -> None:
        self._values: OrderedDict[Hashable, _T] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], _T]) -> _T:
        """Return the value of `key`; make a missing one."""
        if key in self._values:
            self._values.move_to_end(key)
            return self._values[key]
        value = self._values[key] = make()
        if len(self._values) > _MAX_KEPT:
            self._values.popitem(last=False)
        return value

    def __contains__(self, key: Hashable) -> bool:
        return key in self._values

    def values(self) -> list[_T]:
        """Return all values."""
        return list(self._values.values())


class Stages:
    """The providers and stages of one `Settings` object; closed once retired and no longer used by a call."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.closed = False
        self._lock = threading.RLock()
        self._models: _RecentlyUsed[ResolvedModel] = _RecentlyUsed()
        self._providers: _RecentlyUsed[Provider] = _RecentlyUsed()
        self._served: _RecentlyUsed[Served] = _RecentlyUsed()
        self._chains: _RecentlyUsed[Provider] = _RecentlyUsed()
        self._guards: _RecentlyUsed[tuple[Guard, ...]] = _RecentlyUsed()
        self._tool_policies: _RecentlyUsed[ToolPolicy] = _RecentlyUsed()
        self.plans: dict[Hashable, object] = {}
        """The plans of calls by the options that they depend on."""
        self._calls = 0
        self._retired = False

    @property
    def keeps_plans(self) -> bool:
        """Return whether a plan is true for later calls, too: a test may replace providers for some calls."""
        return STAND_INS.provider is None

    def keep_plan(self, key: Hashable, plan: object) -> None:
        """Keep the plan of a call for later ones."""
        if len(self.plans) >= _MAX_KEPT:
            self.plans.clear()
        self.plans[key] = plan

    def lease(self) -> StagesLease:
        """Return a lease, which keeps the stages open until it is released."""
        with self._lock:
            self._calls += 1
        return StagesLease(self)

    def model(self, name: str | None) -> ResolvedModel:
        """Return the model that a name means; None is the default model."""
        with self._lock:
            return self._models.get(name, lambda: resolve_model(self.settings, name))

    def provider(self, resolved: ResolvedModel) -> Provider:
        """Return the provider of a model, opened at its first use."""
        with self._lock:
            return self._providers.get(resolved.name, lambda: SharedProvider(resolved))

    def served(self, resolved: ResolvedModel) -> Served:
        """Return what serves a model below its retries, made at its first use."""

        def open_one(one: ResolvedModel) -> Provider:
            if one is resolved:
                return self.provider(resolved)
            # A deployment inherits from the model that it is called through.
            return self._providers.get((resolved.name, one.name), lambda: SharedProvider(one))

        with self._lock:
            return self._served.get(resolved.name, lambda: serve(self.settings, resolved, open_one))

    def _retried(self, resolved: ResolvedModel, policy: RetrySettings, *, judges: bool = False) -> Provider:
        served = self.served(resolved)
        inner = JudgeProvider(served.provider) if judges else served.provider
        return RetryProvider(inner, policy, clock=CALL_CLOCK, deployment=served.deployment, routes=served.routes)

    def guards(
        self,
        specs: tuple[str | Guard, ...],
        options: Mapping[str, Mapping[str, Any]] | None = None,
        rail: Rail | None = None,
    ) -> tuple[Guard, ...]:
        """Return the guards that names and objects mean; guards given only by name are made once.

        Args:
            specs: Names and guards.
            options: `[guardrails.options]`: the options of named guards by kind.
            rail: The rail that they are for.
        """
        if not specs:
            return ()
        if not all(isinstance(spec, str) for spec in specs):
            return resolve(specs, self._with_judges(specs, options), rail=rail)
        key = json.dumps([specs, options, rail], sort_keys=True, default=str) if options else (specs, rail)
        with self._lock:
            known = key in self._guards
        if not known:
            import_modules(specs)
        with self._lock:
            try:
                return self._guards.get(key, lambda: resolve(specs, self._with_judges(specs, options), rail=rail))
            except ConfigError as error:
                found = placed(error, self.settings, *(f"guardrails.{rail}" for rail in CALL_RAILS))
                if found is error:
                    raise
                raise found from error

    def configured_tool_policy(self, resolved: ResolvedModel) -> ToolPolicy:
        """Return the policy that has the configured rules of a model, made at its first use."""
        with self._lock:
            return self._tool_policies.get(resolved.name, ToolPolicy)

    def _with_judges(
        self, specs: tuple[str | Guard, ...], options: Mapping[str, Mapping[str, Any]] | None
    ) -> dict[str, Mapping[str, Any]]:
        """Return the options with an unguarded provider for each model that a named judge asks."""
        opened = dict(options or {})
        named = {spec.partition(":")[0] for spec in specs if isinstance(spec, str)}
        for kind in named.intersection(ASKING, opened):
            model = opened[kind].get("model")
            if isinstance(model, str) and model:
                provider, full_name = self.judge(model)
                opened[kind] = {**opened[kind], "provider": provider, "model": full_name}
        return opened

    def judge(self, name: str) -> tuple[Provider, str]:
        """Return an unguarded provider of a model that judges texts, and the model's full name."""
        resolved = self.model(name)
        return self._retried(resolved, resolved.retry, judges=True), resolved.model

    def chain(self, resolved: ResolvedModel, policies: Policies) -> Provider:
        """Return the stages below the input guards: cache, answer type, output guards, fallback, retry, served."""
        with self._lock:
            return self._chains.get((resolved.name, policies.key), lambda: self._build(resolved, policies))

    def fallback_chain(self, name: str, policies: Policies, answer: AnswerType | None = None) -> tuple[Provider, str]:
        """Return the stages of a model that answers in place of a refused text, and the model's full name.

        Args:
            name: The model's name.
            policies: The policies of the call. Its guards check this answer too, but have no fallback of their own.
            answer: The type that the answer must have, or None where a stage outside checks that.
        """
        resolved = self.model(name)
        own = replace(policies, retry=resolved.retry, fallbacks=None, cache=None, answer=answer, fallback=True)
        return self.chain(resolved, own), resolved.model

    def _build(self, resolved: ResolvedModel, policies: Policies) -> Provider:
        if policies.cache is None:
            return self._below_cache(resolved, policies)
        # Imported here: only users of the cache need its database library.
        from llmops_sdk.caching import CacheProvider, open_semantic

        cache, path = policies.cache, policies.cache.path or self.settings.store.path / "cache"
        served = self.served(resolved)
        provider, identity = served.provider, identity_of(resolved, served)

        def below() -> Provider:
            chain = self._below_cache(resolved, policies)
            # Beside speculative guards, it would store questions that they have not passed yet.
            if cache.semantic.mode == "off" or resolved.guardrails.speculative:
                return chain
            return open_semantic(
                chain,
                cache,
                path=path,
                clock=CALL_CLOCK,
                identity=identity,
                admit=policies.admit,
                embedder=policies.embedder,
                judge=policies.judge,
                shared=self.settings.shared,
            )

        if not cache.exact:
            return below()
        # An answer from the cache needs no stage below it.
        return CacheProvider(
            LazyProvider(provider, below),
            cache,
            path=path,
            clock=CALL_CLOCK,
            identity=identity,
            # Beside speculative guards, the cache sees prompts that they have not passed yet.
            refresh_scope=recording_refresh(
                resolved, provider, content=self.settings.capture.content and not resolved.guardrails.speculative
            ),
            admit=policies.admit,
            shared=self.settings.shared,
        )

    def _below_cache(self, resolved: ResolvedModel, policies: Policies) -> Provider:
        clock = CALL_CLOCK
        chain = self._retried(resolved, policies.retry)
        if policies.fallbacks is not None:
            candidates = [Candidate(resolved.model, chain)]
            for model, retry in zip(policies.fallbacks.models, policies.fallbacks.retries, strict=True):
                candidates.append(Candidate(model.model, self._retried(model, retry)))
            chain = FallbackProvider(candidates, policies.fallbacks.policy, clock=clock)
        if policies.output or policies.tool_arguments:
            # A guard may block an answer that was paid for, so its cost is recorded before.
            models = (resolved, *(policies.fallbacks.models if policies.fallbacks is not None else ()))
            chain = OutputGuardProvider(
                chain,
                policies.output,
                policies.on_error,
                tool_arguments=policies.tool_arguments,
                reasks=policies.reasks,
                on_answer=record_cost,
                options=[(model.name, model.options) for model in models],
                open_model=None if policies.fallback else lambda name: self.fallback_chain(name, policies),
                clock=clock,
            )
        if policies.answer is not None:
            # Below the cache, so that an invalid answer is never stored.
            chain = ReaskProvider(chain, policies.answer, clock=clock)
        return chain

    def retire(self) -> None:
        """Close them as soon as no call uses them any more."""
        if self._closes(retired=True):
            self.close()

    async def aretire(self) -> None:
        """Close them as soon as no call uses them any more, async."""
        if self._closes(retired=True):
            await self.aclose()

    def release(self) -> None:
        """Count the end of a call; see `StagesLease`."""
        if self._closes(ended_calls=1):
            self.close()

    def _closes(self, *, ended_calls: int = 0, retired: bool = False) -> bool:
        """Note what happened, and return whether the caller must close them now."""
        with self._lock:
            self._calls -= ended_calls
            self._retired = self._retired or retired
            closes = self._retired and self._calls == 0 and not self.closed
            self.closed = self.closed or closes
            return closes

    def close(self) -> None:
        """Close every chain and every provider, even those in use."""
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

    def _opened(self, recent: _RecentlyUsed[Provider]) -> list[Provider]:
        with self._lock:
            found = [one.opened_or_none if isinstance(one, SharedProvider) else one for one in recent.values()]
            return [one for one in found if one is not None]


class StagesLease:
    """Keeps `Stages` open for one call."""

    __slots__ = ("_held", "stages")

    def __init__(self, stages: Stages) -> None:
        self.stages = stages
        self._held = True

    def release(self) -> None:
        """Release the stages; a second time does nothing."""
        if self._held:
            self._held = False
            self.stages.release()

    def __enter__(self) -> Stages:
        return self.stages

    def __exit__(self, *exception: object) -> None:
        self.release()


class CurrentStages:
    """The stages of the settings in force, for one `LLM`."""

    def __init__(self) -> None:
        self._closed = False
        self.forget()
        _in_use.add(self)

    def forget(self) -> None:
        """Drop the stages unclosed: a forked child must neither use nor close its parent's connections."""
        self._lock = threading.Lock()
        self._stages: Stages | None = None

    def lease(self) -> StagesLease:
        """Return a lease of the stages of the settings in force; retire those of earlier settings."""
        with self._lock:
            if self._closed:
                raise LLMOpsError("this LLM is closed: make a new one")
            settings = current()
            old, stages = None, self._stages
            if stages is None or stages.settings is not settings:
                old, stages = stages, Stages(settings)
                self._stages = stages
            lease = stages.lease()
        if old is not None:
            old.retire()
        return lease

    def close(self) -> None:
        """Refuse further calls, and close the stages when the last call in flight has ended."""
        stages = self._take()
        if stages is not None:
            stages.retire()

    async def aclose(self) -> None:
        """Refuse further calls, and close the stages when the last call in flight has ended, async."""
        stages = self._take()
        if stages is not None:
            await stages.aretire()

    def _take(self) -> Stages | None:
        self._closed = True
        with self._lock:
            stages, self._stages = self._stages, None
        return stages

    def close_providers(self) -> None:
        """Close the providers at exit. The caches' threads have ended by then, and their files need no closing."""
        stages = self._stages
        if stages is not None:
            stages.close_providers()


_in_use: weakref.WeakSet[CurrentStages] = weakref.WeakSet()


def _after_fork() -> None:
    for stages in list(_in_use):
        stages.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
