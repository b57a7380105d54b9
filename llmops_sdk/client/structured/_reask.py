"""The stage that validates typed answers, and asks again with the errors when an answer is not valid."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import aclosing, closing
from dataclasses import dataclass, field, replace
from typing import cast

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk.client.structured._answer import AnswerType, InvalidAnswerError
from llmops_sdk.config import Timeout
from llmops_sdk.errors import ProviderError, ProviderTimeoutError, ValidationFailedError
from llmops_sdk.providers import Accumulator, Attempt, Chunk, Provider, Request, Response, Usage, WrapperProvider

__all__ = ["MAX_REASKS", "ReaskProvider", "parse_answer", "require_answer"]

# Ends after which the same question gets the same end.
_UNFINISHED = {
    "length": 'the answer was cut at its longest length (finish_reason "length"): raise `max_tokens`, or ask for less',
    "refusal": "the model refused to answer: `.response.refusal` has its words",
    "content_filter": 'the provider withheld the answer (finish_reason "content_filter"): change the prompt',
}

MAX_REASKS = 2
"""How often the stage asks again after an answer that is not valid."""


def parse_answer(answer: AnswerType, response: Response) -> Response:
    """Return the response with `.parsed` set; a call for tools is not an answer yet and may stay unchanged.

    Raises:
        InvalidAnswerError: The text does not fit the type.
    """
    try:
        return replace(response, parsed=answer.parse(response.text))
    except InvalidAnswerError:
        if response.tool_calls:
            return response
        raise


def require_answer(answer: AnswerType, response: Response) -> Response:
    """Return the response with `.parsed` set, as `parse_answer` does.

    Raises:
        ValidationFailedError: The text does not fit the type.
    """
    try:
        return parse_answer(answer, response)
    except InvalidAnswerError as error:
        attempts = max(len(response.attempts), 1)
        problem = _UNFINISHED.get(_end_of(response))
        message = f"the answer does not fit {answer.name} after {attempts} attempts: {error}"
        raise ValidationFailedError(
            f"{problem}, so there is no {answer.name}" if problem else message,
            response=response,
            errors=(problem, *error.errors) if problem else error.errors,
        ) from None


def _end_of(response: Response) -> str:
    return "refusal" if response.refusal else response.finish_reason or ""


class ReaskProvider(WrapperProvider):
    """A stage that asks again until the answer is valid, `MAX_REASKS` times at most; of a stream it checks the end.

    Args:
        inner: The stage inside.
        answer: The type that the answer must have.
        clock: The time.

    Raises:
        ValidationFailedError: At a call: no answer is valid.
    """

    def __init__(self, inner: Provider, answer: AnswerType, *, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__(inner)
        self._answer = answer
        self._clock = clock

    def complete(self, request: Request) -> Response:
        state = _ReaskState(self._answer, request, self._clock)
        while state.result is None:
            with state:
                state.take(self.inner.complete(state.request))
        return state.result

    async def acomplete(self, request: Request) -> Response:
        state = _ReaskState(self._answer, request, self._clock)
        while state.result is None:
            with state:
                state.take(await self.inner.acomplete(state.request))
        return state.result

    def stream(self, request: Request) -> Iterator[Chunk]:
        whole = Accumulator()
        with closing(cast("Generator[Chunk]", self.inner.stream(request))) as chunks:
            for chunk in chunks:
                whole.add(chunk)
                yield chunk
        require_answer(self._answer, whole.response())

    async def astream(self, request: Request) -> AsyncIterator[Chunk]:
        whole = Accumulator()
        async with aclosing(cast("AsyncGenerator[Chunk]", self.inner.astream(request))) as chunks:
            async for chunk in chunks:
                whole.add(chunk)
                yield chunk
        require_answer(self._answer, whole.response())


@dataclass(slots=True)
class _ReaskState:
    """The questions and answers so far: the decisions that sync and async share.

    As a context manager around one round, it adds the attempts of earlier rounds to an error.
    """

    answer: AnswerType
    request: Request
    clock: Clock
    result: Response | None = None
    _attempts: tuple[Attempt, ...] = ()
    _usage: Usage = field(default_factory=Usage)
    _cost: float | None = 0.0
    _rounds: int = 0
    _deadline: float | None = None

    def __post_init__(self) -> None:
        if self.request.timeout and self.request.timeout.total:
            self._deadline = self.clock.monotonic() + self.request.timeout.total

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ProviderError):
            error.attempts = (*self._attempts, *error.attempts)

    def take(self, response: Response) -> None:
        """Take an answer: a valid one is the result; after an invalid one the next request asks again."""
        self._rounds += 1
        self._attempts = (*self._attempts, *response.attempts)
        self._usage = _sum(self._usage, response.usage)
        self._cost = None if self._cost is None or response.cost is None else self._cost + response.cost
        response = replace(response, attempts=self._attempts, usage=self._usage, cost=self._cost)
        try:
            self.result = require_answer(self.answer, response)
        except ValidationFailedError as error:
            if self._rounds > MAX_REASKS or _end_of(response) in _UNFINISHED:
                raise
            errors = error.errors
        else:
            return
        # Outside of `except`: an error of the next request has nothing to do with the invalid answer.
        self.request = self._next(response, errors)

    def _next(self, response: Response, errors: tuple[str, ...]) -> Request:
        complaint = (
            f"This answer does not fit the JSON schema of {self.answer.name}: {'; '.join(errors)}. "
            "Answer again with JSON that fits it, and nothing else."
        )
        return replace(
            self.request,
            messages=(*self.request.messages, response.message, {"role": "user", "content": complaint}),
            timeout=self._remaining(),
            first_attempt=len(self._attempts) + 1,
            reason="reask",
        )

    def _remaining(self) -> Timeout | None:
        if self._deadline is None or self.request.timeout is None:
            return self.request.timeout
        left = self._deadline - self.clock.monotonic()
        if left <= 0:
            raise ProviderTimeoutError(
                f"the call's total time passed before an answer fitted {self.answer.name}: set a longer `timeout`",
                model=self.request.model,
            )
        return self.request.timeout.model_copy(update={"total": left})


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(
        input_tokens=one.input_tokens + other.input_tokens,
        output_tokens=one.output_tokens + other.output_tokens,
        cache_read_tokens=one.cache_read_tokens + other.cache_read_tokens,
        reasoning_tokens=one.reasoning_tokens + other.reasoning_tokens,
        cache_creation_tokens=one.cache_creation_tokens + other.cache_creation_tokens,
    )
