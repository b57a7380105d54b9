"""The stage that holds an answer to its type: parsed, and asked again with the error when it does not fit."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import aclosing, closing
from dataclasses import dataclass, field, replace
from typing import cast

from llmops_sdk.client.structured._answer import AnswerType, InvalidAnswerError
from llmops_sdk.config import Timeout
from llmops_sdk.errors import ProviderError, ProviderTimeoutError, ValidationFailedError
from llmops_sdk.providers import Accumulator, Attempt, Chunk, Provider, Request, Response, Usage, WrapperProvider

__all__ = ["REASKS", "AskProvider", "fitting"]

REASKS = 2
"""How often an answer that does not fit is asked for again."""


def fitting(answer: AnswerType, response: Response) -> Response:
    """The response with `.parsed` set; a call for tools is not yet the answer, and stays as it is.

    Raises:
        InvalidAnswerError: The text does not fit the type.
    """
    if response.tool_calls and not response.text.strip():
        return response
    return replace(response, parsed=answer.parse(response.text))


def refused(answer: AnswerType, response: Response, errors: tuple[str, ...]) -> ValidationFailedError:
    """The error for an answer that does not fit."""
    return ValidationFailedError(
        f"the answer does not fit {answer.name} after {max(len(response.attempts), 1)} attempts: {'; '.join(errors)}",
        response=response,
        errors=errors,
    )


class AskProvider(WrapperProvider):
    """Asks until the answer fits, `REASKS` times more at most; a stream is checked at its end and not asked again.

    Args:
        inner: The stage inside.
        answer: The type asked for.
    """

    def __init__(self, inner: Provider, answer: AnswerType) -> None:
        super().__init__(inner)
        self._answer = answer

    def complete(self, request: Request) -> Response:
        """The whole answer, with `.parsed`.

        Raises:
            ValidationFailedError: No answer fits.
        """
        asked = _Asked(self._answer, request)
        while asked.result is None:
            with asked:
                asked.take(self.inner.complete(asked.request))
        return asked.result

    async def acomplete(self, request: Request) -> Response:
        """The whole answer, with `.parsed`, async."""
        asked = _Asked(self._answer, request)
        while asked.result is None:
            with asked:
                asked.take(await self.inner.acomplete(asked.request))
        return asked.result

    def stream(self, request: Request) -> Iterator[Chunk]:
        """The answer in pieces; an error at the end when the whole does not fit."""
        whole = Accumulator()
        with closing(cast("Generator[Chunk]", self.inner.stream(request))) as chunks:
            for chunk in chunks:
                whole.add(chunk)
                yield chunk
        self._check(whole.response())

    async def astream(self, request: Request) -> AsyncIterator[Chunk]:
        """The answer in pieces, async."""
        whole = Accumulator()
        async with aclosing(cast("AsyncGenerator[Chunk]", self.inner.astream(request))) as chunks:
            async for chunk in chunks:
                whole.add(chunk)
                yield chunk
        self._check(whole.response())

    def _check(self, response: Response) -> None:
        try:
            fitting(self._answer, response)
        except InvalidAnswerError as error:
            errors = error.errors
        else:
            return
        raise refused(self._answer, response, errors)


@dataclass(slots=True)
class _Asked:
    """What was asked and answered until now: the same for sync and async.

    As a context manager around one round, it adds the attempts of the rounds before to an error that leaves it.
    """

    answer: AnswerType
    request: Request
    result: Response | None = None
    _attempts: tuple[Attempt, ...] = ()
    _usage: Usage = field(default_factory=Usage)
    _cost: float | None = 0.0
    _rounds: int = 0
    _deadline: float | None = None

    def __post_init__(self) -> None:
        if self.request.timeout and self.request.timeout.total:
            self._deadline = time.monotonic() + self.request.timeout.total

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ProviderError):
            error.attempts = (*self._attempts, *error.attempts)

    def take(self, response: Response) -> None:
        """Take an answer: it is the result, or the next request asks again."""
        self._rounds += 1
        self._attempts = (*self._attempts, *response.attempts)
        self._usage = _sum(self._usage, response.usage)
        self._cost = None if self._cost is None or response.cost is None else self._cost + response.cost
        response = replace(response, attempts=self._attempts, usage=self._usage, cost=self._cost)
        try:
            self.result = fitting(self.answer, response)
        except InvalidAnswerError as error:
            errors = error.errors
        else:
            return
        if self._rounds > REASKS:
            raise refused(self.answer, response, errors)
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
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise ProviderTimeoutError(
                f"the call's time was up before an answer fitted {self.answer.name}", model=self.request.model
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
