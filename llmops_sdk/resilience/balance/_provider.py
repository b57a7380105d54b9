"""The stage that shares the calls of one model among its deployments."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Self, TypeGuard, TypeVar

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk.config import FallbackSettings, Timeout
from llmops_sdk.errors import BudgetExceededError, CircuitOpenError, LimitExceededError, LLMOpsError, ProviderError
from llmops_sdk.providers import Chunk, Embeddings, Provider, Request, Response, WrapperProvider
from llmops_sdk.providers.traffic import Health, Target, health_of
from llmops_sdk.resilience._chunks import aclose, close, is_piece
from llmops_sdk.resilience._error_classes import is_of_one_model, should_fall_back
from llmops_sdk.resilience.balance._balancer import AnswerStyle, Balancer
from llmops_sdk.shared._decisions import record_decision

__all__ = ["BalanceProvider", "Deployment"]

_Answer = TypeVar("_Answer", Response, Embeddings, Chunk)

_OF_DEPLOYMENT = FallbackSettings(context_window=False, content_filter=False)
"""Which errors say something about a deployment: outages, throttling, a bad key; not a bad request."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """One of the deployments of a model.

    Attributes:
        name: Its name.
        model: Provider and model, as in "azure/gpt-4.1-mini".
        provider: The provider that serves it, with its stage of traffic control if it has one.
    """

    name: str
    model: str
    provider: Provider

    def health(self) -> Health:
        """Return its health; without limits and breaker it is always ready."""
        return health_of(self.provider)


_REFUSED = Health(ready=False)


class BalanceProvider(WrapperProvider):
    """A stage that sends each call to one of the deployments of a model.

    It leaves out deployments whose breaker is open or that cool down. If a deployment refuses the call all the same, or
    its queue is full, the next one gets it. A second attempt and a hedge go to a deployment that the call has not
    tried, if one is ready.

    A vendor's own parameters (`Request.extra`) go only to deployments of the first one's provider.

    Args:
        deployments: The deployments; at least one.
        balancer: Picks one; it has a weight for each, in the same order.
        clock: The time.
        name: The model's name, for errors.

    Raises:
        ValueError: There is no deployment.
        CircuitOpenError: At a call: no deployment is ready; `retry_at` has the seconds until the first one is.
        LimitExceededError: At a call: no deployment that is ready has room.

    Example:
        >>> from llmops_sdk.config import Settings, resolve_model
        >>> from llmops_sdk.providers import Request, open_provider
        >>> from llmops_sdk.resilience.balance import BalanceProvider, Balancer, Deployment
        >>> echo = open_provider(resolve_model(Settings(), "offline/echo"))
        >>> pair = [Deployment("east", "offline/echo", echo), Deployment("west", "offline/echo", echo)]
        >>> provider = BalanceProvider(pair, Balancer("weighted", [1.0, 1.0]))
        >>> request = Request(model="offline/echo", messages=[{"role": "user", "content": "Hi"}])
        >>> [provider.complete(request).deployment for _ in range(4)]
        ['east', 'west', 'east', 'west']
    """

    def __init__(
        self, deployments: Sequence[Deployment], balancer: Balancer, *, clock: Clock = SYSTEM_CLOCK, name: str = ""
    ) -> None:
        if not deployments:
            raise ValueError("a balancer needs at least one deployment")
        super().__init__(deployments[0].provider)
        self.deployments = tuple(deployments)
        self.balancer = balancer
        self.clock = clock
        self.model_name = name

    @property
    def server(self) -> tuple[str, int] | None:
        """Return None: each deployment has a server of its own."""
        return None

    def prepare(self) -> None:
        """Let every provider do what it needs before its first call."""
        for one in self.deployments:
            prepare = getattr(one.provider, "prepare", None)
            if prepare is not None:
                prepare()

    async def aprepare(self) -> None:
        """Let every provider do what it needs before its first call, async."""
        for one in self.deployments:
            aprepare = getattr(one.provider, "aprepare", None)
            if aprepare is not None:
                await aprepare()

    def has_other_deployment(self, tried: Sequence[Target]) -> bool:
        """Return whether a deployment is ready that is not among those tried."""
        names = {target.deployment for target in tried}
        return any(one.name not in names and one.health().ready for one in self.deployments)

    def health(self) -> Health:
        """Return the health of all deployments together: how many calls wait even at the one with the most room."""
        healths = [one.health() for one in self.deployments]
        ready = [health for health in healths if health.ready]
        return Health(
            ready=bool(ready),
            in_flight=sum(health.in_flight for health in ready),
            waiting=min((health.waiting for health in ready), default=0),
            full=all(health.full for health in ready),
            cooldown=0.0 if ready else min(health.cooldown for health in healths),
        )

    def complete(self, request: Request) -> Response:
        call = _Call(self, request, "answer")
        while True:
            with call.next_turn() as turn:
                return turn.answered(turn.provider.complete(turn.request))

    async def acomplete(self, request: Request) -> Response:
        call = _Call(self, request, "answer")
        while True:
            with call.next_turn() as turn:
                return turn.answered(await turn.provider.acomplete(turn.request))

    def stream(self, request: Request) -> Iterator[Chunk]:
        call = _Call(self, request, "stream")
        while True:
            with call.next_turn() as turn, ExitStack() as undo:
                chunks = turn.provider.stream(turn.request)
                undo.callback(close, chunks)
                for chunk in chunks:
                    yield turn.streamed(chunk)
                return

    async def astream(self, request: Request) -> AsyncIterator[Chunk]:
        call = _Call(self, request, "stream")
        while True:
            with call.next_turn() as turn:
                async with AsyncExitStack() as undo:
                    chunks = turn.provider.astream(turn.request)
                    undo.push_async_callback(aclose, chunks)
                    async for chunk in chunks:
                        yield turn.streamed(chunk)
                    return

    def embed(self, texts: Sequence[str], request: Request) -> Embeddings:
        call = _Call(self, request, "vectors")
        while True:
            with call.next_turn() as turn:
                return turn.answered(turn.provider.embed(texts, turn.request))

    async def aembed(self, texts: Sequence[str], request: Request) -> Embeddings:
        call = _Call(self, request, "vectors")
        while True:
            with call.next_turn() as turn:
                return turn.answered(await turn.provider.aembed(texts, turn.request))

    def close(self) -> None:
        """Close every provider."""
        for one in self.deployments:
            one.provider.close()

    async def aclose(self) -> None:
        """Close every provider, async."""
        for one in self.deployments:
            await one.provider.aclose()


@dataclass(slots=True)
class _Call:
    """One call, which goes from one deployment to the next while they refuse it."""

    stage: BalanceProvider
    request: Request
    style: AnswerStyle
    refused: dict[int, LLMOpsError] = field(default_factory=dict[int, LLMOpsError])
    _began: float = 0.0

    def __post_init__(self) -> None:
        self._began = self.stage.clock.monotonic()

    def next_turn(self) -> _Turn:
        """Pick the next deployment; raise when none is ready that has not refused."""
        stage = self.stage
        healths = [one.health() for one in stage.deployments]
        now = stage.clock.monotonic()
        left = self.time_left(now)
        if self.refused and left is not None and left <= 0:
            raise self._refusal(healths)
        if self.refused:
            open_to_it = [_REFUSED if index in self.refused else health for index, health in enumerate(healths)]
        else:
            open_to_it = healths
        index = stage.balancer.pick(now, open_to_it, avoid=self._tried(), style=self.style)
        if index is None:
            raise self._refusal(healths)
        return _Turn(self, index, self._request_to(index, left), now)

    def time_left(self, now: float) -> float | None:
        """Return the seconds until the deadline, or None without one."""
        total = self.request.timeout.total if self.request.timeout is not None else None
        return None if total is None else self._began + total - now

    def _tried(self) -> set[int]:
        """Return the deployments that the call tried last, all but one at most."""
        route, found = self.request.route, set[int]()
        if route is not None and route.tried:
            names = [one.name for one in self.stage.deployments]
            for target in reversed(route.tried):
                if target.deployment in names and len(found) + 1 < len(names):
                    found.add(names.index(target.deployment))
        return found

    def _request_to(self, index: int, left: float | None) -> Request:
        first, chosen = self.stage.deployments[0], self.stage.deployments[index]
        request = self.request
        timeout = request.timeout
        if self.refused and left is not None:
            timeout = (timeout or Timeout()).model_copy(update={"total": left})
        is_same_vendor = not request.extra or chosen.provider.name == first.provider.name
        extra = request.extra if is_same_vendor else dict[str, Any]()
        if (chosen.model, timeout, extra) == (request.model, request.timeout, request.extra):
            return request
        return replace(request, model=chosen.model, timeout=timeout, extra=extra)

    def _refusal(self, healths: Sequence[Health]) -> LLMOpsError:
        """Return the error of a call that no deployment takes: what the last one that was ready said, if one was."""
        full = [error for error in self.refused.values() if not isinstance(error, CircuitOpenError)]
        if full:
            return full[-1]
        waits: list[tuple[float, str]] = []
        for index, (one, health) in enumerate(zip(self.stage.deployments, healths, strict=True)):
            refusal = self.refused.get(index)
            seconds = refusal.retry_at if isinstance(refusal, CircuitOpenError) else health.retry_in
            if seconds is not None:
                waits.append((seconds, one.name))
        soonest, name = min(waits, default=(None, None))
        model = self.stage.model_name or self.request.model
        record_decision(
            "balance",
            "refused",
            deployment=model,
            reason="not_ready",
            wait_ms=None if soonest is None else soonest * 1000,
        )
        when = "" if soonest is None else f"; {name} takes calls again in {soonest:.3g} s"
        return CircuitOpenError(
            f"{model}: none of its {len(healths)} deployments is ready{when}. Wait until then, or configure fallbacks",
            retry_at=soonest,
            deployment=name,
        )


class _Turn:
    """The call at one deployment; it swallows a refusal, so that the next deployment gets the call."""

    __slots__ = ("_answered", "_began", "_call", "_chosen", "_index", "_target", "provider", "request")

    def __init__(self, call: _Call, index: int, request: Request, now: float) -> None:
        self._call, self._index, self._began = call, index, now
        self._chosen = call.stage.deployments[index]
        self._answered = False
        self.provider = self._chosen.provider
        self.request = request
        self._target = Target(self._chosen.name, self.provider.name, self._chosen.model)

    def answered(self, answer: _Answer) -> _Answer:
        """Note the answer, and return it with the deployment's name."""
        self._observe()
        # A retry above takes the name from the route, and saves the copy.
        return answer if self.request.route is not None else replace(answer, deployment=self._chosen.name)

    def streamed(self, chunk: Chunk) -> Chunk:
        """Note a chunk. The chunks up to the first piece have the deployment's name."""
        if self._answered:
            return chunk
        if is_piece(chunk):
            self._observe()
        return replace(chunk, deployment=self._chosen.name)

    def _observe(self) -> None:
        self._answered = True
        call = self._call
        now = call.stage.clock.monotonic()
        call.stage.balancer.observe(self._index, now, now - self._began, style=call.style)

    def __enter__(self) -> Self:
        if (route := self.request.route) is not None:
            route.tried.append(self._target)
            route.leg.target = self._target
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        call, balancer = self._call, self._call.stage.balancer
        balancer.end(self._index)
        if error is None:
            return False
        if _is_refusal(error) and not self._answered:
            call.refused[self._index] = error
            if (route := self.request.route) is not None:
                route.tried.remove(self._target)
                route.leg.target = None
            return True
        now = call.stage.clock.monotonic()
        if isinstance(error, asyncio.CancelledError) and not self._answered:
            balancer.observe_at_least(self._index, now, now - self._began, style=call.style)
        elif isinstance(error, Exception) and should_fall_back(error, _OF_DEPLOYMENT):
            balancer.failed(self._index, now)
        if isinstance(error, ProviderError):
            error.deployment = self._chosen.name
        return False


def _is_refusal(error: BaseException) -> TypeGuard[LLMOpsError]:
    """Return whether a deployment refused a call that another one may take; a model's budget may be a deployment's."""
    if isinstance(error, BudgetExceededError):
        return is_of_one_model(error)
    return isinstance(error, (CircuitOpenError, LimitExceededError))
