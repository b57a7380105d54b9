"""A cascade: ask the cheapest model first, verify its answer, and ask the next model if it does not pass."""

from __future__ import annotations

import asyncio
import importlib
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Sequence
from contextlib import aclosing, closing
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, cast

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk._util._guard import guarded
from llmops_sdk.errors import ConfigError, ValidationFailedError
from llmops_sdk.providers import Accumulator, Chunk, Provider, Request, Response, WrapperProvider
from llmops_sdk.providers._accumulate import Rounds
from llmops_sdk.tracing import current_span
from llmops_sdk.tracing.records import _semconv as sc

__all__ = ["CascadeProvider", "Step", "Verify", "import_verify", "is_finished"]

Verify: TypeAlias = Callable[[Sequence[Any], Response], bool]
"""Says of a prompt's messages and an answer whether the answer is good enough."""

_FINISHED = frozenset({"stop", "tool_calls"})


def is_finished(messages: Sequence[Any], response: Response) -> bool:  # noqa: ARG001 - as every `Verify`
    """Return whether an answer ended by itself, is not empty, and is no refusal.

    Args:
        messages: The prompt, which does not matter here.
        response: The answer.
    """
    has_content = bool(response.text.strip() or response.tool_calls)
    return has_content and not response.refusal and response.finish_reason in _FINISHED


def import_verify(name: str) -> Verify:
    """Return the function that `module:name` leads to.

    Args:
        name: The place.

    Raises:
        ConfigError: There is no such function.
    """
    module, _, attribute = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"verify = {name!r} leads to no function: {error}. Give module:name of a function of the prompt's messages "
            "and the response",
            value=name,
        ) from error
    if not callable(found) or inspect.iscoroutinefunction(found):
        raise ConfigError(f"verify = {name!r} must be a plain function, not {type(found).__name__}", value=name)
    return cast("Verify", found)


@dataclass(frozen=True, slots=True)
class Step:
    """One model of a cascade.

    Attributes:
        name: Its name in the route.
        model: Provider and model.
        provider: The stages that serve it.
    """

    name: str
    model: str
    provider: Provider


class CascadeProvider(WrapperProvider):
    """A stage that asks one model after another until an answer passes. The answer of the last one always counts.

    The answer lists the attempts at all models, and has the tokens and the cost of all answers. A stream is passed on
    when its answer has passed; that of the last model at once. Errors of a model are not answers: they are raised,
    after the fallbacks of that model.

    Args:
        steps: The models, the cheapest first; at least one.
        verify: Says whether an answer is good enough. If it fails, the answer is not.
        attributes: What the events of the span have, in which the decision to go on is recorded.
        clock: The time.

    Raises:
        ProviderError: At a call: a model failed.
    """

    def __init__(
        self, steps: Sequence[Step], verify: Verify, attributes: dict[str, Any], *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        super().__init__(steps[0].provider)
        self._steps, self._verify, self._attributes, self._clock = tuple(steps), verify, attributes, clock

    def complete(self, request: Request) -> Response:
        state = _CascadeState(self._steps, request, self._clock, self._attributes)
        while True:
            with state.rounds, state:
                response = state.rounds.add(state.step.provider.complete(state.request))
                if state.is_last or self._passes(request, response):
                    return response
            state.go_on()

    async def acomplete(self, request: Request) -> Response:
        state = _CascadeState(self._steps, request, self._clock, self._attributes)
        while True:
            with state.rounds, state:
                response = state.rounds.add(await state.step.provider.acomplete(state.request))
                if state.is_last or await self._apasses(request, response):
                    return response
            state.go_on()

    def stream(self, request: Request) -> Iterator[Chunk]:
        state = _CascadeState(self._steps, request, self._clock, self._attributes)
        while True:
            with (
                state.rounds,
                state,
                closing(cast("Generator[Chunk]", state.step.provider.stream(state.request))) as new,
            ):
                if state.is_last:
                    yield from map(state.rounds.chunk, new)
                    return
                held, whole = _Held(), Accumulator()
                for chunk in new:
                    held.add(chunk, whole, state.rounds)
                if self._passes(request, whole.response()):
                    yield from held.chunks
                    return
                state.rounds.add(whole.response())
            state.go_on()

    async def astream(self, request: Request) -> AsyncIterator[Chunk]:
        state = _CascadeState(self._steps, request, self._clock, self._attributes)
        while True:
            with state.rounds, state:
                async with aclosing(cast("AsyncGenerator[Chunk]", state.step.provider.astream(state.request))) as new:
                    if state.is_last:
                        async for chunk in new:
                            yield state.rounds.chunk(chunk)
                        return
                    held, whole = _Held(), Accumulator()
                    async for chunk in new:
                        held.add(chunk, whole, state.rounds)
                if await self._apasses(request, whole.response()):
                    for chunk in held.chunks:
                        yield chunk
                    return
                state.rounds.add(whole.response())
            state.go_on()

    def _passes(self, request: Request, response: Response) -> bool:
        return bool(guarded("verifying an answer of a cascade", False, self._verify, request.messages, response))

    async def _apasses(self, request: Request, response: Response) -> bool:
        if self._verify is is_finished:
            return self._passes(request, response)
        # The application's function may take its time: the event loop goes on meanwhile.
        return await asyncio.to_thread(self._passes, request, response)

    def close(self) -> None:
        """Do nothing: the stages of the models are closed where they are kept."""

    async def aclose(self) -> None:
        """Do nothing, as `close`."""


class _Held:
    """The chunks of an answer that has not passed yet."""

    def __init__(self) -> None:
        self.chunks: list[Chunk] = []

    def add(self, chunk: Chunk, whole: Accumulator, rounds: Rounds) -> None:
        """Hold a chunk back.

        Args:
            chunk: The chunk.
            whole: Joins the answer.
            rounds: What earlier answers took.
        """
        whole.add(chunk)
        self.chunks.append(rounds.chunk(chunk))


class _CascadeState:
    """Which model is asked: what sync and async share.

    As a context manager around one answer, it swallows the error of an answer that does not fit its type, except of the
    last model.
    """

    def __init__(self, steps: Sequence[Step], request: Request, clock: Clock, attributes: dict[str, Any]) -> None:
        self._steps, self._at, self._attributes = steps, 0, attributes
        self.rounds = Rounds(request, clock)
        self.request = replace(request, model=steps[0].model)

    @property
    def step(self) -> Step:
        """Return the model to ask."""
        return self._steps[self._at]

    @property
    def is_last(self) -> bool:
        """Return whether there is no other model to ask."""
        return self._at + 1 == len(self._steps)

    def go_on(self) -> None:
        """Go on to the next model, and record that."""
        self._at += 1
        self.request = replace(
            self.rounds.next(self.request, reason="escalation", until="an answer of the cascade passed"),
            model=self.step.model,
        )
        attributes = {**self._attributes, "model": self.step.name, "serves": self.step.name, "reason": "escalated"}
        guarded("record an escalation", None, lambda: current_span().add_event(sc.EVENT_ROUTE, attributes))

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, ValidationFailedError) or self.is_last:
            return False
        if isinstance(error.response, Response):
            self.rounds.add(error.response)
        return True
