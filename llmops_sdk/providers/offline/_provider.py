"""The offline provider: answers without a network, deterministic, and marked as simulated."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk.config import Timeout
from llmops_sdk.errors import (
    ProviderConnectionError,
    ProviderError,
    ProviderTimeoutError,
    StreamInterruptedError,
)
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


class Answers(Protocol):
    """What decides an offline model's answer: text, tool calls and finish reason; the rest is filled in."""

    def __call__(self, request: Request) -> Response:
        """The answer to `request`."""
        ...


class OfflineProvider:
    """Answers in this process, with the latency, pace and failures of its options.

    Tokens are counted (see `count_tokens`), a cost is given when a price is configured, and everything that comes
    from here bears `simulated=True`.
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
        """Always "offline"."""
        return "offline"

    def complete(self, request: Request) -> Response:
        """The whole answer, after `latency`, or at the pace of `tokens_per_second` when that takes longer."""
        wait, outcome = self._whole(request)
        if wait:
            self._clock.sleep(wait)
        return _settled(outcome)

    async def acomplete(self, request: Request) -> Response:
        """The whole answer, async."""
        wait, outcome = self._whole(request)
        await self._clock.asleep(wait)
        return _settled(outcome)

    def stream(self, request: Request) -> Iterator[Chunk]:
        """The answer in pieces of about a token."""
        for wait, outcome in self._timeline(request):
            if wait:
                self._clock.sleep(wait)
            yield _settled(outcome)

    async def astream(self, request: Request) -> AsyncIterator[Chunk]:
        """The answer in pieces, async."""
        for wait, outcome in self._timeline(request):
            if wait:
                await self._clock.asleep(wait)
            yield _settled(outcome)

    def embed(self, texts: Sequence[str], request: Request) -> Embeddings:
        """Unit vectors of hashed words: the same text has the same vector, similar texts lie nearer."""
        wait, outcome = self._vectors(texts, request)
        if wait:
            self._clock.sleep(wait)
        return _settled(outcome)

    async def aembed(self, texts: Sequence[str], request: Request) -> Embeddings:
        """Unit vectors of hashed words, async."""
        wait, outcome = self._vectors(texts, request)
        await self._clock.asleep(wait)
        return _settled(outcome)

    def close(self) -> None:
        """Nothing is held."""

    async def aclose(self) -> None:
        """Nothing is held."""

    def _answer(self, request: Request, number: int) -> Response:
        answer = self._answers(request)
        spoken = [answer.text, *(part for call in answer.tool_calls for part in (call.name, call.arguments))]
        usage = Usage(
            input_tokens=count_messages(request.messages), output_tokens=sum(count_tokens(text) for text in spoken)
        )
        return Response(
            text=answer.text,
            tool_calls=answer.tool_calls,
            finish_reason=answer.finish_reason,
            usage=usage,
            cost=cost_of(usage, self._price) if self._price else None,
            model=model_name(self._model),
            provider=self.name,
            response_id=f"offline-{self._options.seed}-{number}",
            simulated=True,
        )

    def _failure(self, kind: str) -> ProviderError:
        return simulated_failure(kind, model=self._model, retry_after=self._options.failures.retry_after)

    def _pace(self, tokens: int) -> float:
        return tokens / self._options.tokens_per_second if self._options.tokens_per_second else 0.0

    def _late(self, what: str, seconds: float) -> ProviderTimeoutError:
        message = f"{self._model}: {what} did not come within {seconds:g} s"
        return ProviderTimeoutError(message, provider=self.name, model=self._model)

    def _within_total(self, wait: float, outcome: _Item | ProviderError, request: Request) -> _Step[_Item]:
        total = (request.timeout or self._timeout).total
        return (total, self._late("the answer", total)) if total is not None and wait > total else (wait, outcome)

    def _whole(self, request: Request) -> _Step[Response]:
        number, fate = self._failures.draw()
        latency = self._options.latency
        if fate is None:
            answer = self._answer(request, number)
            started = self._options.first_token or 0.0
            return self._within_total(max(latency, started + self._pace(answer.usage.output_tokens)), answer, request)
        failure = self._failure(fate)
        if isinstance(failure, StreamInterruptedError):  # there is no stream to break: the connection breaks
            failure = ProviderConnectionError(str(failure), provider=self.name, model=self._model)
        return self._within_total(latency, failure, request)

    def _vectors(self, texts: Sequence[str], request: Request) -> _Step[Embeddings]:
        _, fate = self._failures.draw()
        if fate is not None:
            return self._within_total(self._options.latency, self._failure(fate), request)
        asked = request.params.get("dimensions", request.extra.get("dimensions", self._options.dimensions))
        usage = Usage(input_tokens=sum(count_tokens(text) for text in texts))
        made = Embeddings(
            vectors=[hashed_vector(text, dimensions=int(asked), seed=self._options.seed) for text in texts],
            usage=usage,
            cost=cost_of(usage, self._price) if self._price else None,
            model=model_name(self._model),
            provider=self.name,
            simulated=True,
        )
        return self._within_total(self._options.latency, made, request)

    def _timeline(self, request: Request) -> Iterator[_Step[Chunk]]:
        """Each chunk with the seconds before it; an error, when there is one, is the last."""
        bounds = request.timeout or self._timeout
        elapsed, gap = 0.0, bounds.first_token
        for wait, outcome in self._paced(request):
            if gap is not None and wait > gap and (bounds.total is None or elapsed + gap <= bounds.total):
                yield gap, self._late("the next chunk", gap)
                return
            if bounds.total is not None and elapsed + wait > bounds.total:
                yield bounds.total - elapsed, self._late("the whole answer", bounds.total)
                return
            elapsed += wait
            gap = bounds.between_chunks
            yield wait, outcome

    def _paced(self, request: Request) -> Iterator[_Step[Chunk]]:
        number, fate = self._failures.draw()
        options = self._options
        wait = options.latency if options.first_token is None else options.first_token
        failure = self._failure(fate) if fate else None
        if failure and not isinstance(failure, StreamInterruptedError):
            yield wait, failure
            return
        chunks = list(chunks_of(self._answer(request, number)))
        # A broken stream has lost its second half, and always its last chunk, which has the finish reason.
        kept = chunks[: (len(chunks) + 1) // 2] if failure and len(chunks) > 1 else chunks[:-1] if failure else chunks
        partial = Accumulator()
        for chunk in kept:
            yield wait, chunk
            partial.add(chunk)
            wait = self._pace(1) if chunk.text or chunk.tool_calls else 0.0
        if failure:
            failure.partial = partial.response()
            yield wait, failure


def _settled(outcome: _Item | ProviderError) -> _Item:
    if isinstance(outcome, ProviderError):
        raise outcome
    return outcome
