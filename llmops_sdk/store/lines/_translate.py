"""Translate the attributes of other libraries' spans into ours when a span is written.

An attribute that only has another name fills its column through `SPAN_COLUMNS`, which lists all names. The tables below
cover values that are spelt differently or are inside another attribute. `_translate_messages` rebuilds messages that
are flattened into attributes or sent as events.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import orjson

from llmops_sdk.store.lines._translate_messages import add_finish_reasons, unflatten, with_events, with_instructions
from llmops_sdk.store.schema._views import SPAN_COLUMNS
from llmops_sdk.tracing.records import _semconv as sc
from llmops_sdk.tracing.records._records import Event, SpanRecord

__all__ = ["translate"]

_NAMES = {column.name: column.attributes for column in SPAN_COLUMNS}
_OPERATION_OF_KIND = {"llm": "chat", "embedding": "embeddings"}
_OPERATION_OF_TRACELOOP = {"chat": "chat", "completion": "text_completion", "embedding": "embeddings"}
# OpenInference: prompts and completions of the older text API.
_TEXT_COMPLETION = ("llm.prompts", "llm.completions")

_PROVIDERS = {
    "aws": "aws.bedrock",
    "amazon": "aws.bedrock",
    "bedrock": "aws.bedrock",
    "az.ai.inference": "azure.ai.inference",
    "az.ai.openai": "azure.ai.openai",
    "azure": "azure.ai.openai",
    "gemini": "gcp.gemini",
    "google": "gcp.gen_ai",
    "google_genai": "gcp.gemini",
    "mistral": "mistral_ai",
    "mistralai": "mistral_ai",
    "moonshot": "moonshot_ai",
    "vertexai": "gcp.vertex_ai",
    "vertex_ai": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}

_FINISH_REASONS = {
    "content_filtered": "content_filter",
    "end_turn": "stop",
    "eos": "stop",
    "function_call": "tool_calls",
    "max_tokens": "length",
    "refusal": "content_filter",
    "safety": "content_filter",
    "stop_sequence": "stop",
    "tool_call": "tool_calls",
    "tool_use": "tool_calls",
}

# Request parameters that name the requested model.
_PARAMETERS = ("llm.invocation_parameters", "embedding.invocation_parameters")
_MODEL_PARAMETERS = ("model", "model_name", "model_id")

# Events at the first chunk of a stream.
_FIRST_CHUNK = ("First Token Stream Event", "gen_ai.content.completion.chunk")

# Names of the reasoning level before `gen_ai.request.reasoning.level`.
_REASONING_LEVELS = ("gen_ai.request.reasoning_effort", "gen_ai.openai.request.reasoning_effort", "reasoning_effort")

_PARTIAL_COSTS = ("llm.cost.prompt", "llm.cost.completion")


def translate(record: SpanRecord) -> dict[str, Any]:
    """Return the attributes of another library's span, with our attributes added.

    The library's own attributes stay, except messages, which move.
    """
    attributes = unflatten(record.attributes or {})
    if record.kind in _OPERATION_OF_KIND or sc.OPERATION in attributes:
        with_events(attributes, record.events or ())
        with_instructions(attributes)
        for name, derive in _DERIVED.items():
            value = derive(attributes, record)
            if value is not None:
                attributes[name] = value
        add_finish_reasons(attributes, attributes.get(sc.FINISH_REASONS))
    return attributes


def _first(attributes: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((attributes[name] for name in names if attributes.get(name) is not None), None)


def _operation(attributes: Mapping[str, Any], record: SpanRecord) -> str | None:
    known = attributes.get(sc.OPERATION)
    if known == "completion":
        return "text_completion"
    if known is not None:
        return None
    request = attributes.get("llm.request.type")
    if isinstance(request, str) and request in _OPERATION_OF_TRACELOOP:
        return _OPERATION_OF_TRACELOOP[request]
    if record.kind == "llm" and any(name.startswith(_TEXT_COMPLETION) for name in attributes):
        return "text_completion"
    return _OPERATION_OF_KIND.get(record.kind)


def _provider(attributes: Mapping[str, Any], _: SpanRecord) -> str | None:
    name = _first(attributes, _NAMES["provider"])
    if not isinstance(name, str):
        return None
    lower = name.lower()
    return _PROVIDERS.get(lower, lower)


def _request_model(attributes: Mapping[str, Any], _: SpanRecord) -> str | None:
    if _first(attributes, _NAMES["request_model"]) is not None:
        return None
    return _parameter(attributes, _MODEL_PARAMETERS)


def _parameter(attributes: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    """Return the first of some request parameters, which OpenInference has as JSON in one attribute."""
    text = _first(attributes, _PARAMETERS)
    if not isinstance(text, str):
        return None
    try:
        parameters: Any = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(parameters, dict):
        return None
    found = _first(cast("dict[str, Any]", parameters), names)
    return found if isinstance(found, str) else None


def _reasoning_level(attributes: Mapping[str, Any], _: SpanRecord) -> str | None:
    if sc.REASONING_LEVEL in attributes:
        return None
    found = _first(attributes, _REASONING_LEVELS) or _parameter(attributes, ("reasoning_effort",))
    return found if isinstance(found, str) else None


def _finish_reasons(attributes: Mapping[str, Any], _: SpanRecord) -> list[str] | None:
    value = _first(attributes, _NAMES["finish_reason"])
    reasons: list[Any] = list(cast("list[Any]", value)) if isinstance(value, (list, tuple)) else [value]
    texts = [reason.lower() for reason in reasons if isinstance(reason, str)]
    return [_FINISH_REASONS.get(text, text) for text in texts] if texts and len(texts) == len(reasons) else None


def _time_to_first_chunk(attributes: Mapping[str, Any], record: SpanRecord) -> float | None:
    if _first(attributes, _NAMES["ttft_ms"]) is not None:
        return None
    events: list[Event] = [event for event in record.events or () if event[0] in _FIRST_CHUNK]
    return max(events[0][1] - record.start_ns, 0) / 1e9 if events else None


def _cost(attributes: Mapping[str, Any], _: SpanRecord) -> float | None:
    parts = [attributes.get(name) for name in _PARTIAL_COSTS]
    numbers = [part for part in parts if isinstance(part, (int, float)) and not isinstance(part, bool)]
    return float(sum(numbers)) if numbers and _first(attributes, _NAMES["cost"]) is None else None


# Our attribute, and the function that derives it if it is missing or spelt differently. None leaves it unchanged.
_DERIVED: Mapping[str, Callable[[Mapping[str, Any], SpanRecord], Any]] = {
    sc.OPERATION: _operation,
    sc.PROVIDER: _provider,
    sc.REQUEST_MODEL: _request_model,
    sc.REASONING_LEVEL: _reasoning_level,
    sc.FINISH_REASONS: _finish_reasons,
    sc.TIME_TO_FIRST_CHUNK: _time_to_first_chunk,
    sc.COST: _cost,
}
