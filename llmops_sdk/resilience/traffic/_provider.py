"""The stage around the provider of one deployment: its breaker, budgets and limits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk.config import LimitSettings
from llmops_sdk.providers import Chunk, Embeddings, Provider, Request, Response, WrapperProvider
from llmops_sdk.providers.traffic import Health
from llmops_sdk.resilience._chunks import aclose, close
from llmops_sdk.resilience.breaker._breaker import Breaker
from llmops_sdk.resilience.budgets._budgets import Budgets
from llmops_sdk.resilience.budgets._estimate import Estimator
from llmops_sdk.resilience.limits._limiter import Limiter
from llmops_sdk.resilience.traffic._visit import Gates, Visit

__all__ = ["TrafficProvider"]


class TrafficProvider(WrapperProvider):
    """A stage that lets a call to one deployment pass its breaker, budgets and limits, in this order.

    The breaker is asked first, so that a call to a deployment that is down costs and waits for nothing. Its probe is
    taken last, so that no call holds it in the queue. However a call ends, it leaves them in reverse: a stream holds
    its slot until it ends or is closed. The total deadline of the request counts in the queue, too.

    Args:
        inner: The provider of the deployment.
        name: The deployment's name.
        limiter: Its limiter, or None.
        breaker: Its breaker, or None.
        budgets: The budgets, or None.
        clock: The time.
        estimator: Estimates what a call will use; needed for budgets and tokens a minute.
        names: Other names by which a budget may mean the deployment.
        limits: The settings of the limiter: who takes turns in its queue, and whether it needs an estimate.
        calls: The calls in flight, where several stages share a deployment.

    Raises:
        CircuitOpenError: At a call: the breaker is open, or the deployment cools down.
        BudgetExceededError: At a call: a hard budget has too little left.
        LimitExceededError: At a call: the queue is full, or the call waited too long.
    """

    def __init__(
        self,
        inner: Provider,
        name: str,
        *,
        limiter: Limiter | None = None,
        breaker: Breaker | None = None,
        budgets: Budgets | None = None,
        clock: Clock = SYSTEM_CLOCK,
        estimator: Estimator | None = None,
        names: Sequence[str] = (),
        limits: LimitSettings | None = None,
        calls: set[int] | None = None,
    ) -> None:
        if budgets is not None and estimator is None:
            raise ValueError("budgets need an estimator of what a call will use")
        super().__init__(inner)
        self.deployment = name
        own_calls: set[int] = set()
        self.gates = Gates(
            name=name,
            names=(name, *(other for other in names if other != name)),
            clock=clock,
            limiter=limiter,
            limits=limits or LimitSettings(),
            breaker=breaker,
            budgets=budgets,
            estimator=estimator,
            calls=own_calls if calls is None else calls,
        )

    def health(self) -> Health:
        """Return whether the deployment is ready, and how busy it is."""
        gates = self.gates
        retry_in, cooldown = (None, 0.0) if gates.breaker is None else (gates.breaker.retry_in, gates.breaker.cooldown)
        waiting, full = (0, False) if gates.limiter is None else (gates.limiter.waiting, gates.limiter.is_full)
        return Health(retry_in is None, retry_in, max(len(gates.calls) - waiting, 0), waiting, full, cooldown)

    def complete(self, request: Request) -> Response:
        with Visit(self.gates, request) as visit:
            response = self.inner.complete(visit.enter())
            visit.answer(response)
            return response

    async def acomplete(self, request: Request) -> Response:
        async with Visit(self.gates, request) as visit:
            response = await self.inner.acomplete(await visit.aenter())
            visit.answer(response)
            return response

    def stream(self, request: Request) -> Iterator[Chunk]:
        with Visit(self.gates, request) as visit, ExitStack() as undo:
            chunks = self.inner.stream(visit.enter())
            undo.callback(close, chunks)
            for chunk in chunks:
                visit.chunk(chunk)
                yield chunk

    async def astream(self, request: Request) -> AsyncIterator[Chunk]:
        async with Visit(self.gates, request) as visit, AsyncExitStack() as undo:
            chunks = self.inner.astream(await visit.aenter())
            undo.push_async_callback(aclose, chunks)
            async for chunk in chunks:
                visit.chunk(chunk)
                yield chunk

    def embed(self, texts: Sequence[str], request: Request) -> Embeddings:
        with Visit(self.gates, request, texts) as visit:
            embeddings = self.inner.embed(texts, visit.enter())
            visit.answer(embeddings)
            return embeddings

    async def aembed(self, texts: Sequence[str], request: Request) -> Embeddings:
        async with Visit(self.gates, request, texts) as visit:
            embeddings = await self.inner.aembed(texts, await visit.aenter())
            visit.answer(embeddings)
            return embeddings
