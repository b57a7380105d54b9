"""The stage that goes on to another model when one fails."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import TypeVar

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk._util._public import public
from llmops_sdk.config import FallbackSettings, Timeout
from llmops_sdk.errors import ProviderError, StreamInterruptedError
from llmops_sdk.providers import Attempt, Chunk, Provider, Request, Response, WrapperProvider
from llmops_sdk.resilience._chunks import aclose, close, is_piece
from llmops_sdk.resilience._policy import avoidable

__all__ = ["Candidate", "FallbackProvider", "add_notes", "told_before"]

_Told = TypeVar("_Told", Response, Chunk)


@public("llmops_sdk.resilience")
@dataclass(frozen=True, slots=True)
class Candidate:
    """One of the models that may serve a call.

    Attributes:
        model: Provider and model, as in "openai/gpt-4.1-mini".
        provider: What serves it, with the stages that are its own, as its retries.
    """

    model: str
    provider: Provider


@public("llmops_sdk.resilience")
class FallbackProvider(WrapperProvider):
    """Asks one model after another until one answers; a stream only until the first piece of its answer.

    With `broken_stream = "restart"` a stream that breaks later goes on with the next model's whole answer, of which
    the first chunk is marked.

    The total deadline of the request spans all of them, and their attempts are numbered through: they stand in the
    `attempts` of the answer or of the error that is raised, which is that of the last model asked. A vendor's own
    parameters (`Request.extra`) go only to models of the first one's provider. Vectors are made by the first model
    alone: those of another one cannot be compared with them.

    Args:
        candidates: The models in the order in which they are asked; at least one.
        policy: Which errors go on to the next.
        clock: The time.

    Raises:
        ValueError: There is no candidate.

    Example:
        >>> from llmops_sdk.config import FallbackSettings, Settings, resolve_model
        >>> from llmops_sdk.providers import Request, open_provider
        >>> from llmops_sdk.resilience import Candidate, FallbackProvider
        >>> down = Settings(options={"failures": {"sequence": ["server"]}})
        >>> first = Candidate("offline/echo", open_provider(resolve_model(down)))
        >>> second = Candidate("offline/echo", open_provider(resolve_model(Settings())))
        >>> provider = FallbackProvider([first, second], FallbackSettings())
        >>> provider.complete(Request(model="offline/echo", messages=[{"role": "user", "content": "Hi"}])).text
        'Hi'
    """

    def __init__(
        self, candidates: Sequence[Candidate], policy: FallbackSettings, *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        if not candidates:
            raise ValueError("a fallback needs at least one candidate")
        super().__init__(candidates[0].provider)
        self.candidates = tuple(candidates)
        self.policy = policy
        self._clock = clock

    def complete(self, request: Request) -> Response:
        """The whole answer.

        Raises:
            ProviderError: That of the last model asked, with the attempts of all of them.
        """
        hops = self._hops(request)
        while True:
            with hops:
                return hops.told(hops.provider.complete(hops.request))

    async def acomplete(self, request: Request) -> Response:
        """The whole answer, async.

        Raises:
            ProviderError: That of the last model asked, with the attempts of all of them.
        """
        hops = self._hops(request)
        while True:
            with hops:
                return hops.told(await hops.provider.acomplete(hops.request))

    def stream(self, request: Request) -> Iterator[Chunk]:
        """The answer in pieces, all of one model.

        Raises:
            ProviderError: That of the last model asked, with the attempts of all of them.
        """
        hops = self._hops(request)
        while True:
            with hops, ExitStack() as undo:
                chunks = hops.provider.stream(hops.request)
                undo.callback(close, chunks)
                for chunk in chunks:
                    yield from hops.released(chunk)
                yield from hops.rest()
                return

    async def astream(self, request: Request) -> AsyncIterator[Chunk]:
        """The answer in pieces, all of one model, async.

        Raises:
            ProviderError: That of the last model asked, with the attempts of all of them.
        """
        hops = self._hops(request)
        while True:
            with hops:
                async with AsyncExitStack() as undo:
                    chunks = hops.provider.astream(hops.request)
                    undo.push_async_callback(aclose, chunks)
                    async for chunk in chunks:
                        for one in hops.released(chunk):
                            yield one
                    for one in hops.rest():
                        yield one
                    return

    def close(self) -> None:
        """Close every candidate."""
        for candidate in self.candidates:
            candidate.provider.close()

    async def aclose(self) -> None:
        """Close every candidate, async."""
        for candidate in self.candidates:
            await candidate.provider.aclose()

    def _hops(self, request: Request) -> _Hops:
        return _Hops(self.candidates, self.policy, self._clock, request)


def told_before(name: str, error: Exception) -> str:
    """What the traceback of a later error says of one that was not raised."""
    return f"llmops: before this, {name} failed with {type(error).__name__}: {error}"


def add_notes(error: Exception, notes: Sequence[str]) -> None:
    """Add what failed before to the error that is raised; once, should it be raised again."""
    for note in notes:
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)


def _no_chunks() -> list[Chunk]:
    return []


@dataclass(slots=True)
class _Hops:
    """One call's way from model to model, without any I/O of its own.

    As a context manager around the call to one model it swallows the error that the next model is asked for.
    """

    candidates: tuple[Candidate, ...]
    policy: FallbackSettings
    clock: Clock
    asked: Request
    _at: int = 0
    _made: tuple[Attempt, ...] = ()
    _before: tuple[str, ...] = ()
    _delivered: bool = False
    _restarted: bool = False
    _held: list[Chunk] = field(default_factory=_no_chunks)
    _deadline: float | None = None

    def __post_init__(self) -> None:
        total = self._bounds.total
        self._deadline = None if total is None else self.clock.monotonic() + total

    @property
    def _bounds(self) -> Timeout:
        return self.asked.timeout or Timeout()

    @property
    def provider(self) -> Provider:
        """What serves the model whose turn it is."""
        return self.candidates[self._at].provider

    @property
    def request(self) -> Request:
        """The request to that model: with the time that is left, and with numbers that go on."""
        if not self._at:
            return self.asked
        candidate, left = self.candidates[self._at], self._left()
        timeout = self.asked.timeout if left is None else self._bounds.model_copy(update={"total": left})
        return replace(
            self.asked,
            model=candidate.model,
            extra=self.asked.extra if candidate.provider.name == self.candidates[0].provider.name else {},
            timeout=timeout,
            first_attempt=self.asked.first_attempt + len(self._made),
            reason="fallback",
        )

    def _left(self) -> float | None:
        return None if self._deadline is None else self._deadline - self.clock.monotonic()

    def told(self, answer: _Told) -> _Told:
        """The answer with the attempts at the models before."""
        return replace(answer, attempts=(*self._made, *answer.attempts)) if self._made and answer.attempts else answer

    def released(self, chunk: Chunk) -> Iterator[Chunk]:
        """The chunks that the consumer gets now: none before one has a piece of the answer."""
        self._held.append(self.told(chunk))
        return self.rest() if self._delivered or is_piece(chunk) else iter(())

    def rest(self) -> Iterator[Chunk]:
        """The chunks that are held back; from here on there is no other model."""
        self._delivered = True
        held, self._held = self._held, []
        if self._restarted and held:
            held[0] = replace(held[0], restarted=True)
            self._restarted = False
        return iter(held)

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        if isinstance(error, ProviderError):
            self._made = error.attempts = (*self._made, *error.attempts)
        left = self._left()
        last = self._at + 1 == len(self.candidates) or (left is not None and left <= 0)
        broken = self._delivered and isinstance(error, StreamInterruptedError)
        restarts = broken and self.policy.broken_stream == "restart"
        if last or not (restarts or (not self._delivered and avoidable(error, self.policy))):
            add_notes(error, self._before)
            return False
        self._delivered, self._restarted = False, self._restarted or restarts
        self._before = (*self._before, told_before(self.candidates[self._at].model, error))
        self._held.clear()
        self._at += 1
        return True
