"""The measurements of one call to a model, taken from its ended span."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from llmops_sdk.export.metrics._chunk_times import take
from llmops_sdk.tracing.records import _semconv as names
from llmops_sdk.tracing.records._records import SCOPE, SpanRecord

__all__ = ["Measured", "measure"]

_OPERATIONS = frozenset({"chat", "text_completion", "generate_content", "embeddings"})
_ATTRIBUTES = (
    names.OPERATION,
    names.PROVIDER,
    names.REQUEST_MODEL,
    names.RESPONSE_MODEL,
    names.SERVER_ADDRESS,
    names.SERVER_PORT,
)
_USAGE = {
    "input_tokens": names.INPUT_TOKENS,
    "output_tokens": names.OUTPUT_TOKENS,
    "cache_read.input_tokens": names.CACHE_READ_TOKENS,
    "cache_write.input_tokens": names.CACHE_CREATION_TOKENS,
    "reasoning.output_tokens": names.REASONING_TOKENS,
}


@dataclass(frozen=True, slots=True)
class Measured:
    """The measurements of one call to a model.

    Attributes:
        attributes: The attributes of every measurement.
        seconds: The duration.
        error_type: The class of the error, or None.
        cache: The tier of our cache that answered, or None.
        tokens: The number of tokens by type.
        usage: The number of tokens of each kind, by the ends of the names of their counters; 0 where a call that
            generates has no count. Empty for embeddings, and where our cache answered.
        first_chunk: Seconds to the first chunk of a stream, or None.
        chunks: Seconds between the chunks of a stream.
    """

    attributes: Mapping[str, Any]
    seconds: float
    error_type: str | None
    cache: str | None
    tokens: Mapping[str, int]
    usage: Mapping[str, int]
    first_chunk: float | None
    chunks: Sequence[float]


def measure(record: SpanRecord) -> Measured | None:
    """Return the measurements of a span, or None if it is not a call of ours to a model.

    Other libraries measure their own calls. An answer from our cache costs no tokens.
    """
    found = record.attributes
    if not found or record.scope != SCOPE or found.get(names.OPERATION) not in _OPERATIONS:
        return None
    cache, times = found.get(names.CACHE), take(record.span_id)
    tokens = {"input": found.get(names.INPUT_TOKENS), "output": found.get(names.OUTPUT_TOKENS)}
    usage = {end: found[name] for end, name in _USAGE.items() if isinstance(found.get(name), int)}
    generates = cache is None and found[names.OPERATION] != "embeddings"
    return Measured(
        attributes={name: found[name] for name in _ATTRIBUTES if name in found},
        seconds=record.duration_ns / 1e9,
        error_type=record.error_type or ("error" if record.status == "error" else None),
        cache=cache,
        tokens={} if cache else {token_type: count for token_type, count in tokens.items() if isinstance(count, int)},
        usage={"input_tokens": 0, "output_tokens": 0, **usage} if generates else {},
        first_chunk=None if cache else found.get(names.TIME_TO_FIRST_CHUNK),
        chunks=() if cache or times is None else [later - earlier for earlier, later in pairwise(times)],
    )
