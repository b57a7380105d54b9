"""Convert our request to litellm's arguments, and litellm's objects to ours."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, cast

import orjson

from llmops_sdk.config import PriceSettings, Timeout
from llmops_sdk.providers._cost import cost_of
from llmops_sdk.providers._tool_calls import ToolCallJoiner
from llmops_sdk.providers._types import Chunk, Request, Response, ToolCall, ToolCallDelta, Usage
from llmops_sdk.providers.litellm._endpoint import COMPATIBLE, Endpoint
from llmops_sdk.providers.litellm._library import Library
from llmops_sdk.providers.litellm._params import supported_params
from llmops_sdk.providers.litellm._strict import strict_schema
from llmops_sdk.providers.litellm.wire._body import BodyReader
from llmops_sdk.providers.litellm.wire._finish import finish_reason

__all__ = [
    "DEFAULT_TOTAL_SECONDS",
    "ChunkMapper",
    "are_vectors",
    "arguments_of",
    "price_of",
    "response_of",
    "route_of",
    "timeout_of",
    "usage_of",
    "vectors_of",
]

DEFAULT_TOTAL_SECONDS = 600.0
"""The limit of a call without a configured total."""

# litellm checks these by tables of models, and fails if the application asks for them in `extra`.
_STANDARD = frozenset({
    "reasoning_effort", "verbosity", "service_tier", "n", "seed", "user", "stop", "top_p", "logprobs", "top_logprobs",
    "logit_bias", "frequency_penalty", "presence_penalty", "parallel_tool_calls", "temperature", "thinking",
})  # fmt: skip
# The tiers whose tokens have another price.
_PRICED_TIERS = frozenset({"flex", "priority"})
# The vendors that serve Anthropic's models.
_MOST_TOKENS = 1_000_000_000_000
"""A count above this, which the store could not keep, is a mistake of the server."""
_THINKING_BLOCKS = frozenset({"anthropic", "azure_ai", "bedrock", "databricks", "vertex_ai"})


def timeout_of(library: Library, bounds: Timeout, *, stream: bool) -> Any:
    """Return the time limits for httpx: the gap between two reads, and the wait for a connection."""
    total = bounds.total or DEFAULT_TOTAL_SECONDS
    # These bind litellm's own clients. Our clients compute each wait anew (see `limit_waits`).
    read = min(total, bounds.between_chunks or total, bounds.first_token or total) if stream else total
    connect = min(total, bounds.connect or total)
    return library.httpx.Timeout(read, connect=connect, pool=connect)


def arguments_of(library: Library, endpoint: Endpoint, request: Request, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a chat call, without client, time-out and streaming."""
    taken = supported_params(library, endpoint, request.params, model=request.model)
    arguments: dict[str, Any] = {**options, **taken, **request.extra}
    if explicit := sorted(_STANDARD & {**options, **request.extra}.keys()):
        arguments["allowed_openai_params"] = [*arguments.get("allowed_openai_params", ()), *explicit]
    # litellm modifies some messages, so it gets copies.
    messages: list[Any] = [_sent_message(message, endpoint) for message in request.messages]
    if request.tools:
        arguments["tools"] = [copy.deepcopy(dict(tool)) for tool in request.tools]
    if request.response_schema is not None:
        name, schema = request.response_schema_name or "answer", dict(request.response_schema)
        if _supports_schema(library, endpoint):
            strict = strict_schema(schema)
            named = {"name": name, "schema": strict or schema, "strict": strict is not None}
            arguments["response_format"] = {"type": "json_schema", "json_schema": named}
        else:
            text = f"Answer with nothing but JSON that satisfies this JSON schema: {orjson.dumps(schema).decode()}"
            messages.insert(0, {"role": "system", "content": text})
    return {**arguments, **route_of(endpoint), "messages": messages, "max_retries": 0, "_skip_mcp_handler": True}


def _sent_message(message: Mapping[str, Any], endpoint: Endpoint) -> dict[str, Any]:
    """Return a copy of a message without reasoning of another vendor's answer, which this vendor refuses."""
    copied = copy.deepcopy(dict(message))
    if endpoint.vendor not in _THINKING_BLOCKS:
        copied.pop("thinking_blocks", None)
    is_openai = endpoint.vendor == "openai" and endpoint.base_url is None
    if endpoint.vendor == "azure" or is_openai:
        copied.pop("reasoning_content", None)
    if endpoint.vendor not in {"openrouter", "openai"} or is_openai:  # a compatible server may be a proxy of OpenRouter
        copied.pop("reasoning_details", None)
    return copied


def route_of(endpoint: Endpoint, *, chat: bool = True) -> dict[str, Any]:
    """Return litellm's arguments that select the server."""
    # litellm's "ollama" is the older API without messages and tools.
    vendor = "ollama_chat" if endpoint.vendor == "ollama" and chat else endpoint.vendor
    route: dict[str, Any] = {"model": f"{vendor}/{endpoint.model}"}
    if endpoint.api_key is not None:
        route["api_key"] = endpoint.api_key
    if endpoint.base_url is not None:
        route["api_base"] = endpoint.base_url
    return route


def _supports_schema(library: Library, endpoint: Endpoint) -> bool:
    # Servers with the OpenAI API accept schemas, even for models unknown to litellm.
    if endpoint.vendor in {"openai", "ollama"}:
        return True
    return bool(library.litellm.supports_response_schema(endpoint.model, custom_llm_provider=endpoint.vendor))


def usage_of(usage: Any) -> Usage:
    """Return the counts of litellm's usage object; counts that are missing, or that cannot be true, are 0."""
    prompt = getattr(usage, "prompt_tokens_details", None)
    completion = getattr(usage, "completion_tokens_details", None)
    return Usage(
        input_tokens=_count(usage, "prompt_tokens"),
        output_tokens=_count(usage, "completion_tokens"),
        cache_read_tokens=_count(prompt, "cached_tokens"),
        cache_creation_tokens=_count(prompt, "cache_creation_tokens"),
        reasoning_tokens=_count(completion, "reasoning_tokens"),
    )


def _count(counts: object, name: str) -> int:
    value = getattr(counts, name, None)
    return value if isinstance(value, int) and 0 <= value <= _MOST_TOKENS else 0


def price_of(
    library: Library,
    endpoint: Endpoint,
    usage: Any,
    price: PriceSettings | None,
    provider: str,
    *,
    service_tier: str | None = None,
) -> float | None:
    """Return the USD of a call by the configured price, else by litellm's table; None if neither knows the model."""
    if usage is None:
        return None
    if price is not None:
        return cost_of(usage_of(usage), price)
    # A server given by its URL may give its model any name, also a priced one.
    if provider == COMPATIBLE:
        return None
    known: Mapping[str, Any] = library.litellm.model_cost
    name = next((n for n in (f"{endpoint.vendor}/{endpoint.model}", endpoint.model) if n in known), None)
    if name is None or known[name].get("input_cost_per_token") is None:
        return None
    costs = library.litellm.cost_per_token(
        model=endpoint.model,
        custom_llm_provider=endpoint.vendor,
        usage_object=usage,
        service_tier=service_tier if service_tier in _PRICED_TIERS else None,
    )
    return float(sum(costs))


def response_of(raw: Any, body: BodyReader, *, provider: str, model: str, cost: float | None) -> Response:
    """Return a whole answer; `body` has read the vendor's own form of it."""
    choice = raw.choices[0]
    message = choice.message
    # litellm's reason counts only where its own client has hidden the body.
    word = body.finish if body.has_finish else choice.finish_reason
    refusal = getattr(message, "refusal", None) or ""
    return Response(
        text=message.content or "",
        tool_calls=tuple(
            ToolCall(id=call.id or f"call_{n}", name=call.function.name or "", arguments=call.function.arguments or "")
            for n, call in enumerate(message.tool_calls or ())
        ),
        usage=usage_of(getattr(raw, "usage", None)),
        cost=cost,
        model=(raw.model if isinstance(raw.model, str) else "").removeprefix("ollama_chat/"),
        provider=provider,
        finish_reason=finish_reason(word, has_calls=bool(message.tool_calls), model=model, refused=bool(refusal)),
        response_id=raw.id,
        reasoning=getattr(message, "reasoning_content", None) or "",
        thinking_blocks=_blocks(message),
        reasoning_details=body.take_reasoning_details(),
        refusal=refusal,
        raw=raw,
    )


def _blocks(message: Any) -> tuple[dict[str, Any], ...]:
    """Return the thinking blocks of a message or a delta, without litellm's own `index` and fields that are not set."""
    found = cast("Sequence[Any]", getattr(message, "thinking_blocks", None) or ())
    return tuple(
        {
            name: value
            for name, value in cast("Mapping[str, Any]", block).items()
            if value is not None and name != "index"
        }
        for block in found
        if isinstance(block, Mapping)
    )


def vectors_of(raw: Any) -> list[list[float]] | None:
    """Return the vectors in the order of their texts, or None if one is missing."""
    rows = sorted(raw.data or (), key=lambda row: row.get("index") or 0)
    vectors: list[Any] = [row.get("embedding") for row in rows]
    return [list(vector) for vector in vectors] if all(isinstance(vector, list) for vector in vectors) else None


def are_vectors(vectors: list[list[float]]) -> bool:
    """Return whether all vectors have the same length, above 0, and nothing but finite numbers."""
    if len({len(vector) for vector in vectors}) != 1 or not vectors[0]:
        return False
    try:
        return all(all(map(isfinite, vector)) for vector in vectors)
    except (TypeError, OverflowError):  # no number
        return False


class ChunkMapper:
    """Converts litellm's chunks to ours, and collects the fields of the last chunk."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._joiner = ToolCallJoiner()
        self.usage: Any = None
        self.model: str | None = None
        self.response_id: str | None = None

    def read(self, raw: Any) -> Chunk | None:
        """Return our chunk of one of litellm's, or None if it has nothing for a consumer."""
        self.usage = getattr(raw, "usage", None) or self.usage
        # litellm's chunks have the requested name as `model`, and all but the last hide the served name elsewhere.
        self.model = _served(raw) or self.model or raw.model
        self.response_id = raw.id or self.response_id
        delta = raw.choices[0].delta if raw.choices else None
        if delta is None:
            return None
        text, reasoning = delta.content or "", getattr(delta, "reasoning_content", None) or ""
        sent = cast("Sequence[Any]", getattr(delta, "tool_calls", None) or ())
        calls = tuple(self._joiner.number(_delta(call)) for call in sent)
        blocks = _blocks(delta)
        if not (text or reasoning or calls or blocks):
            return None
        return Chunk(
            text=text,
            reasoning=reasoning,
            thinking_blocks=blocks,
            tool_calls=calls,
            model=self.model,
            provider=self._provider,
            response_id=self.response_id,
            raw=raw,
        )

    def last_chunk(self, reason: str | None, usage: Any, cost: float | None, *, refusal: str = "") -> Chunk:
        """Return the chunk that ends the stream; `usage` is litellm's, or None if unknown."""
        return Chunk(
            refusal=refusal,
            finish_reason=reason,
            usage=usage_of(usage) if usage is not None else None,
            cost=cost,
            model=self.model,
            provider=self._provider,
            response_id=self.response_id,
        )


def _served(raw: Any) -> str | None:
    hidden = getattr(raw, "_hidden_params", None)
    named = cast("Mapping[str, Any]", hidden).get("provider_response_model") if isinstance(hidden, Mapping) else None
    return named if isinstance(named, str) else None


def _delta(call: Any) -> ToolCallDelta:
    function = call.function
    return ToolCallDelta(
        index=call.index or 0,
        id=call.id or None,
        name=(function.name if function else None) or None,
        arguments=(function.arguments if function else None) or "",
    )
