"""A provider of our protocol that makes the plainest HTTP call, for measurements above what litellm's code allows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from urllib.parse import urlsplit

from llmops_sdk.errors import ProviderConnectionError
from llmops_sdk.providers import Chunk, Embeddings, Request, Response, Usage


class DirectProvider:
    """Calls a server of the OpenAI API over kept connections; async and whole answers only.

    Args:
        url: The server's URL, without a path.
    """

    name = "openai_compatible"

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.server = (str(parts.hostname), int(parts.port or 80))
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def acomplete(self, request: Request) -> Response:
        """Return the answer."""
        body = json.dumps({"model": request.model_name, "messages": list(request.messages)}).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        try:
            reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection(*self.server)
            try:
                writer.write(head.encode() + body)
                answered = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                size = int(answered.split("content-length: ")[1].split("\r\n")[0])
                answer = json.loads(await reader.readexactly(size))
            except BaseException:
                writer.close()
                raise
        except (OSError, asyncio.IncompleteReadError) as error:
            raise ProviderConnectionError(f"no answer: {error}", provider=self.name, model=request.model) from error
        self._idle.append((reader, writer))
        choice, usage = answer["choices"][0], answer["usage"]
        return Response(
            text=choice["message"]["content"],
            usage=Usage(input_tokens=usage["prompt_tokens"], output_tokens=usage["completion_tokens"]),
            model=answer["model"],
            provider=self.name,
            finish_reason=choice["finish_reason"],
        )

    def complete(self, request: Request) -> Response:
        """Refuse."""
        raise NotImplementedError("async only")

    def stream(self, request: Request) -> Iterator[Chunk]:
        """Refuse."""
        raise NotImplementedError("whole answers only")

    def astream(self, request: Request) -> AsyncIterator[Chunk]:
        """Refuse."""
        raise NotImplementedError("whole answers only")

    def embed(self, texts: Sequence[str], request: Request) -> Embeddings:
        """Refuse."""
        raise NotImplementedError("no vectors")

    async def aembed(self, texts: Sequence[str], request: Request) -> Embeddings:
        """Refuse."""
        raise NotImplementedError("no vectors")

    def close(self) -> None:
        """Close the kept connections."""
        for _, writer in self._idle:
            writer.close()

    async def aclose(self) -> None:
        """Close the kept connections."""
        self.close()
