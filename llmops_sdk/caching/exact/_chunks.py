"""The chunks of a stored stream, so that a replay has the same boundaries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any, cast

from llmops_sdk.providers import Chunk, Response, ToolCallDelta, chunks_of
from llmops_sdk.providers._types import REASONING_BLOCKS

__all__ = ["as_served", "read_chunks", "usable", "write_chunks"]

_TEXTS = ("reasoning", "refusal")
_DELTA = {"index", "id", "name", "arguments"}


def write_chunks(chunks: Iterable[Chunk]) -> list[Any]:
    """Return what the chunks of a whole answer bring, one item each: a text alone is a string, others are dicts.

    Usage, cost and the end of the answer are in the answer itself.
    """
    written: list[Any] = []
    for chunk in chunks:
        item: dict[str, Any] = {name: getattr(chunk, name) for name in _TEXTS if getattr(chunk, name)}
        item |= {name: list(getattr(chunk, name)) for name in REASONING_BLOCKS if getattr(chunk, name)}
        if chunk.tool_calls:
            item["tool_calls"] = [asdict(delta) for delta in chunk.tool_calls]
        written.append({**item, "text": chunk.text} if item else chunk.text)
    return written


def read_chunks(payload: Any, served: Response) -> list[Chunk]:
    """Return the chunks of a stored answer as the cache serves them; about one for each token if it was not streamed.

    Args:
        payload: The stored answer.
        served: The answer read from it.
    """
    stored = cast("dict[str, Any]", payload).get("chunks")
    base = Chunk(
        model=served.model or None,
        provider=served.provider or None,
        response_id=served.response_id,
        cache=served.cache,
        simulated=served.simulated,
    )
    chunks = _chunks(stored, base)
    if not chunks:
        return list(chunks_of(served))
    end = {
        "finish_reason": served.finish_reason,
        "usage": served.usage,
        "cost": served.cost,
        "saved_cost": served.saved_cost,
    }
    return [*chunks[:-1], replace(chunks[-1], **end)]


def _chunks(stored: Any, base: Chunk) -> list[Chunk]:
    """Return the chunks in a payload, or none when they are not as `write_chunks` writes them."""
    if type(stored) is not list:
        return []
    chunks: list[Chunk] = []
    for item in cast("list[Any]", stored):
        if type(item) is str:
            chunks.append(replace(base, text=item))
            continue
        fields = _fields(item)
        if fields is None:
            return []
        chunks.append(replace(base, **fields))
    return chunks


def _fields(item: Any) -> dict[str, Any] | None:
    if type(item) is not dict:
        return None
    fields: dict[str, Any] = {}
    for name, value in cast("dict[str, Any]", item).items():
        if name in {"text", *_TEXTS} and type(value) is str:
            fields[name] = value
            continue
        if type(value) is not list:
            return None
        values = cast("list[Any]", value)
        if name in REASONING_BLOCKS and all(type(one) is dict for one in values):
            fields[name] = tuple(values)
        elif name == "tool_calls" and all(map(_is_delta, values)):
            fields[name] = tuple(ToolCallDelta(**delta) for delta in values)
        else:
            return None
    return fields


def _is_delta(value: Any) -> bool:
    if type(value) is not dict or cast("dict[str, Any]", value).keys() != _DELTA:
        return False
    found = cast("dict[str, Any]", value)
    texts = [found["arguments"], *(found[name] for name in ("id", "name") if found[name] is not None)]
    return type(found["index"]) is int and all(type(text) is str for text in texts)


def as_served(chunk: Chunk) -> Chunk:
    """Return a chunk of another caller's call as the cache serves it: it costs nothing here."""
    if chunk.cache is not None:
        return chunk
    if chunk.cost is None and not chunk.attempts and chunk.raw is None and chunk.rate_limits is None:
        return replace(chunk, cache="exact", deployment=None)
    saved = chunk.saved_cost if chunk.cost is None else chunk.cost
    cost = None if chunk.cost is None and chunk.usage is None else 0.0
    return replace(
        chunk, cache="exact", cost=cost, saved_cost=saved, attempts=(), raw=None, rate_limits=None, deployment=None
    )


def usable(chunks: Sequence[Chunk]) -> list[Chunk]:
    """Return the chunks of the answer: those before a restart by another model are no part of it."""
    starts = [index for index, chunk in enumerate(chunks) if chunk.restarted]
    return list(chunks[starts[-1] :]) if starts else list(chunks)
