"""Send a stored call again, with another model or prompt: estimated first, bounded in cost, linked to the original."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import orjson
from opentelemetry.trace import SpanContext, TraceFlags

from llmops_sdk._util._usage import UsageError
from llmops_sdk.client import chat
from llmops_sdk.client._prompt import messages_of
from llmops_sdk.config import ResolvedModel, Settings, current, resolve_model
from llmops_sdk.errors import LLMOpsError
from llmops_sdk.providers import Request
from llmops_sdk.resilience.budgets._estimate import Estimator
from llmops_sdk.tracing import context, flush, span
from llmops_sdk.ui._answers import Answer, cut
from llmops_sdk.ui._asked import Asked, NotFoundError

__all__ = ["READ_ONLY", "RefusedError", "replay", "replay_refusal"]

READ_ONLY = "the page is read-only: llmops ui ran with --read-only"
_CALL = """SELECT input_messages, output_messages, provider, request_model, attributes FROM llm_calls
WHERE trace_id = $trace AND span_id = $span AND kind = 'llm' ORDER BY start_ns LIMIT 1"""
_MAX_VARIANTS = 5
_MAX_MESSAGES = 1_000
_FREE = frozenset({"offline", "cassette"})
_TOOLS = "gen_ai.tool.definitions"
_NUMBERS = ("temperature", "top_p", "max_tokens", "frequency_penalty", "presence_penalty", "seed")


class RefusedError(Exception):
    """The settings do not allow this."""


def replay_refusal(folder: Path) -> str | None:
    """Return why no call of this store can be sent again, or None if one can."""
    settings = current()
    if not settings.ui.replay:
        return "replays are off: turn them on with [ui] replay = true"
    if settings.store.path.absolute() != folder.absolute():
        return "a replay is stored in the configured store: start llmops ui without --store"
    return None


def replay(folder: Path, body: Mapping[str, Any]) -> Answer:
    """Estimate a replay, or make it where `max_cost` allows its cost.

    Args:
        folder: The store's folder, which must be the configured one: the new trace goes there.
        body: `trace_id` and `span_id` of the call; `model`, `messages`, `temperature`, `max_tokens` to change;
            `as_before`, whether to send the other parameters of then; `variants`; and `max_cost` in USD, without which
            nothing is sent.

    Raises:
        NotFoundError: There is no such call.
        RefusedError: Replays are off, the store is another one, or the cost is unknown or too high.
        UsageError: Something in the body is not valid.
    """
    if (refusal := replay_refusal(folder)) is not None:
        raise RefusedError(refusal)
    settings = current()
    call = _stored_call(folder, body)
    attributes = _attributes(call["attributes"])
    try:
        messages = messages_of(_messages(body.get("messages"), call["input_messages"]))
    except (TypeError, ValueError) as error:
        raise UsageError(str(error)) from error
    model = body.get("model") or _model_of(call, attributes, settings)
    if not isinstance(model, str) or len(model) > 300:
        raise UsageError("model must be the name of a model")
    options = {} if body.get("as_before") is False else _options_of(attributes)
    options |= {key: _number(body, key) for key in ("temperature", "max_tokens") if body.get(key) is not None}
    variants = body.get("variants", 1)
    if type(variants) is not int or not 1 <= variants <= _MAX_VARIANTS:
        raise UsageError(f"variants must be a whole number from 1 to {_MAX_VARIANTS}")
    tools = _tools(attributes)
    resolved = _asked_model(resolve_model(settings, model), settings)
    request = Request(model=resolved.model, messages=messages, tools=tools, params=options)
    estimate = Estimator(resolved).estimate(request)
    each = 0.0 if resolved.provider in _FREE else estimate.usd
    estimated = None if each is None else each * variants
    shown: dict[str, Any] = {
        "model": model,
        "messages": len(messages),
        "tools": len(tools),
        "options": options,
        "variants": variants,
        "input_tokens": estimate.input_tokens * variants,
        "output_tokens": estimate.output_tokens * variants,
        "estimated_usd": estimated,
        "max_cost": settings.ui.max_cost,
    }
    if body.get("max_cost") is None:
        return Answer({"estimate": shown, "results": None})
    _check_cost(estimated, _number(body, "max_cost"), settings.ui.max_cost)
    original = {"trace_id": str(body["trace_id"]), "span_id": str(body["span_id"])}
    more = {**options, **({"tools": tools} if tools else {})}
    results = [_send(messages, model, more, original, number) for number in range(variants)]
    flush(5.0)
    before = _content(call["output_messages"])
    return Answer({"estimate": shown, "results": results, "original": {**original, "output": before}})


def _attributes(stored: str | None) -> dict[str, Any]:
    try:
        found: Any = orjson.loads(stored or "{}")
    except orjson.JSONDecodeError:
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _model_of(call: Mapping[str, Any], attributes: Mapping[str, Any], settings: Settings) -> str:
    """Return the name of the model that a call asked for: that in `[models]`, if it is there still."""
    name, target = attributes.get("llmops.model.name"), attributes.get("llmops.model.target")
    # "cassette/support" is a name that needs no settings; the recording names the provider that was recorded.
    if isinstance(name, str) and (name in settings.models or name.partition("/")[0] in _FREE):
        return name
    return str(target or f"{call['provider']}/{call['request_model']}")


def _asked_model(resolved: ResolvedModel, settings: Settings) -> ResolvedModel:
    """Return the model that is asked and paid: a cassette that records asks the one that it records."""
    source = resolved.options.get("records") or settings.cassettes.records
    if resolved.provider != "cassette" or settings.cassettes.mode == "replay" or not isinstance(source, str):
        return resolved
    return resolve_model(settings, source)


def _options_of(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a stored call, as far as they are stored."""
    found: dict[str, Any] = {}
    for name in _NUMBERS:
        value = attributes.get(f"gen_ai.request.{name}")
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            found[name] = value
    stops: Any = attributes.get("gen_ai.request.stop_sequences")
    if isinstance(stops, list) and stops and all(isinstance(one, str) for one in cast("list[Any]", stops)):
        found["stop"] = stops
    return found


def _stored_call(folder: Path, body: Mapping[str, Any]) -> dict[str, Any]:
    ids = {"trace": body.get("trace_id"), "span": body.get("span_id")}
    for (key, value), digits in zip(ids.items(), (32, 16), strict=True):
        if not isinstance(value, str) or not re.fullmatch(f"[0-9a-f]{{{digits}}}", value):
            raise UsageError(f"give trace_id and span_id of the call: {key}_id must have {digits} hex digits")
    found = Asked(folder).rows(_CALL, ids)
    if not found:
        raise NotFoundError("the store has no such call to a model")
    return found[0]


def _check_cost(estimated: float | None, allowed: float, most: float) -> None:
    if estimated is None:
        raise RefusedError("the price of this model is unknown: give it in [prices], then its cost can be bounded")
    if estimated > min(allowed, most):
        raise RefusedError(
            f"the replay may cost ${estimated:.4f}, more than ${min(allowed, most):.4f}; the largest bound is "
            f"[ui] max_cost = {most:g}"
        )


def _send(
    messages: Sequence[Mapping[str, Any]],
    model: str,
    options: Mapping[str, Any],
    original: Mapping[str, str],
    number: int,
) -> dict[str, Any]:
    about = {"llmops.replay.trace_id": original["trace_id"], "llmops.replay.span_id": original["span_id"]}
    with context(tags=("replay",)), span("replay", attributes={**about, "llmops.replay.variant": number}) as made:
        made.add_link(_context_of(original), {"llmops.link": "replay_of"})
        result: dict[str, Any] = {"trace_id": made.trace_id, "text": None, "tool_calls": [], "error": None}
        try:
            # The stored answer must not come back from the cache.
            response = chat([dict(one) for one in messages], model=model, cache=False, **cast("Any", dict(options)))
        except LLMOpsError as error:  # also of a guard or a limit: the variants before cost money already
            result["error"] = f"{type(error).__name__}: {error}"
            made.record_exception(error)
        else:
            calls = [{"name": call.name, "arguments": call.arguments} for call in response.tool_calls]
            result |= {
                "text": cut(response.text),
                "tool_calls": calls,
                "cost_usd": response.cost,
                "model": response.model,
                "finish_reason": response.finish_reason,
            }
            made.output = {"text": response.text, "tool_calls": calls}
    return result


def _context_of(original: Mapping[str, str]) -> SpanContext:
    return SpanContext(int(original["trace_id"], 16), int(original["span_id"], 16), True, TraceFlags(1))


def _number(body: Mapping[str, Any], key: str) -> float | int:
    value = body.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise UsageError(f"{key} must be a number of at least 0")
    return int(value) if key == "max_tokens" else value


def _content(stored: str | None) -> Any:
    try:
        return cut(stored) if stored is None or len(stored) > 100_000 else orjson.loads(stored)
    except orjson.JSONDecodeError:
        return cut(stored)


def _tools(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the tools of a stored call in the shape of OpenAI."""
    found: Any = attributes.get(_TOOLS)
    try:
        listed: Any = orjson.loads(found) if isinstance(found, str) else found
    except orjson.JSONDecodeError:
        return []
    tools: list[dict[str, Any]] = []
    for tool in cast("list[Any]", listed) if isinstance(listed, list) else []:
        if isinstance(tool, dict):
            fields = cast("dict[str, Any]", tool)
            kept = {name: fields[name] for name in ("name", "description", "parameters") if name in fields}
            tools.append({"type": "function", "function": kept})
    return tools


def _messages(given: object, stored: str | None) -> list[dict[str, Any]]:
    """Return the messages to send: those of the body, else the stored ones, in the shape of OpenAI."""
    if given is not None:
        listed = cast("list[Any]", given) if isinstance(given, list) else []
        if not 1 <= len(listed) <= _MAX_MESSAGES or not all(isinstance(one, dict) for one in listed):
            raise UsageError("messages must be a list of messages")
        return [dict(cast("dict[str, Any]", one)) for one in listed]
    try:
        found: Any = orjson.loads(stored or "null")
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, list) or not found:
        raise UsageError("the messages of this call are not stored: give messages")
    return [_message(one) for one in cast("list[Any]", found)]


def _message(given: object) -> dict[str, Any]:
    stored = cast("dict[str, Any]", given) if isinstance(given, dict) else {}
    role, parts = str(stored.get("role", "user")), cast("object", stored.get("parts"))
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in cast("list[object]", parts)):
        raise UsageError("the messages of this call are stored in an unknown form: give messages")
    texts: list[str] = []
    calls: list[dict[str, Any]] = []
    for part in cast("list[dict[str, Any]]", parts):
        kind = part.get("type")
        if kind == "text":
            texts.append(str(part.get("content", "")))
        elif kind == "tool_call":
            arguments = part.get("arguments")
            text = arguments if isinstance(arguments, str) else orjson.dumps(arguments or {}).decode()
            calls.append(
                {"id": part.get("id"), "type": "function", "function": {"name": part.get("name"), "arguments": text}}
            )
        elif kind == "tool_call_response":
            return {"role": "tool", "tool_call_id": part.get("id"), "content": _tool_content(part.get("response"))}
        elif kind != "reasoning":
            raise UsageError(f"a part of the kind {kind!r} cannot be sent again: give messages")
    message: dict[str, Any] = {"role": role, "content": "\n".join(texts) if texts or not calls else None}
    if isinstance(stored.get("name"), str):
        message["name"] = stored["name"]
    return {**message, "tool_calls": calls} if calls else message


def _is_text(part: object) -> bool:
    return isinstance(part, dict) and cast("dict[str, Any]", part).get("type") == "text"


def _tool_content(response: object) -> Any:
    """Return what a tool gave: its text, its texts as parts, or other data as JSON."""
    if isinstance(response, str):
        return response
    parts = cast("list[Any]", response) if isinstance(response, list) else []
    texts = [cast("Mapping[str, Any]", one).get("content") for one in parts if _is_text(one)]
    if texts and len(texts) == len(parts) and all(isinstance(text, str) for text in texts):
        return [{"type": "text", "text": text} for text in texts]
    return orjson.dumps(response).decode()
