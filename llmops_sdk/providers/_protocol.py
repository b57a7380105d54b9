"""The one interface behind which every provider and every stage stands."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Protocol, runtime_checkable

from llmops_sdk._util._public import public
from llmops_sdk.providers._types import Chunk, Embeddings, Request, Response

__all__ = ["Provider", "WrapperProvider"]


@public("llmops_sdk.providers")
@runtime_checkable
class Provider(Protocol):
    """Answers requests, whole or streamed, sync or async.

    An implementation raises only errors of `llmops_sdk.errors` for what goes wrong with the provider. A stream that
    is closed early releases everything it holds. `stream` and `astream` do nothing before the first `next`.
    """

    @property
    def name(self) -> str:
        """The provider's name in the GenAI conventions, as in "openai"."""
        ...

    def complete(self, request: Request) -> Response:
        """The whole answer."""
        ...

    async def acomplete(self, request: Request) -> Response:
        """The whole answer, async."""
        ...

    def stream(self, request: Request) -> Iterator[Chunk]:
        """The answer in pieces."""
        ...

    def astream(self, request: Request) -> AsyncIterator[Chunk]:
        """The answer in pieces, async."""
        ...

    def embed(self, texts: Sequence[str], request: Request) -> Embeddings:
        """The vectors of `texts`; of the request only model, extra and timeout are read."""
        ...

    async def aembed(self, texts: Sequence[str], request: Request) -> Embeddings:
        """The vectors of `texts`, async."""
        ...

    def close(self) -> None:
        """Release connections; further calls may fail."""
        ...

    async def aclose(self) -> None:
        """Release connections, async."""
        ...


@public("llmops_sdk.providers")
class WrapperProvider:
    """A stage: passes everything on to the provider inside; a subclass overrides what it changes."""

    def __init__(self, inner: Provider) -> None:
        self.inner = inner

    @property
    def name(self) -> str:
        """The name of the provider inside."""
        return self.inner.name

    @property
    def server(self) -> tuple[str, int] | None:
        """The address and port of the server that the provider inside calls, where it says so."""
        return getattr(self.inner, "server", None)

    def complete(self, request: Request) -> Response:
        """The whole answer."""
        return self.inner.complete(request)

    async def acomplete(self, request: Request) -> Response:
        """The whole answer, async."""
        return await self.inner.acomplete(request)

    def stream(self, request: Request) -> Iterator[Chunk]:
        """The answer in pieces."""
        return self.inner.stream(request)

    def astream(self, request: Request) -> AsyncIterator[Chunk]:
        """The answer in pieces, async."""
        return self.inner.astream(request)

    def embed(self, texts: Sequence[str], request: Request) -> Embeddings:
        """The vectors of `texts`."""
        return self.inner.embed(texts, request)

    async def aembed(self, texts: Sequence[str], request: Request) -> Embeddings:
        """The vectors of `texts`, async."""
        return await self.inner.aembed(texts, request)

    def close(self) -> None:
        """Release connections."""
        self.inner.close()

    async def aclose(self) -> None:
        """Release connections, async."""
        await self.inner.aclose()
