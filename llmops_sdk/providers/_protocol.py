"""The interface of every provider, and of every stage around one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Protocol, runtime_checkable

from llmops_sdk._util._public import public
from llmops_sdk.providers._types import Chunk, Embeddings, Request, Response
from llmops_sdk.providers.traffic import Health, Target, health_of

__all__ = ["Provider", "WrapperProvider"]


@public("llmops_sdk.providers")
@runtime_checkable
class Provider(Protocol):
    """Answers requests, whole or streamed, sync or async.

    When the provider fails, an implementation raises errors of `llmops_sdk.errors` only. A stream that is closed
    early releases its connection. `stream` and `astream` do nothing before the first `next`.
    """

    @property
    def name(self) -> str:
        """Return the provider's name in the GenAI conventions, as in "openai"."""
        ...

    def complete(self, request: Request) -> Response:
        """Return the whole answer."""
        ...

    async def acomplete(self, request: Request) -> Response:
        """Return the whole answer, async."""
        ...

    def stream(self, request: Request) -> Iterator[Chunk]:
        """Yield the answer in chunks."""
        ...

    def astream(self, request: Request) -> AsyncIterator[Chunk]:
        """Yield the answer in chunks, async."""
        ...

    def embed(self, texts: Sequence[str], request: Request) -> Embeddings:
        """Return the vectors of `texts`; of the request, only model, params, extra and timeout count."""
        ...

    async def aembed(self, texts: Sequence[str], request: Request) -> Embeddings:
        """Return the vectors of `texts`, async."""
        ...

    def close(self) -> None:
        """Release connections; further calls may fail."""
        ...

    async def aclose(self) -> None:
        """Release connections, async."""
        ...


@public("llmops_sdk.providers")
class WrapperProvider:
    """A stage that passes every call to its inner provider; a subclass overrides what it changes."""

    def __init__(self, inner: Provider) -> None:
        self.inner = inner

    @property
    def name(self) -> str:
        """Return the name of the inner provider."""
        return self.inner.name

    @property
    def server(self) -> tuple[str, int] | None:
        """Return the address and port of the inner provider's server, or None if unknown."""
        return getattr(self.inner, "server", None)

    def has_other_deployment(self, tried: Sequence[Target]) -> bool:
        """Return whether a deployment below is ready that is not among those tried."""
        has_other = getattr(getattr(self, "inner", None), "has_other_deployment", None)
        return has_other is not None and has_other(tried)

    def health(self) -> Health:
        """Return the health of the deployment below; without limits and breaker it is always ready."""
        return health_of(getattr(self, "inner", None))

    def prepare(self) -> None:
        """Let the inner provider do what it needs before its first call and no model's time should include."""
        # A subclass that answers by itself may have no inner provider.
        prepare = getattr(getattr(self, "inner", None), "prepare", None)
        if prepare is not None:
            prepare()

    async def aprepare(self) -> None:
        """Let the inner provider do what it needs before its first call, async."""
        aprepare = getattr(getattr(self, "inner", None), "aprepare", None)
        if aprepare is not None:
            await aprepare()

    def complete(self, request: Request) -> Response:
        """Return the whole answer."""
        return self.inner.complete(request)

    async def acomplete(self, request: Request) -> Response:
        """Return the whole answer, async."""
        return await self.inner.acomplete(request)

    def stream(self, request: Request) -> Iterator[Chunk]:
        """Yield the answer in chunks."""
        return self.inner.stream(request)

    def astream(self, request: Request) -> AsyncIterator[Chunk]:
        """Yield the answer in chunks, async."""
        return self.inner.astream(request)

    def embed(self, texts: Sequence[str], request: Request) -> Embeddings:
        """Return the vectors of `texts`."""
        return self.inner.embed(texts, request)

    async def aembed(self, texts: Sequence[str], request: Request) -> Embeddings:
        """Return the vectors of `texts`, async."""
        return await self.inner.aembed(texts, request)

    def close(self) -> None:
        """Release connections."""
        self.inner.close()

    async def aclose(self) -> None:
        """Release connections, async."""
        await self.inner.aclose()
