"""Read the refusals in a vendor's stream: litellm drops the chunks that have nothing else."""

from __future__ import annotations

from typing import Any, Self

__all__ = ["watch_refusals"]


def watch_refusals(source: Any, pieces: list[str]) -> None:
    """Append the refusals in the vendor's stream inside litellm's stream to `pieces`."""
    inside = getattr(source, "completion_stream", None)
    is_async, is_sync = hasattr(inside, "__anext__"), hasattr(inside, "__next__")
    # litellm's own readers of other vendors' streams are both; those vendors send no refusals in pieces.
    if is_async != is_sync:
        source.completion_stream = (_AsyncWatch if is_async else _Watch)(inside, pieces)


class _Watch:
    def __init__(self, stream: Any, pieces: list[str]) -> None:
        self._stream = stream
        self._pieces = pieces

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        return _noted(next(self._stream), self._pieces)


class _AsyncWatch:
    def __init__(self, stream: Any, pieces: list[str]) -> None:
        self._stream = stream
        self._pieces = pieces

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        return _noted(await anext(self._stream), self._pieces)


def _noted(chunk: Any, pieces: list[str]) -> Any:
    choices = getattr(chunk, "choices", None)
    refusal = getattr(getattr(choices[0], "delta", None), "refusal", None) if choices else None
    if isinstance(refusal, str) and refusal:
        pieces.append(refusal)
    return chunk
