"""Make the answers of the offline models: an echo, or a script."""

from __future__ import annotations

import functools
import itertools
import json
import random
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

import orjson

from llmops_sdk.errors import BadRequestError
from llmops_sdk.providers._messages import last_text, text_of
from llmops_sdk.providers._tokens import count_tokens, text_pieces
from llmops_sdk.providers._types import Request, Response, ToolCall
from llmops_sdk.providers.offline._options import Rule, ScriptedCall, ScriptOptions
from llmops_sdk.providers.offline._schema_instance import SchemaUnsupportedError, instance_of

__all__ = ["EchoAnswers", "ScriptAnswers"]

_WORDS = (
    *("account", "answer", "balance", "bank", "branch", "card", "charge", "check", "customer", "date", "day", "detail"),
    *("fee", "help", "hour", "limit", "message", "minute", "money", "month", "note", "number", "office", "order"),
    *("page", "payment", "place", "question", "rate", "reason", "receipt", "request", "result", "service", "step"),
)


class EchoAnswers:
    """Answers with the user's last message, or with the tool call or object that the request demands."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def __call__(self, request: Request) -> Response:
        return (
            _forced_tool_call(request, self._seed)
            or _object_of_schema(request, self._seed)
            or _text_response(last_text(request.messages, "user") or "", request)
        )


class ScriptAnswers:
    """Answers by matching rules, then by the other answers in turn, then with words drawn by seed and prompt."""

    def __init__(self, options: ScriptOptions) -> None:
        self._seed = options.seed
        rules = [Rule(text=answer) if isinstance(answer, str) else answer for answer in options.answers]
        self._matched = [rule for rule in rules if rule.match is not None]
        in_turn = [rule for rule in rules if rule.match is None]
        self._in_turn = itertools.cycle(in_turn) if in_turn else None

    def __call__(self, request: Request) -> Response:
        rule = self._find_rule(request)
        if rule is not None and rule.tool_calls and _may_call_tools(request):
            return _call_tools(request, rule.tool_calls, rule.text, self._seed)
        return (
            _forced_tool_call(request, self._seed)
            or (_text_response(rule.text, request) if rule is not None and (rule.text or not rule.tool_calls) else None)
            or _object_of_schema(request, self._seed)
            or _text_response(_random_text(request, self._seed), request)
        )

    def _find_rule(self, request: Request) -> Rule | None:
        for prompt in _prompts(request):
            for rule in self._matched:
                if (not rule.tool_calls or _may_call_tools(request)) and _matches(rule.match or "", prompt):
                    return rule
        return next(self._in_turn) if self._in_turn else None


def _prompts(request: Request) -> list[str]:
    """Return the texts that a rule may match: the tool's result if it is the last message, then the question."""
    question = last_text(request.messages, "user") or ""
    return [text_of(request.messages[-1]), question] if _answers_tool_result(request) else [question]


def _answers_tool_result(request: Request) -> bool:
    return bool(request.messages) and request.messages[-1].get("role") == "tool"


def _may_call_tools(request: Request) -> bool:
    return bool(request.tools) and request.params.get("tool_choice") != "none" and not _answers_tool_result(request)


@functools.lru_cache(maxsize=1024)
def _pattern(match: str) -> re.Pattern[str] | None:
    try:
        return re.compile(match, re.IGNORECASE)
    except re.error:
        return None


def _matches(match: str, prompt: str) -> bool:
    if match.casefold() in prompt.casefold():
        return True
    pattern = _pattern(match)
    return pattern is not None and pattern.search(prompt) is not None


def _forced_tool_call(request: Request, seed: int) -> Response | None:
    """Return the tool call that `tool_choice` forces, or None if it forces none."""
    if not _may_call_tools(request):
        return None
    choice = request.params.get("tool_choice")
    if isinstance(choice, Mapping):
        function = cast("Mapping[str, object]", choice).get("function")
        name = cast("Mapping[str, object]", function).get("name") if isinstance(function, Mapping) else None
        if not isinstance(name, str) or name not in _functions_by_name(request):
            raise BadRequestError(
                f"tool_choice asks for the tool {name!r}, which the request does not define",
                provider="offline",
                model=request.model,
                status_code=400,
            )
        return _call_tools(request, (ScriptedCall(name=name),), "", seed)
    if choice == "required":
        return _call_tools(request, (ScriptedCall(name=next(iter(_functions_by_name(request)))),), "", seed)
    return None


def _functions_by_name(request: Request) -> dict[str, Mapping[str, Any]]:
    functions: list[Any] = [tool.get("function", tool) for tool in request.tools]
    mappings = (cast("Mapping[str, Any]", one) for one in functions if isinstance(one, Mapping))
    return {str(function.get("name")): function for function in mappings}


def _call_tools(request: Request, calls: Sequence[ScriptedCall], text: str, seed: int) -> Response:
    functions = _functions_by_name(request)
    made: list[ToolCall] = []
    for number, call in enumerate(calls):
        if isinstance(call.arguments, str):
            arguments = call.arguments
        elif call.arguments is not None:
            arguments = orjson.dumps(call.arguments).decode()
        else:
            schema = functions.get(call.name, {}).get("parameters") or {"type": "object"}
            arguments = _instance_json(request, schema, seed + number)
        made.append(ToolCall(id=f"call_{len(request.messages)}_{number}", name=call.name, arguments=arguments))
    return Response(text=text, tool_calls=tuple(made), finish_reason="tool_calls")


def _object_of_schema(request: Request, seed: int) -> Response | None:
    if request.response_schema is None:
        return None
    return _text_response(_instance_json(request, request.response_schema, seed), request)


def _instance_json(request: Request, schema: Mapping[str, Any], seed: int) -> str:
    try:
        return json.dumps(instance_of(schema, seed=seed), ensure_ascii=False)
    except SchemaUnsupportedError as error:
        raise BadRequestError(
            f"{request.model} cannot make an instance of the JSON schema: {error}; "
            "use offline/script and write the answer there",
            provider="offline",
            model=request.model,
            status_code=400,
        ) from error


def _random_text(request: Request, seed: int) -> str:
    prompt = "\n".join(text_of(message) for message in request.messages)
    draws = random.Random(f"{seed}:{prompt}".encode("utf-8", "surrogatepass"))  # noqa: S311 - not a secret
    sentence = " ".join(draws.choices(_WORDS, k=draws.randint(8, 40)))
    return f"{sentence.capitalize()}."


def _text_response(text: str, request: Request) -> Response:
    """Return `text` as an answer, cut at `stop` and `max_tokens`."""
    stops = request.params.get("stop")
    for stop in [stops] if isinstance(stops, str) else cast("Sequence[str]", stops or ()):
        text = text.partition(stop)[0] if stop else text
    limit = request.params.get("max_completion_tokens", request.params.get("max_tokens"))
    if not isinstance(limit, int) or count_tokens(text) <= limit:
        return Response(text=text, finish_reason="stop")
    pieces = text_pieces(text)
    totals = itertools.accumulate(map(count_tokens, pieces))
    within = sum(1 for _ in itertools.takewhile(lambda total: total <= limit, totals))
    return Response(text="".join(pieces[:within]), finish_reason="length")
