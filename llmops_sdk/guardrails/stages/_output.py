"""The stage that checks what comes back from a model."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, aclosing, closing, suppress
from dataclasses import replace
from typing import Any, TypeVar, cast

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk._util._public import public
from llmops_sdk.errors import GuardrailViolation, StreamInterruptedError
from llmops_sdk.guardrails._protocol import Guard, GuardContext, OnError, Rail
from llmops_sdk.guardrails._reasoning import without_blocks
from llmops_sdk.guardrails._stream import ChunkWindow
from llmops_sdk.guardrails._texts import take_messages
from llmops_sdk.guardrails._window import Checks, arun_checks, run_checks
from llmops_sdk.guardrails.running._in_order import acheck_value, check_value
from llmops_sdk.guardrails.running._order import reads_whole
from llmops_sdk.guardrails.running._runner import GuardRun
from llmops_sdk.guardrails.stages._choices import refuse_choices, without_choices
from llmops_sdk.guardrails.stages._fallback import OpenModel, fallback_of
from llmops_sdk.guardrails.stages._texts_of import ANSWER, CALLS
from llmops_sdk.providers import Accumulator, Chunk, Provider, Request, Response, WrapperProvider, chunks_of
from llmops_sdk.providers._accumulate import Rounds
from llmops_sdk.tracing import current_span
from llmops_sdk.tracing.records._semconv import GUARD_STREAM_DELAY

__all__ = ["OutputGuardProvider"]

_Answer = TypeVar("_Answer", Response, Chunk)


@public("llmops_sdk.guardrails")
class OutputGuardProvider(WrapperProvider):
    """A stage that checks the answer before anything outside sees it: text, reasoning, and tool calls' arguments.

    It releases a chunk of a stream when no later text can change the verdicts on it. With guards that have no `settled`
    method, that is the end of the stream.

    Args:
        inner: The provider whose answers are checked.
        guards: The guards in order; each sees what the one before left.
        on_error: What happens when a guard fails: "closed" blocks the answer, "open" lets it pass.
        tool_arguments: Guards on the arguments of tool calls, after the others.
        reasks: How often the model is asked again after an answer that a guard refused with "reask".
        on_answer: Called with each answer or chunk before it is checked, or None.
        open_model: Opens the model of a guard's fallback, or None.
        options: The options of each model that may be asked, with its name: they may ask for several answers.
        clock: The time.

    Raises:
        ConfigError: At a call: it asks for more than one answer. The guards would see the first only.
        GuardrailViolation: At a call: a guard blocked the output. The caller gets nothing of it, but may have got an
            earlier part of a stream if every guard has `settled` that part.
    """

    def __init__(
        self,
        inner: Provider,
        guards: Sequence[Guard],
        on_error: OnError = "closed",
        *,
        tool_arguments: Sequence[Guard] = (),
        reasks: int = 1,
        on_answer: Callable[[Response | Chunk], None] | None = None,
        open_model: OpenModel | None = None,
        options: Sequence[tuple[str, Mapping[str, Any]]] = (),
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__(inner)
        self.guards = tuple(guards)
        self.tool_arguments = tuple(tool_arguments)
        self.on_error: OnError = on_error
        self._reasks = reasks
        self._on_answer = on_answer
        self._open_model = open_model
        self._options = tuple(options)
        self._clock = clock
        self._reads_prompt = any(map(reads_whole, self.guards))
        # A guard without an action of its own may return any.
        actions = [getattr(guard, "action", "reask") for guard in (*self.guards, *self.tool_arguments)]
        self._may_ask_again = not {"reask", "fallback"}.isdisjoint(actions)

    def complete(self, request: Request) -> Response:
        self._refuse_choices(request)
        rounds = Rounds(request, self._clock)
        provider = self.inner
        while True:
            try:
                with rounds:
                    response = rounds.add(provider.complete(request))
            except StreamInterruptedError as error:
                self._check_partial(error, request)
                raise
            if provider is not self.inner:
                return response  # its own stage has checked it
            response = self._seen(response)
            try:
                return self._checked(response, request)
            except GuardrailViolation as error:
                provider, request = self._next(error, request, response, rounds)

    async def acomplete(self, request: Request) -> Response:
        self._refuse_choices(request)
        rounds = Rounds(request, self._clock)
        provider = self.inner
        while True:
            try:
                with rounds:
                    response = rounds.add(await provider.acomplete(request))
            except StreamInterruptedError as error:
                await self._acheck_partial(error, request)
                raise
            if provider is not self.inner:
                return response
            response = self._seen(response)
            try:
                return await self._achecked(response, request)
            except GuardrailViolation as error:
                provider, request = self._next(error, request, response, rounds)

    def stream(self, request: Request) -> Iterator[Chunk]:
        self._refuse_choices(request)
        state = _StreamState(request, self._clock, keeps_answer=self._may_ask_again)
        provider = self.inner
        while True:
            chunks = provider.stream(request)
            own = provider is self.inner
            checked = self._stream(chunks, request, state) if own else chunks
            try:
                with closing(cast("Generator[Chunk]", checked)):
                    for chunk in checked:
                        yield state.note(chunk if own else state.rounds.chunk(chunk))
            except GuardrailViolation as error:
                if state.released or provider is not self.inner:
                    raise
                provider, request = self._next(error, request, state.refused(), state.rounds)
            else:
                return

    def _stream(self, inner: Iterator[Chunk], request: Request, state: _StreamState) -> Iterator[Chunk]:
        with ExitStack() as stack:
            window = self._window(request, stack)
            chunks = stack.enter_context(closing(cast("Generator[Chunk]", inner)))
            try:
                with state.rounds:
                    for chunk in chunks:
                        yield from run_checks(window.add(self._seen(state.add(chunk))))
            except StreamInterruptedError as error:
                self._check_partial(error, request)
                raise
            yield from run_checks(window.finish())
            if window.failed:
                yield Chunk(unchecked=True)

    async def astream(self, request: Request) -> AsyncIterator[Chunk]:
        self._refuse_choices(request)
        state = _StreamState(request, self._clock, keeps_answer=self._may_ask_again)
        provider = self.inner
        while True:
            chunks = provider.astream(request)
            own = provider is self.inner
            checked = self._astream(chunks, request, state) if own else chunks
            try:
                async with aclosing(cast("AsyncGenerator[Chunk]", checked)):
                    async for chunk in checked:
                        yield state.note(chunk if own else state.rounds.chunk(chunk))
            except GuardrailViolation as error:
                if state.released or provider is not self.inner:
                    raise
                provider, request = self._next(error, request, state.refused(), state.rounds)
            else:
                return

    async def _astream(
        self, inner: AsyncIterator[Chunk], request: Request, state: _StreamState
    ) -> AsyncIterator[Chunk]:
        async with AsyncExitStack() as stack:
            window = self._window(request, stack)
            chunks = cast("AsyncGenerator[Chunk]", inner)
            await stack.enter_async_context(aclosing(chunks))
            try:
                with state.rounds:
                    async for chunk in chunks:
                        for released in await arun_checks(window.add(self._seen(state.add(chunk)))):
                            yield released
            except StreamInterruptedError as error:
                await self._acheck_partial(error, request)
                raise
            for released in await arun_checks(window.finish()):
                yield released
            if window.failed:
                yield Chunk(unchecked=True)

    def _refuse_choices(self, request: Request) -> None:
        if self.guards or self.tool_arguments:
            refuse_choices(request, self._options)

    def _window(self, request: Request, stack: ExitStack | AsyncExitStack) -> ChunkWindow:
        runs = [
            [stack.enter_context(run) for run in self._runs(guards, rail, request)] for guards, rail in self._rails()
        ]
        return ChunkWindow(*runs)

    def _rails(self) -> tuple[tuple[Sequence[Guard], Rail], ...]:
        return (self.guards, "output"), (self.tool_arguments, "tool_arguments")

    def _runs(self, guards: Sequence[Guard], rail: Rail, request: Request) -> list[GuardRun]:
        documents = tuple(take_messages(request.messages)) if self._reads_prompt else ()
        context = GuardContext(rail=rail, model=request.model, documents=documents)
        return [GuardRun(guard, context, self.on_error) for guard in guards]

    def _seen(self, answer: _Answer) -> _Answer:
        if self._on_answer is not None:
            self._on_answer(answer)
        return without_choices(answer)

    def _checked(self, response: Response, request: Request) -> Response:
        runs = self._runs(self.guards, "output", request)
        response = check_value(response, ANSWER, runs)
        if self.tool_arguments and response.tool_calls:
            call_runs = self._runs(self.tool_arguments, "tool_arguments", request)
            response, runs = check_value(response, CALLS, call_runs), runs + call_runs
        return _with_failures(response, runs)

    async def _achecked(self, response: Response, request: Request) -> Response:
        runs = self._runs(self.guards, "output", request)
        response = await acheck_value(response, ANSWER, runs)
        if self.tool_arguments and response.tool_calls:
            call_runs = self._runs(self.tool_arguments, "tool_arguments", request)
            response, runs = await acheck_value(response, CALLS, call_runs), runs + call_runs
        return _with_failures(response, runs)

    def _next(
        self, error: GuardrailViolation, request: Request, response: Response, rounds: Rounds
    ) -> tuple[Provider, Request]:
        """Return who is asked after a refused answer, and what.

        Raises:
            GuardrailViolation: Nobody is.
        """
        if error.action == "reask" and rounds.count <= self._reasks:
            refused = [{"role": "assistant", "content": response.text}] if response.text else []
            complaint = f"This answer was refused: {error.reason or error.guard}. Answer again without that."
            messages = (*refused, {"role": "user", "content": complaint})
            return self.inner, rounds.next(request, *messages, reason="reask", until="the guards let an answer pass")
        for guards, rail in self._rails():
            found = fallback_of(error, guards, request, self._open_model, self.inner) if error.rail == rail else None
            if found is not None:
                provider, request, _ = found
                return provider, rounds.next(request, reason="fallback", until="the guard's fallback answered")
        raise error

    def _check_partial(self, error: StreamInterruptedError, request: Request) -> None:
        """Leave in a broken stream's partial answer what no later text could have changed: less if a guard blocks."""
        partial, error.partial = error.partial, None
        if isinstance(partial, Response):
            with ExitStack() as stack, suppress(GuardrailViolation):
                error.partial = run_checks(_released(partial, self._window(request, stack)))

    async def _acheck_partial(self, error: StreamInterruptedError, request: Request) -> None:
        partial, error.partial = error.partial, None
        if isinstance(partial, Response):
            with ExitStack() as stack, suppress(GuardrailViolation):
                error.partial = await arun_checks(_released(partial, self._window(request, stack)))


def _with_failures(response: Response, runs: Sequence[GuardRun]) -> Response:
    return replace(response, unchecked=True) if any(run.failed for run in runs) else response


def _released(partial: Response, window: ChunkWindow) -> Checks[Response]:
    """Return the part of a partial answer that guards release before its end; a value may be cut at the end."""
    whole = Accumulator()
    for chunk in chunks_of(partial):
        for released in (yield from window.add(chunk)):
            whole.add(released)
    left = whole.response()
    # Blocks, tool calls and the vendor's object wait for the end.
    texts = {"text": left.text, "reasoning": left.reasoning, "refusal": left.refusal}
    return replace(partial, **texts, tool_calls=(), raw=None, **without_blocks())


class _StreamState:
    """What the rounds of one guarded stream share."""

    def __init__(self, request: Request, clock: Clock, *, keeps_answer: bool) -> None:
        self.rounds = Rounds(request, clock)
        self.released = False
        self._keeps_answer = keeps_answer
        self._whole = Accumulator()
        self._first: float | None = None

    def add(self, chunk: Chunk) -> Chunk:
        """Add a chunk of the model, and return it with what earlier rounds took."""
        if self._first is None:
            self._first = time.perf_counter()
        if self._keeps_answer:
            self._whole.add(chunk)
        return self.rounds.chunk(chunk)

    def refused(self) -> Response:
        """Return the answer that was refused, and begin the next round."""
        response, self._whole = self._whole.response(), Accumulator()
        return self.rounds.add(response)

    def note(self, chunk: Chunk) -> Chunk:
        """Return a chunk that the guards release; the first one says how long they held it back."""
        if not self.released and self._first is not None:
            delay = (time.perf_counter() - self._first) * 1000
            current_span().set_attribute(GUARD_STREAM_DELAY, delay)
        self.released = True
        return chunk
