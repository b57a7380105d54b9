"""Ask a provider in one of its four ways, and get a whole response."""

from __future__ import annotations

import asyncio

from llmops_sdk.providers import Accumulator, Chunk, Provider, Request, Response

__all__ = ["WAYS", "answer_of"]

WAYS = ("complete", "acomplete", "stream", "astream")


def answer_of(provider: Provider, request: Request, way: str) -> Response:
    """Return the answer; the chunks of a stream are joined."""
    if way == "complete":
        return provider.complete(request)
    if way == "acomplete":
        return asyncio.run(provider.acomplete(request))
    whole = Accumulator()
    for chunk in provider.stream(request) if way == "stream" else asyncio.run(_collected(provider, request)):
        whole.add(chunk)
    return whole.response()


async def _collected(provider: Provider, request: Request) -> list[Chunk]:
    return [chunk async for chunk in provider.astream(request)]
