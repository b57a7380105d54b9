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
from llmops_sdk.resilience._error_classes import should_fall_back

__all__ = ["Candidate", "FallbackProvider", "add_notes", "previous_failure_note"]

_Answer = TypeVar("_Answer", Response, Chunk)


@public("llmops_sdk.resilience")
@dataclass(frozen=True, slots=True)
class Candidate:
    """One of the models that may serve a call.

    Attributes:
        model: Provider and model, as in "openai/gpt-4.1-mini".
        provider: The provider that serves it, with the stages of its own, such as its retries.
    """

    model: str
    provider: Provider


@public("llmops_sdk.resilience")
class FallbackProvider(WrapperProvider):
    """A stage that asks one model after another until one answers; a stream only until the first piece of its answer.

    With `broken_stream = "restart"` a stream that breaks later goes on with the next model's whole answer, whose first
    chunk is marked.

    The total deadline of the request spans all models. Their attempts are numbered through and listed in the
    `attempts` of the answer or of the error, which is that of the last model asked. A vendor's own parameters
    (`Request.extra`) go only to models of the first one's provider. Only the first model makes embeddings: vectors of
    different models cannot be compared.

    Args:
        candidates: The models in the order in which they are asked; at least one.
        policy: Which errors go on to the next model.
        clock: The time.

    Raises:
        ValueError: There is no candidate.
        ProviderError: At a call: the error of the last model asked, with the attempts at all of them.

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
        self.prepare()
        state = self._begin(request)
        while True:
            with state:
                return state.with_attempts(state.provider.complete(state.request()))

    async def acomplete(self, request: Request) -> Response:
        await self.aprepare()
        state = self._begin(request)
        while True:
            with state:
                return state.with_attempts(await state.provider.acomplete(state.request()))

    def stream(self, request: Request) -> Iterator[Chunk]:
        self.prepare()
        state = self._begin(request)
        while True:
            with state, ExitStack() as undo:
                chunks = state.provider.stream(state.request())
                undo.callback(close, chunks)
                for chunk in chunks:
                    yield from state.take(chunk)
                yield from state.release()
                return

    async def astream(self, request: Request) -> AsyncIterator[Chunk]:
        await self.aprepare()
        state = self._begin(request)
        while True:
            with state:
                async with AsyncExitStack() as undo:
                    chunks = state.provider.astream(state.request())
                    undo.push_async_callback(aclose, chunks)
                    async for chunk in chunks:
                        for one in state.take(chunk):
                            yield one
                    for one in state.release():
                        yield one
                    return

    def close(self) -> None:
        for candidate in self.candidates:
            candidate.provider.close()

    async def aclose(self) -> None:
        for candidate in self.candidates:
            await candidate.provider.aclose()

    def _begin(self, request: Request) -> _FallbackState:
        return _FallbackState(self.candidates, self.policy, self._clock, request)


def previous_failure_note(name: str, error: Exception) -> str:
    """Return the note that a later error gets about one that was not raised."""
    return f"llmops: before this, {name} failed with {type(error).__name__}: {error}"


def add_notes(error: Exception, notes: Sequence[str]) -> None:
    """Add notes to an error, each once, even if the error is raised again."""
    for note in notes:
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)


@dataclass(slots=True)
class _FallbackState:
    """One call that goes from model to model.

    As a context manager around the call to one model it swallows the error that the next model is asked for.
    """

    candidates: tuple[Candidate, ...]
    policy: FallbackSettings
    clock: Clock
    asked: Request
    _at: int = 0
    _attempts: tuple[Attempt, ...] = ()
    _notes: tuple[str, ...] = ()
    _delivered: bool = False
    _restarted: bool = False
    _held: list[Chunk] = field(default_factory=list[Chunk])
    _deadline: float | None = None

    def __post_init__(self) -> None:
        total = (self.asked.timeout or Timeout()).total
        self._deadline = None if total is None else self.clock.monotonic() + total

    @property
    def provider(self) -> Provider:
        """Return the provider of the current model."""
        return self.candidates[self._at].provider

    def request(self) -> Request:
        """Return the request to the current model: with the time that is left, and attempts numbered through."""
        if not self._at:
            return self.asked
        candidate, left, timeout = self.candidates[self._at], self._left(), self.asked.timeout
        if left is not None:
            timeout = (timeout or Timeout()).model_copy(update={"total": left})
        return replace(
            self.asked,
            model=candidate.model,
            extra=self.asked.extra if candidate.provider.name == self.candidates[0].provider.name else {},
            timeout=timeout,
            first_attempt=self.asked.first_attempt + len(self._attempts),
            reason="fallback",
        )

    def _left(self) -> float | None:
        return None if self._deadline is None else self._deadline - self.clock.monotonic()

    def with_attempts(self, answer: _Answer) -> _Answer:
        """Return the answer with the attempts at earlier models before its own."""
        if self._attempts and answer.attempts:
            return replace(answer, attempts=(*self._attempts, *answer.attempts))
        return answer

    def take(self, chunk: Chunk) -> Iterator[Chunk]:
        """Return the chunks that the consumer gets now: none until one has a piece of the answer."""
        self._held.append(self.with_attempts(chunk))
        return self.release() if self._delivered or is_piece(chunk) else iter(())

    def release(self) -> Iterator[Chunk]:
        """Return the chunks held back; from here on the call stays with this model."""
        self._delivered = True
        held, self._held = self._held, []
        if self._restarted and held:
            held[0] = replace(held[0], restarted=True)
            self._restarted = False
        return iter(held)

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        if not isinstance(error, Exception):
            return False
        if isinstance(error, ProviderError):
            self._attempts = error.attempts = (*self._attempts, *error.attempts)
        left = self._left()
        last = self._at + 1 == len(self.candidates) or (left is not None and left <= 0)
        broken = self._delivered and isinstance(error, StreamInterruptedError)
        restarts = broken and self.policy.broken_stream == "restart"
        if last or not (restarts or (not self._delivered and should_fall_back(error, self.policy))):
            add_notes(error, self._notes)
            return False
        self._delivered, self._restarted = False, self._restarted or restarts
        self._notes = (*self._notes, previous_failure_note(self.candidates[self._at].model, error))
        self._held.clear()
        self._at += 1
        return True
