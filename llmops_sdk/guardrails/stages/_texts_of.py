"""How the rails of a call take the texts to check, and put them back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from llmops_sdk.guardrails._reasoning import has_blocks, take_blocks, without_blocks
from llmops_sdk.guardrails._texts import (
    put,
    put_calls,
    put_messages,
    put_response,
    take,
    take_calls,
    take_messages,
    take_response,
)
from llmops_sdk.guardrails.running._in_order import Texts
from llmops_sdk.providers import Request, Response

__all__ = ["ANSWER", "CALLS", "DEFINITIONS", "MESSAGES", "RESULTS"]


def _messages(*, results: bool) -> Texts[Request]:
    def take_texts(request: Request, whole: bool) -> list[str]:
        return list(take_messages(request.messages, results=results, whole=whole))

    def put_texts(request: Request, checked: Sequence[str], whole: bool) -> Request:
        return replace(request, messages=put_messages(request.messages, iter(checked), results=results, whole=whole))

    return Texts(take_texts, put_texts)


def _put_answer(response: Response, checked: Sequence[str], whole: bool) -> Response:
    """Return the answer with the checked texts, and without blocks of reasoning whose text a guard changed."""
    if whole:
        return put_response(response, iter(checked), whole=True)
    texts, left = list(take_blocks(response)), iter(checked)
    new = put_response(response, left)
    changed = new.reasoning != response.reasoning or list(left) != texts
    return replace(new, raw=None, **without_blocks()) if changed and has_blocks(response) else new


def _take_answer(response: Response, whole: bool) -> list[str]:
    return [*take_response(response, whole=whole), *(() if whole else take_blocks(response))]


def _put_calls(response: Response, checked: Sequence[str], whole: bool) -> Response:
    return replace(response, tool_calls=put_calls(response.tool_calls, iter(checked), whole=whole), raw=None)


def _put_tools(request: Request, checked: Sequence[str], whole: bool) -> Request:
    left: Iterator[str] = iter(checked)
    tools: tuple[Any, ...] = put(tuple(request.tools), left, whole=whole)
    return replace(request, tools=tools)


MESSAGES = _messages(results=False)
"""The messages of every role, the rail `input`."""
RESULTS = _messages(results=True)
"""The results of tools, the rail `tool_results`."""
DEFINITIONS: Texts[Request] = Texts(lambda request, whole: list(take(tuple(request.tools), whole=whole)), _put_tools)
"""The names, descriptions and parameters of tools, the rail `tool_definitions`."""
ANSWER: Texts[Response] = Texts(_take_answer, _put_answer)
"""The answer, the rail `output`."""
CALLS: Texts[Response] = Texts(lambda response, whole: list(take_calls(response.tool_calls, whole=whole)), _put_calls)
"""The arguments of tool calls, the rail `tool_arguments`."""
