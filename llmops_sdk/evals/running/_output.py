"""Turn what a task returns into a JSON value: scorers see the same in a first run and in a resumed one."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

import orjson

from llmops_sdk._util._guard import Caught
from llmops_sdk.client._stream import AsyncStream, Stream
from llmops_sdk.providers import Response

__all__ = ["MAX_KEPT", "NotJsonError", "collect", "collect_async", "json_value", "shortened"]

MAX_KEPT = 1024 * 1024
"""Bytes of an output as JSON that an experiment holds; of a larger one it holds the beginning."""
_MAX_STEPS = 100_000
_MAX_BYTES = 256 * 1024 * 1024
_HEAD = 1_000  # characters


class NotJsonError(TypeError):
    """A task returned something that JSON cannot hold."""


def collect(value: Any) -> Any:
    """Return the answer of a stream, or the items of an iterator, joined if they are texts.

    Args:
        value: What the task returned.

    Raises:
        NotJsonError: The iterator does not end.
    """
    if isinstance(value, Stream):
        with value as chunks:
            for _ in chunks:
                pass
        return chunks.response
    if not isinstance(value, Iterator):
        return value
    items: list[Any] = []
    for item in cast("Iterator[Any]", value):
        _add(items, item)
    return _joined(items)


async def collect_async(value: Any) -> Any:
    """Return the answer of an async stream, or the items of an async iterator; see `collect`."""
    if inspect.isawaitable(value):
        value = await value
    if isinstance(value, AsyncStream):
        async with value as chunks:
            async for _ in chunks:
                pass
        return chunks.response
    if not isinstance(value, AsyncIterator):
        return collect(value)
    items: list[Any] = []
    async for item in cast("AsyncIterator[Any]", value):
        _add(items, item)
    return _joined(items)


def _add(items: list[Any], item: Any) -> None:
    items.append(item)
    if len(items) > _MAX_STEPS:
        raise NotJsonError(f"the task's generator gave more than {_MAX_STEPS:,} items: it must end")


def _joined(items: list[Any]) -> Any:
    return "".join(items) if items and all(isinstance(item, str) for item in items) else items


def json_value(value: Any) -> tuple[Any, bytes]:
    """Return a task's output as a JSON value, and as JSON.

    A `Response` is its parsed answer, or its text. Models of pydantic, dataclasses and the like are their fields,
    tuples and arrays are lists, keys are texts, and NaN and infinities are None.

    Args:
        value: What the task returned.

    Raises:
        NotJsonError: JSON cannot hold it, or it is larger than 256 MiB.
    """
    if isinstance(value, Response):
        value = (value.text or value.refusal) if value.parsed is None else value.parsed
    kind = cast("type[Any]", type(value))
    if value is None or kind is bool or (kind is int and -(2**63) <= value < 2**63):
        return value, orjson.dumps(value)
    raw = _encoded(value)
    if len(raw) > _MAX_BYTES:
        raise NotJsonError(f"the task returned {len(raw):,} bytes of JSON: at most {_MAX_BYTES:,} can be scored")
    # A round trip, so that a first run sees what a resumed one reads.
    return value if kind is str else orjson.loads(raw), raw


def _encoded(value: Any) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY)
    except orjson.JSONEncodeError:
        pass
    import json

    from pydantic import ConfigDict, TypeAdapter

    # The serializers of models are the application's own code.
    with Caught() as caught:
        adapter: TypeAdapter[Any] = TypeAdapter(Any, config=ConfigDict(ser_json_bytes="base64"))
        raw = adapter.dump_json(value)
        # Not by orjson, which would read a number beyond 64 bits as another one.
        return orjson.dumps(json.loads(raw))
    raise NotJsonError(
        f"the task returned {type(value).__qualname__}, which JSON cannot hold ({caught.error}): return text, numbers, "
        "lists, dicts, a dataclass or a pydantic model"
    ) from caught.error


def shortened(raw: bytes) -> dict[str, Any]:
    """Return what an experiment holds of an output that is larger than `MAX_KEPT`.

    Args:
        raw: The output as JSON.
    """
    return {"llmops.truncated": True, "bytes": len(raw), "head": raw[: 4 * _HEAD].decode("utf-8", "ignore")[:_HEAD]}
