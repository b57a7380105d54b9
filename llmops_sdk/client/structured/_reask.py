"""The stage that validates typed answers, and asks again with the errors when an answer is not valid."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import aclosing, closing
from dataclasses import replace
from typing import TypeAlias, cast

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk.client.structured._answer import AnswerType, InvalidAnswerError
from llmops_sdk.errors import ValidationFailedError
from llmops_sdk.providers import Accumulator, Chunk, Provider, Request, Response, WrapperProvider
from llmops_sdk.providers._accumulate import Rounds

__all__ = ["MAX_REASKS", "ReaskProvider", "parse_answer", "require_answer"]

# Ends after which the same question gets the same end.
_UNFINISHED = {
    "length": 'the answer was cut at its longest length (finish_reason "length"): raise `max_tokens`, or ask for less',
    "refusal": "the model refused to answer: `.response.refusal` has its words",
    "content_filter": (
        'a filter withheld the answer (finish_reason "content_filter"): change the prompt; if it is the '
        "`fallback_answer` of a guard, make that JSON which fits"
    ),
}

MAX_REASKS = 2
"""How often the stage asks again after an answer that is not valid."""


Restore: TypeAlias = Callable[[str], str] | None
"""Puts values back into JSON where guards masked them."""


def parse_answer(answer: AnswerType, response: Response, restore: Restore = None) -> Response:
    """Return the response with `.parsed` set; a call for tools is not an answer yet and may stay unchanged.

    The object has the values that guards masked, so it is for the caller only: nobody may record it.

    Raises:
        InvalidAnswerError: The text does not fit the type.
    """
    try:
        return replace(response, parsed=answer.parse(response.text, restore))
    except InvalidAnswerError:
        if response.tool_calls:
            return response
        raise


def require_answer(answer: AnswerType, response: Response, restore: Restore = None) -> Response:
    """Return the response with `.parsed` set, as `parse_answer` does.

    Raises:
        ValidationFailedError: The text does not fit the type.
    """
    try:
        return parse_answer(answer, response, restore)
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
            with state.rounds:
                state.take(self.inner.complete(state.request))
        return state.result

    async def acomplete(self, request: Request) -> Response:
        state = _ReaskState(self._answer, request, self._clock)
        while state.result is None:
            with state.rounds:
                state.take(await self.inner.acomplete(state.request))
        return state.result

    def stream(self, request: Request) -> Iterator[Chunk]:
        whole = Accumulator()
        with closing(cast("Generator[Chunk]", self.inner.stream(request))) as chunks:
            for chunk in chunks:
                whole.add(chunk)
                yield chunk
        require_answer(self._answer, whole.response(), request.restore)

    async def astream(self, request: Request) -> AsyncIterator[Chunk]:
        whole = Accumulator()
        async with aclosing(cast("AsyncGenerator[Chunk]", self.inner.astream(request))) as chunks:
            async for chunk in chunks:
                whole.add(chunk)
                yield chunk
        require_answer(self._answer, whole.response(), request.restore)


class _ReaskState:
    """The questions and answers so far: the decisions that sync and async share."""

    def __init__(self, answer: AnswerType, request: Request, clock: Clock) -> None:
        self.request = request
        self.result: Response | None = None
        self._answer = answer
        self.rounds = Rounds(request, clock)

    def take(self, response: Response) -> None:
        """Take an answer: a valid one is the result; after an invalid one the next request asks again."""
        response = self.rounds.add(response)
        try:
            valid = require_answer(self._answer, response, self.request.restore)
            # With placeholders: the caller's own values come back outside of the cache and the record.
            self.result = valid if self.request.restore is None else response
        except ValidationFailedError as error:
            if self.rounds.count > MAX_REASKS or _end_of(response) in _UNFINISHED:
                raise
            errors = error.errors
        else:
            return
        # Outside of `except`: an error of the next request has nothing to do with the invalid answer.
        self.request = self._next(response, errors)

    def _next(self, response: Response, errors: tuple[str, ...]) -> Request:
        complaint = (
            f"This answer does not fit the JSON schema of {self._answer.name}: {'; '.join(errors)}. "
            "Answer again with JSON that fits it, and nothing else."
        )
        return self.rounds.next(
            self.request,
            response.message,
            {"role": "user", "content": complaint},
            reason="reask",
            until=f"an answer fitted {self._answer.name}",
        )
