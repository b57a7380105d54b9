"""Helpers of the stages that read streams."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from llmops_sdk.providers import Chunk

__all__ = ["aclose", "close", "is_piece"]


def is_piece(chunk: Chunk) -> bool:
    """Return whether the chunk shows the consumer something of the answer."""
    return bool(chunk.text or chunk.tool_calls or chunk.reasoning or chunk.finish_reason)


def close(chunks: Iterator[Any]) -> None:
    """Close an iterator that has a `close` method."""
    end = getattr(chunks, "close", None)
    if end is not None:
        end()


async def aclose(chunks: AsyncIterator[Any]) -> None:
    """Close an async iterator that has an `aclose` method."""
    end = getattr(chunks, "aclose", None)
    if end is not None:
        await end()
