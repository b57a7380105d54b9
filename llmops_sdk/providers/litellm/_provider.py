"""Call real models through litellm."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator, Generator, Iterator, Sequence
from contextlib import aclosing, closing, contextmanager
from dataclasses import replace
from typing import Any

from llmops_sdk.config import ResolvedModel, Timeout
from llmops_sdk.errors import (
    AuthenticationError,
    BadRequestError,
    ConfigError,
    LLMOpsError,
    NotFoundError,
    ProviderError,
    ServerError,
)
from llmops_sdk.providers._names import nearest
from llmops_sdk.providers._types import Chunk, Embeddings, Request, Response
from llmops_sdk.providers.litellm._callbacks import silence_stream, without_logging
from llmops_sdk.providers.litellm._clients import Clients
from llmops_sdk.providers.litellm._endpoint import Endpoint, check_headers, conventional_name, endpoint_of, server_of
from llmops_sdk.providers.litellm._errors import map_error, with_details
from llmops_sdk.providers.litellm._failures import failure_of
from llmops_sdk.providers.litellm._hooks import watching
from llmops_sdk.providers.litellm._library import Library, library
from llmops_sdk.providers.litellm._mapping import (
    are_vectors,
    arguments_of,
    price_of,
    response_of,
    route_of,
    timeout_of,
    usage_of,
    vectors_of,
)
from llmops_sdk.providers.litellm._params import takes_float_vectors
from llmops_sdk.providers.litellm._stream_reader import CallWatch, StreamReader
from llmops_sdk.providers.litellm.wire._refusals import watch_refusals

__all__ = ["LitellmProvider"]

_log = logging.getLogger("llmops_sdk")
_RESERVED = frozenset({"stream", "model", "messages", "client", "acompletion", "mock_response"})
_OFFLINE_ONLY = frozenset({"latency", "first_token", "tokens_per_second", "failures", "answers"})


class LitellmProvider:
    """Calls a model over the network, with one request per call. The stages around it retry."""

    def __init__(self, resolved: ResolvedModel) -> None:
        self._resolved = resolved
        self._name = conventional_name(resolved.provider)
        self._clients = Clients()
        self._vendor_is_known = False
        self._key: str | None = None
        ignored = sorted(_OFFLINE_ONLY & set(resolved.options))
        if ignored:
            _log.warning("llmops: %s ignores the options %s, which are for offline models", resolved.model, ignored)
        self._options = {key: value for key, value in resolved.options.items() if key not in _OFFLINE_ONLY}

    @property
    def name(self) -> str:
        return self._name

    @property
    def server(self) -> tuple[str, int] | None:
        return server_of(self._resolved)

    def prepare(self) -> None:
        """Import litellm, unless the key is missing: the first import takes seconds, which are not the model's time."""
        if self._has_key():
            library()

    async def aprepare(self) -> None:
        """Import litellm in a thread, unless the key is missing."""
        if self._has_key():
            await asyncio.to_thread(library)

    def _has_key(self) -> bool:
        try:
            endpoint_of(self._resolved)
        except AuthenticationError:  # the call raises it
            return False
        return True

    def complete(self, request: Request) -> Response:
        endpoint = endpoint_of(self._resolved)
        lib = self._library(endpoint)
        with self._watched(lib, request) as watch:
            arguments = self._arguments(lib, endpoint, request)
            raw = lib.litellm.completion(**arguments, client=self._clients.sync(lib, endpoint))
            return self._response(lib, endpoint, raw, watch)

    async def acomplete(self, request: Request) -> Response:
        endpoint = endpoint_of(self._resolved)
        lib = await self._alibrary(endpoint)
        with self._watched(lib, request) as watch:
            arguments = self._arguments(lib, endpoint, request)
            raw = await lib.litellm.acompletion(**arguments, client=self._clients.asynchronous(lib, endpoint))
            return self._response(lib, endpoint, raw, watch)

    def stream(self, request: Request) -> Iterator[Chunk]:
        """Yield the answer in chunks. Each has content, except the last one, which has the finish reason."""
        endpoint, outer = endpoint_of(self._resolved), sys.exc_info()[1]
        lib = self._library(endpoint)
        with closing(self._reader(endpoint, request)) as reader:
            try:
                client = self._clients.sync(lib, endpoint)
                with watching(reader), without_logging(lib):
                    arguments = self._stream_arguments(lib, endpoint, reader, request, client)
                    reader.source = lib.litellm.completion(**arguments)
                watch_refusals(reader.source, reader.refusals)
                silence_stream(lib, reader.source)
                while (chunk := reader.next_chunk_sync()) is not None:
                    yield chunk
            except lib.raised as error:
                reader.raise_unless_finished(error, self._mapped(error, request, outer, reader))
            yield reader.last_chunk(self._price(lib, endpoint, reader.usage(), reader))

    async def astream(self, request: Request) -> AsyncIterator[Chunk]:
        endpoint, outer = endpoint_of(self._resolved), sys.exc_info()[1]
        lib = await self._alibrary(endpoint)
        async with aclosing(self._reader(endpoint, request)) as reader:

            async def open_source() -> None:
                client = self._clients.asynchronous(lib, endpoint)
                with watching(reader), without_logging(lib):
                    arguments = self._stream_arguments(lib, endpoint, reader, request, client)
                    reader.source = await lib.litellm.acompletion(**arguments)
                watch_refusals(reader.source, reader.refusals)
                silence_stream(lib, reader.source)

            try:
                # A time-out of the loop bounds the first chunk alone: it must not contain a `yield`.
                chunk = await reader.first_chunk(open_source)
                while chunk is not None:
                    yield chunk
                    chunk = await reader.next_chunk()
            except lib.raised as error:
                reader.raise_unless_finished(error, self._mapped(error, request, outer, reader))
            yield reader.last_chunk(self._price(lib, endpoint, reader.usage(), reader))

    def embed(self, texts: Sequence[str], request: Request) -> Embeddings:
        endpoint = endpoint_of(self._resolved)
        lib = self._library(endpoint)
        arguments = self._embedding_arguments(lib, endpoint, texts, request)
        with self._watched(lib, request):
            raw = lib.litellm.embedding(**arguments, client=self._clients.sync(lib, endpoint, chat=False))
            return self._embeddings(lib, endpoint, raw, len(texts))

    async def aembed(self, texts: Sequence[str], request: Request) -> Embeddings:
        endpoint = endpoint_of(self._resolved)
        lib = await self._alibrary(endpoint)
        arguments = self._embedding_arguments(lib, endpoint, texts, request)
        with self._watched(lib, request):
            client = self._clients.asynchronous(lib, endpoint, chat=False)
            raw = await lib.litellm.aembedding(**arguments, client=client)
            return self._embeddings(lib, endpoint, raw, len(texts))

    def close(self) -> None:
        """Close the connections: those of the async methods soon, or with an event loop that does not run now."""
        self._clients.close()

    async def aclose(self) -> None:
        """Close the connections of the sync methods, and of the async methods in this event loop."""
        await self._clients.aclose()

    def _library(self, endpoint: Endpoint) -> Library:
        lib = library()
        self._key = endpoint.api_key
        if not self._vendor_is_known:
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
            self._vendor_is_known = True
        return lib

    async def _alibrary(self, endpoint: Endpoint) -> Library:
        await asyncio.to_thread(library)  # the first import takes seconds and must not block the event loop
        return self._library(endpoint)

    def _bounds(self, request: Request) -> Timeout:
        return request.timeout or self._resolved.timeout

    def _arguments(self, lib: Library, endpoint: Endpoint, request: Request, *, stream: bool = False) -> dict[str, Any]:
        if reserved := sorted(_RESERVED & {**self._options, **request.extra}.keys()):
            raise BadRequestError(
                f"{self._resolved.model}: `extra` and `options` cannot set {', '.join(reserved)}. Use the arguments of "
                "`chat`, or `stream` for an answer in chunks",
                provider=self._name,
                model=self._resolved.model,
            )
        check_headers(self._resolved, {**self._options, **request.extra})
        if request.extra:
            # litellm never ends on a value that contains itself.
            json.dumps(dict(request.extra), default=str, skipkeys=True)
        timeout = timeout_of(lib, self._bounds(request), stream=stream)
        return {**arguments_of(lib, endpoint, request, self._options), "timeout": timeout}

    def _reader(self, endpoint: Endpoint, request: Request) -> StreamReader:
        if (number := {**self._options, **request.params, **request.extra}.get("n")) not in {None, 1}:
            raise BadRequestError(
                f"{self._resolved.model}: a stream has one answer, but n is {number!r}. Leave n out, or use `chat`",
                provider=self._name,
                model=self._resolved.model,
            )
        return StreamReader(
            self._name, request, self._bounds(request), lines_are_json=endpoint.vendor in {"ollama", "cohere"}
        )

    def _stream_arguments(
        self, lib: Library, endpoint: Endpoint, reader: StreamReader, request: Request, client: Any
    ) -> dict[str, Any]:
        if client is None:
            reader.start_first_limit()  # litellm's own client does not report its requests
        arguments = self._arguments(lib, endpoint, request, stream=True)
        return {**arguments, "client": client, "stream": True, "stream_options": {"include_usage": True}}

    def _embedding_arguments(
        self, lib: Library, endpoint: Endpoint, texts: Sequence[str], request: Request
    ) -> dict[str, Any]:
        check_headers(self._resolved, request.extra)
        return {
            **request.params,
            **request.extra,
            **route_of(endpoint, chat=False),
            "input": list(texts),
            **({"encoding_format": "float"} if takes_float_vectors(lib, endpoint) else {}),
            "max_retries": 0,
            "timeout": timeout_of(lib, self._bounds(request), stream=False),
        }

    @contextmanager
    def _watched(self, lib: Library, request: Request) -> Generator[CallWatch]:
        """Bound the call in this block by its time limits, and raise its failures as our errors."""
        outer, watch = sys.exc_info()[1], CallWatch(self._bounds(request))
        watch.body.needs_tier = self._resolved.provider == "groq"
        try:
            with watching(watch), without_logging(lib):
                yield watch
        except lib.raised as error:
            mapped = self._mapped(error, request, outer, watch)
            if mapped is error:
                raise
            raise mapped from error

    def _mapped(
        self, error: BaseException, request: Request, outer: BaseException | None, watch: CallWatch
    ) -> LLMOpsError:
        if watch.refused is not None:
            return NotFoundError(f"{request.model}: {watch.refused}", provider=self._name, model=request.model)
        mapped = map_error(
            error,
            request,
            provider=self._name,
            outer=outer,
            answered=watch.answered,
            sent=watch.address is not None,
            failure=failure_of(watch.response),
            told=watch.body.error if watch.answered else None,
        )
        if mapped is error:
            return mapped
        if isinstance(mapped, ProviderError):
            mapped.rate_limits = watch.rate_limits
        return with_details(mapped, address=watch.address, key=self._key)

    def _price(self, lib: Library, endpoint: Endpoint, usage: Any, watch: CallWatch | None = None) -> float | None:
        tier = watch.body.service_tier if watch is not None else None
        return price_of(lib, endpoint, usage, self._resolved.price, self._resolved.provider, service_tier=tier)

    def _response(self, lib: Library, endpoint: Endpoint, raw: Any, watch: CallWatch) -> Response:
        if not raw.choices:
            raise self._malformed("it has no choices")
        cost = self._price(lib, endpoint, getattr(raw, "usage", None), watch)
        response = response_of(raw, watch.body, provider=self._name, model=self._resolved.model, cost=cost)
        return response if (limits := watch.rate_limits) is None else replace(response, rate_limits=limits)

    def _embeddings(self, lib: Library, endpoint: Endpoint, raw: Any, texts: int) -> Embeddings:
        vectors = vectors_of(raw)
        if vectors is None or len(vectors) != texts:
            raise self._malformed(f"it does not have one vector for each of the {texts} texts")
        if not are_vectors(vectors):
            raise self._malformed("its vectors are empty, differ in length, or have values that are not finite numbers")
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
