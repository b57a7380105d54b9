"""Every provider but the offline one, through litellm."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from llmops_sdk.config import ResolvedModel, Timeout
from llmops_sdk.errors import ConfigError, LLMOpsError, ServerError
from llmops_sdk.providers._names import nearest
from llmops_sdk.providers._types import Chunk, Embeddings, Request, Response
from llmops_sdk.providers.litellm._clients import Clients, watched
from llmops_sdk.providers.litellm._endpoint import Endpoint, conventional_name, endpoint_of, server_of
from llmops_sdk.providers.litellm._errors import map_error
from llmops_sdk.providers.litellm._library import Library, library
from llmops_sdk.providers.litellm._mapping import (
    arguments_of,
    price_of,
    response_of,
    route_of,
    timeout_of,
    usage_of,
    vectors_of,
)
from llmops_sdk.providers.litellm._stream_reader import Asking, Reading

__all__ = ["LitellmProvider"]

_log = logging.getLogger("llmops_sdk")
_OFFLINE_ONLY = frozenset({"latency", "first_token", "tokens_per_second", "failures", "answers"})


class LitellmProvider:
    """Calls a model over the network, one request for each call: trying again is for the stages around it."""

    def __init__(self, resolved: ResolvedModel) -> None:
        self._resolved = resolved
        self._name = conventional_name(resolved.provider)
        self._clients = Clients()
        self._known = False
        left_out = sorted(_OFFLINE_ONLY & set(resolved.options))
        if left_out:
            _log.warning(
                "llmops: the options %s are for offline models; %s does not get them", left_out, resolved.model
            )
        self._options = {key: value for key, value in resolved.options.items() if key not in _OFFLINE_ONLY}

    @property
    def name(self) -> str:
        """The provider's name in the GenAI conventions."""
        return self._name

    @property
    def server(self) -> tuple[str, int] | None:
        """The address and port of the server that it calls, or None when only litellm knows them."""
        return server_of(self._resolved)

    def complete(self, request: Request) -> Response:
        """The whole answer."""
        endpoint, outer = endpoint_of(self._resolved), sys.exc_info()[1]
        lib = self._library(endpoint)
        arguments, asking = self._arguments(lib, endpoint, request, stream=False), Asking(self._bounds(request))
        try:
            with watched(asking):
                raw = lib.litellm.completion(**arguments, client=self._clients.sync(lib, endpoint))
        except lib.raised as error:
            raise self._mapped(error, request, outer, asking) from error
        return self._response(lib, endpoint, raw)

    async def acomplete(self, request: Request) -> Response:
        """The whole answer, async."""
        endpoint, outer = endpoint_of(self._resolved), sys.exc_info()[1]
        lib = await self._alibrary(endpoint)
        arguments, asking = self._arguments(lib, endpoint, request, stream=False), Asking(self._bounds(request))
        try:
            with watched(asking):
                raw = await lib.litellm.acompletion(**arguments, client=self._clients.asynchronous(lib, endpoint))
        except lib.raised as error:
            raise self._mapped(error, request, outer, asking) from error
        return self._response(lib, endpoint, raw)

    def stream(self, request: Request) -> Iterator[Chunk]:
        """The answer in pieces; each has something in it, and the last one the finish reason."""
        endpoint, outer = endpoint_of(self._resolved), sys.exc_info()[1]
        lib = self._library(endpoint)
        reading = Reading(self._name, request, self._bounds(request))
        with ExitStack() as undo:
            undo.callback(reading.close)
            try:
                client = self._clients.sync(lib, endpoint)
                with watched(reading):
                    if client is None:
                        reading.sent()  # litellm's own client tells nobody
                    arguments = self._arguments(lib, endpoint, request, stream=True)
                    reading.source = lib.litellm.completion(**arguments, client=client)
                for raw in reading.source:
                    if (chunk := reading.read(raw)) is not None:
                        yield chunk
            except lib.raised as error:
                reading.broke(error, self._mapped(error, request, outer, reading))
            yield reading.last(self._price(lib, endpoint, reading.usage()))

    async def astream(self, request: Request) -> AsyncIterator[Chunk]:
        """The answer in pieces, async."""
        endpoint, outer = endpoint_of(self._resolved), sys.exc_info()[1]
        lib = await self._alibrary(endpoint)
        reading = Reading(self._name, request, self._bounds(request))
        try:
            try:
                # The first chunk under a time-out of the loop, which no `yield` may stand in; then the others.
                chunk = await reading.begun(lambda: self._open(lib, endpoint, request, reading))
                while chunk is not None:
                    yield chunk
                    chunk = await reading.following()
            except lib.raised as error:
                reading.broke(error, self._mapped(error, request, outer, reading))
            yield reading.last(self._price(lib, endpoint, reading.usage()))
        finally:
            await reading.aclose()

    async def _open(self, lib: Library, endpoint: Endpoint, request: Request, reading: Reading) -> None:
        client = self._clients.asynchronous(lib, endpoint)
        with watched(reading):
            if client is None:
                reading.sent()
            arguments = self._arguments(lib, endpoint, request, stream=True)
            reading.source = await lib.litellm.acompletion(**arguments, client=client)

    def embed(self, texts: Sequence[str], request: Request) -> Embeddings:
        """The vectors of `texts`."""
        endpoint, outer = endpoint_of(self._resolved), sys.exc_info()[1]
        lib = self._library(endpoint)
        arguments, asking = self._embedding(lib, endpoint, texts, request), Asking(self._bounds(request))
        try:
            with watched(asking):
                raw = lib.litellm.embedding(**arguments, client=self._clients.sync(lib, endpoint))
        except lib.raised as error:
            raise self._mapped(error, request, outer, asking) from error
        return self._embeddings(lib, endpoint, raw, len(texts))

    async def aembed(self, texts: Sequence[str], request: Request) -> Embeddings:
        """The vectors of `texts`, async."""
        endpoint, outer = endpoint_of(self._resolved), sys.exc_info()[1]
        lib = await self._alibrary(endpoint)
        arguments, asking = self._embedding(lib, endpoint, texts, request), Asking(self._bounds(request))
        try:
            with watched(asking):
                raw = await lib.litellm.aembedding(**arguments, client=self._clients.asynchronous(lib, endpoint))
        except lib.raised as error:
            raise self._mapped(error, request, outer, asking) from error
        return self._embeddings(lib, endpoint, raw, len(texts))

    def close(self) -> None:
        """Close the connections of the sync methods; those of the async ones close when their event loop ends."""
        self._clients.close()

    async def aclose(self) -> None:
        """Close the connections, those of the async methods in this event loop included."""
        await self._clients.aclose()

    def _library(self, endpoint: Endpoint) -> Library:
        lib = library()
        if not self._known:
            known = {str(getattr(name, "value", name)) for name in lib.litellm.provider_list} | {"offline"}
            if endpoint.vendor not in known:
                close = nearest(endpoint.vendor, known)
                hint = f'; did you mean "{close}/{endpoint.model}"?' if close else ""
                raise ConfigError(
                    f'"{self._resolved.model}": there is no provider "{endpoint.vendor}"{hint}',
                    key="model",
                    value=self._resolved.model,
                    nearest=close,
                )
            self._known = True
        return lib

    async def _alibrary(self, endpoint: Endpoint) -> Library:
        await asyncio.to_thread(library)  # seconds, the first time, which the event loop must not stand still for
        return self._library(endpoint)

    def _bounds(self, request: Request) -> Timeout:
        return request.timeout or self._resolved.timeout

    def _arguments(self, lib: Library, endpoint: Endpoint, request: Request, *, stream: bool) -> dict[str, Any]:
        arguments = arguments_of(lib, endpoint, request, self._options)
        arguments["timeout"] = timeout_of(lib, self._bounds(request), stream=stream)
        if stream:
            arguments |= {"stream": True, "stream_options": {"include_usage": True}}
        return arguments

    def _embedding(self, lib: Library, endpoint: Endpoint, texts: Sequence[str], request: Request) -> dict[str, Any]:
        return {
            **request.params,
            **request.extra,
            **route_of(endpoint, chat=False),
            "input": list(texts),
            "encoding_format": "float",
            "max_retries": 0,
            "timeout": timeout_of(lib, self._bounds(request), stream=False),
        }

    def _mapped(
        self, error: BaseException, request: Request, outer: BaseException | None, asking: Asking
    ) -> LLMOpsError:
        return map_error(error, request, provider=self._name, outer=outer, answered=asking.answered)

    def _price(self, lib: Library, endpoint: Endpoint, usage: Any) -> float | None:
        return price_of(lib, endpoint, usage, self._resolved.price, self._resolved.provider)

    def _response(self, lib: Library, endpoint: Endpoint, raw: Any) -> Response:
        if not raw.choices:
            raise self._malformed("it has no choices")
        cost = self._price(lib, endpoint, getattr(raw, "usage", None))
        return response_of(raw, provider=self._name, cost=cost)

    def _embeddings(self, lib: Library, endpoint: Endpoint, raw: Any, texts: int) -> Embeddings:
        vectors = vectors_of(raw)
        if vectors is None or len(vectors) != texts:
            raise self._malformed(f"it does not have one vector for each of the {texts} texts")
        return Embeddings(
            vectors=vectors,
            usage=usage_of(raw.usage),
            cost=self._price(lib, endpoint, raw.usage),
            model=raw.model or self._resolved.model,
            provider=self._name,
        )

    def _malformed(self, what: str) -> ServerError:
        model = self._resolved.model
        return ServerError(f"{model}: the server's answer is malformed: {what}", provider=self._name, model=model)
