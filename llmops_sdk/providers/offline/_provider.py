"""The offline provider: answers without a network, deterministic, and marked as simulated."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk.config import Timeout
from llmops_sdk.errors import ProviderConnectionError, ProviderError, ProviderTimeoutError, StreamInterruptedError
from llmops_sdk.providers._accumulate import Accumulator, chunks_of
from llmops_sdk.providers._cost import cost_of
from llmops_sdk.providers._tokens import count_messages, count_tokens
from llmops_sdk.providers._types import Chunk, Embeddings, Request, Response, Usage, model_name
from llmops_sdk.providers.offline._options import EchoOptions, FailureDraws, simulated_failure
from llmops_sdk.providers.offline._vectors import hashed_vector

if TYPE_CHECKING:
    from llmops_sdk.config import PriceSettings

__all__ = ["Answers", "OfflineProvider"]

_Item = TypeVar("_Item", Chunk, Response, Embeddings)
_Step: TypeAlias = tuple[float, _Item | ProviderError]
"""Seconds to wait, then what to return or raise."""


class Answers(Protocol):
    """Makes an offline model's answers: text, tool calls and finish reason. The provider adds the rest."""

    def __call__(self, request: Request) -> Response: ...


class OfflineProvider:
    """Answers in this process, with the latency, speed and failures of its options.

    It counts tokens (see `count_tokens`), computes a cost if a price is configured, and marks everything that it
    returns with `simulated=True`.
    """

    def __init__(
        self,
        model: str,
        answers: Answers,
        options: EchoOptions,
        *,
        timeout: Timeout | None = None,
        price: PriceSettings | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._model = model
        self._answers = answers
        self._options = options
        self._timeout = timeout or Timeout()
        self._price = price
        self._clock = clock
        self._failures = FailureDraws(options.failures, options.seed)

    @property
    def name(self) -> str:
        return "offline"

    def complete(self, request: Request) -> Response:
        """Return the whole answer after `latency`, or at `tokens_per_second` if that takes longer."""
        wait, outcome = self._whole(request)
        if wait:
            self._clock.sleep(wait)
        return _return_or_raise(outcome)

    async def acomplete(self, request: Request) -> Response:
        wait, outcome = self._whole(request)
        await self._clock.asleep(wait)
        return _return_or_raise(outcome)

    def stream(self, request: Request) -> Iterator[Chunk]:
        """Yield the answer in chunks of about a token."""
        for wait, outcome in self._timeline(request):
            if wait:
                self._clock.sleep(wait)
            yield _return_or_raise(outcome)

    async def astream(self, request: Request) -> AsyncIterator[Chunk]:
        for wait, outcome in self._timeline(request):
            if wait:
                await self._clock.asleep(wait)
            yield _return_or_raise(outcome)

    def embed(self, texts: Sequence[str], request: Request) -> Embeddings:
        """Return unit vectors of hashed words. Equal texts get equal vectors, similar texts similar ones."""
        wait, outcome = self._vectors(texts, request)
        if wait:
            self._clock.sleep(wait)
        return _return_or_raise(outcome)

    async def aembed(self, texts: Sequence[str], request: Request) -> Embeddings:
        wait, outcome = self._vectors(texts, request)
        await self._clock.asleep(wait)
        return _return_or_raise(outcome)

    def close(self) -> None:
        """Do nothing: this provider has no connections."""

    async def aclose(self) -> None:
        """Do nothing: this provider has no connections."""

    def _answer(self, request: Request, number: int) -> Response:
        answer = self._answers(request)
        texts = [answer.text, *(part for call in answer.tool_calls for part in (call.name, call.arguments))]
        usage = Usage(input_tokens=count_messages(request.messages), output_tokens=sum(map(count_tokens, texts)))
        return Response(
            text=answer.text,
            tool_calls=answer.tool_calls,
            finish_reason=answer.finish_reason,
            usage=usage,
            cost=self._cost(usage),
            model=model_name(self._model),
            provider=self.name,
            response_id=f"offline-{self._options.seed}-{number}",
            simulated=True,
        )

    def _cost(self, usage: Usage) -> float | None:
        return cost_of(usage, self._price) if self._price else None

    def _failure(self, failure: str) -> ProviderError:
        return simulated_failure(failure, model=self._model, retry_after=self._options.failures.retry_after)

    def _seconds(self, tokens: int) -> float:
        return tokens / self._options.tokens_per_second if self._options.tokens_per_second else 0.0

    def _timed_out(self, what: str, seconds: float) -> ProviderTimeoutError:
        message = f"{self._model}: {what} did not come within {seconds:g} s"
        return ProviderTimeoutError(message, provider=self.name, model=self._model)

    def _within_total(self, wait: float, outcome: _Item | ProviderError, request: Request) -> _Step[_Item]:
        total = (request.timeout or self._timeout).total
        if total is not None and wait > total:
            return total, self._timed_out("the answer", total)
        return wait, outcome

    def _whole(self, request: Request) -> _Step[Response]:
        number, failed = self._failures.draw()
        latency = self._options.latency
        if failed is None:
            answer = self._answer(request, number)
            spoken = (self._options.first_token or 0.0) + self._seconds(answer.usage.output_tokens)
            return self._within_total(max(latency, spoken), answer, request)
        failure = self._failure(failed)
        if isinstance(failure, StreamInterruptedError):  # without a stream, the connection breaks
            failure = ProviderConnectionError(str(failure), provider=self.name, model=self._model)
        return self._within_total(latency, failure, request)

    def _vectors(self, texts: Sequence[str], request: Request) -> _Step[Embeddings]:
        _, failed = self._failures.draw()
        if failed is not None:
            return self._within_total(self._options.latency, self._failure(failed), request)
        dimensions = request.params.get("dimensions", request.extra.get("dimensions", self._options.dimensions))
        usage = Usage(input_tokens=sum(map(count_tokens, texts)))
        embeddings = Embeddings(
            vectors=[hashed_vector(text, dimensions=int(dimensions), seed=self._options.seed) for text in texts],
            usage=usage,
            cost=self._cost(usage),
            model=model_name(self._model),
            provider=self.name,
            simulated=True,
        )
        return self._within_total(self._options.latency, embeddings, request)

    def _timeline(self, request: Request) -> Iterator[_Step[Chunk]]:
        """Yield each chunk with the seconds before it; an error comes last."""
        bounds = request.timeout or self._timeout
        elapsed, gap = 0.0, bounds.first_token
        for wait, outcome in self._paced_chunks(request):
            if gap is not None and wait > gap and (bounds.total is None or elapsed + gap <= bounds.total):
                yield gap, self._timed_out("the next chunk", gap)
                return
            if bounds.total is not None and elapsed + wait > bounds.total:
                yield bounds.total - elapsed, self._timed_out("the whole answer", bounds.total)
                return
            elapsed += wait
            gap = bounds.between_chunks
            yield wait, outcome

    def _paced_chunks(self, request: Request) -> Iterator[_Step[Chunk]]:
        number, failed = self._failures.draw()
        options = self._options
        wait = options.latency if options.first_token is None else options.first_token
        failure = self._failure(failed) if failed else None
        if failure and not isinstance(failure, StreamInterruptedError):
            yield wait, failure
            return
        chunks = list(chunks_of(self._answer(request, number)))
        if failure:
            # A broken stream loses its second half, and always the last chunk, which has the finish reason.
            chunks = chunks[: (len(chunks) + 1) // 2] if len(chunks) > 1 else []
        partial = Accumulator()
        for chunk in chunks:
            yield wait, chunk
            partial.add(chunk)
            wait = self._seconds(1) if chunk.text or chunk.tool_calls else 0.0
        if failure:
            failure.partial = partial.response()
            yield wait, failure


def _return_or_raise(outcome: _Item | ProviderError) -> _Item:
    if isinstance(outcome, ProviderError):
        raise outcome
    return outcome
