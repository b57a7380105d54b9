"""Older vocabularies, for spans that other libraries made: their kinds, and their flattened messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from llmops_sdk.tracing import _semconv as sc

__all__ = ["is_flat", "kind_of", "unflatten"]

_KIND_OF_OPERATION = {
    "chat": "llm",
    "text_completion": "llm",
    "completion": "llm",
    "generate_content": "llm",
    "embeddings": "embedding",
    "embedding": "embedding",
    "execute_tool": "tool",
    "invoke_agent": "agent",
    "create_agent": "agent",
    "invoke_workflow": "chain",
    "plan": "chain",
    "retrieval": "retriever",
    "rerank": "reranker",
}
_KIND_OF_TRACELOOP = {"workflow": "chain", "task": "chain", "agent": "agent", "tool": "tool"}
_OPERATION_OF_TRACELOOP = {"chat": "chat", "completion": "text_completion", "embedding": "embeddings"}
_FLAT = {
    "llm.input_messages.": sc.INPUT_MESSAGES,
    "llm.output_messages.": sc.OUTPUT_MESSAGES,
    "gen_ai.prompt.": sc.INPUT_MESSAGES,
    "gen_ai.completion.": sc.OUTPUT_MESSAGES,
}
_FLAT_PREFIXES = tuple(_FLAT)


def kind_of(attributes: Mapping[str, Any], default: str) -> str:
    """The kind of another library's span: by our own attribute, OpenInference's, Traceloop's, or the operation."""
    own = attributes.get(sc.KIND)
    if own in sc.KINDS:
        return str(own)
    openinference = attributes.get("openinference.span.kind")
    if isinstance(openinference, str) and openinference.lower() in sc.KINDS:
        return openinference.lower()
    traceloop = attributes.get("traceloop.span.kind")
    if isinstance(traceloop, str) and traceloop in _KIND_OF_TRACELOOP:
        return _KIND_OF_TRACELOOP[traceloop]
    operation = attributes.get(sc.OPERATION)
    if isinstance(operation, str) and operation in _KIND_OF_OPERATION:
        return _KIND_OF_OPERATION[operation]
    request = attributes.get("llm.request.type")
    if isinstance(request, str) and request in _OPERATION_OF_TRACELOOP:
        return _KIND_OF_OPERATION[_OPERATION_OF_TRACELOOP[request]]
    return default


def is_flat(key: str) -> bool:
    """Whether the attribute is one piece of a message, as OpenInference and Traceloop write them."""
    return key.startswith(_FLAT_PREFIXES) and key not in (sc.PROMPT_NAME, sc.PROMPT_VERSION)


def unflatten(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes with flattened messages (`llm.input_messages.0.message.role`, …) made whole again.

    Pieces that fit no message stay as they are.
    """
    kept: dict[str, Any] = {}
    whole: dict[str, dict[int, dict[str, Any]]] = {}
    for key, value in attributes.items():
        if not is_flat(key):
            kept[key] = value
            continue
        prefix = next(prefix for prefix in _FLAT_PREFIXES if key.startswith(prefix))
        index, _, path = key[len(prefix) :].partition(".")
        if index.isdecimal() and len(index) < 6 and path:
            whole.setdefault(_FLAT[prefix], {}).setdefault(int(index), {})[path.removeprefix("message.")] = value
        else:
            kept[key] = value
    for target, messages in whole.items():
        if target not in kept:
            kept[target] = orjson.dumps([_message(messages[index]) for index in sorted(messages)], default=str)
    return kept


def _message(pieces: Mapping[str, Any]) -> dict[str, Any]:
    parts: list[dict[str, Any]] = []
    message: dict[str, Any] = {"role": pieces.get("role") or "assistant", "parts": parts}
    if pieces.get("content") is not None:
        parts.append({"type": "text", "content": pieces["content"]})
    calls: dict[str, dict[str, Any]] = {}
    for path, value in pieces.items():
        names = path.split(".")
        if names[0] == "contents" and names[-1] == "text":
            parts.append({"type": "text", "content": value})
        elif names[0] == "tool_calls" and len(names) >= 3:
            calls.setdefault(names[1], {})[names[-1]] = value
        elif path == "finish_reason":
            message["finish_reason"] = value
        elif path not in ("role", "content"):
            message[path] = value
    for index in sorted(calls):
        call = calls[index]
        parts.append(
            {"type": "tool_call", "id": call.get("id"), "name": call.get("name"), "arguments": call.get("arguments")}
        )
    return message
