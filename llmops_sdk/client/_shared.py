"""The provider that serves a model: the opened one, or what a test has put in its place."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk.config import ResolvedModel
from llmops_sdk.providers import Chunk, Embeddings, Provider, Request, Response, WrapperProvider

__all__ = ["CALL_CLOCK", "STAND_INS", "SharedProvider"]


@dataclass(slots=True)
class _StandIns:
    """What stands in for the real thing in every thread; set by `llmops_sdk.testing` alone.

    Attributes:
        provider: Given a model and its provider, the provider that shall serve the call; None is the given one.
        clock: What calls to models wait with between attempts.
    """

    provider: Callable[[ResolvedModel, Provider], Provider] | None = None
    clock: Clock = SYSTEM_CLOCK


STAND_INS = _StandIns()


class _CallClock:
    """The clock in force at each reading: the stages that hold it are older than the test that turns it."""

    def time(self) -> float:
        """Seconds since the epoch."""
        return STAND_INS.clock.time()

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""
        return STAND_INS.clock.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait in this thread."""
        STAND_INS.clock.sleep(seconds)

    async def asleep(self, seconds: float) -> None:
        """Wait in this task."""
        await STAND_INS.clock.asleep(seconds)


CALL_CLOCK: Clock = _CallClock()


class SharedProvider(WrapperProvider):
    """A provider that several chains stand on: none of them closes it.

    Who serves is asked at each call, so that chains made before a test began are under its rule as well.

    Args:
        resolved: The model that it serves.
        inner: The opened provider.
    """

    def __init__(self, resolved: ResolvedModel, inner: Provider) -> None:
        super().__init__(inner)
        self._resolved = resolved

    def _serving(self) -> Provider:
        choose = STAND_INS.provider
        return self.inner if choose is None else choose(self._resolved, self.inner)

    @property
    def name(self) -> str:
        """The name of the provider that serves."""
        return self._serving().name

    @property
    def server(self) -> tuple[str, int] | None:
        """The address and port of the server that the provider calls, where it says so."""
        return getattr(self._serving(), "server", None)

    def complete(self, request: Request) -> Response:
        """The whole answer."""
        return self._serving().complete(request)

    async def acomplete(self, request: Request) -> Response:
        """The whole answer, async."""
        return await self._serving().acomplete(request)

    def stream(self, request: Request) -> Iterator[Chunk]:
        """The answer in pieces."""
        return self._serving().stream(request)

    def astream(self, request: Request) -> AsyncIterator[Chunk]:
        """The answer in pieces, async."""
        return self._serving().astream(request)

    def embed(self, texts: Sequence[str], request: Request) -> Embeddings:
        """The vectors of `texts`."""
        return self._serving().embed(texts, request)

    async def aembed(self, texts: Sequence[str], request: Request) -> Embeddings:
        """The vectors of `texts`, async."""
        return await self._serving().aembed(texts, request)

    def close(self) -> None:
        """Nothing: its `Stages` close it."""

    async def aclose(self) -> None:
        """Nothing: its `Stages` close it."""
