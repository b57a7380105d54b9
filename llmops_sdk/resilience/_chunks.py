"""What stages that try again need to know of a stream's chunks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from llmops_sdk.providers import Chunk

__all__ = ["aclose", "close", "is_piece"]


def is_piece(chunk: Chunk) -> bool:
    """Whether a consumer would see something of the answer in it."""
    return bool(chunk.text or chunk.tool_calls or chunk.reasoning or chunk.finish_reason)


def close(chunks: Iterator[Any]) -> None:
    """Close an iterator that can be closed."""
    end = getattr(chunks, "close", None)
    if end is not None:
        end()


async def aclose(chunks: AsyncIterator[Any]) -> None:
    """Close an async iterator that can be closed."""
    end = getattr(chunks, "aclose", None)
    if end is not None:
        await end()
