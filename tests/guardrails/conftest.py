"""Card numbers made at run time, custom guards, and the verdicts that a call records on its span."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from stdnum import luhn

import llmops_sdk as llmops
from llmops_sdk.guardrails import GuardContext, Verdict
from llmops_sdk.providers import Request, Response, WrapperProvider, chunks_of
from llmops_sdk.tracing import span


def card_number(prefix: str = "4", length: int = 16) -> str:
    body = prefix + "0123456789012345678"[: length - 1 - len(prefix)]
    return body + luhn.calc_check_digit(body)


@pytest.fixture
def number() -> Callable[..., str]:
    return card_number


@pytest.fixture
def card() -> str:
    return card_number()


class Custom:
    """A guard made of a function."""

    def __init__(self, check: Callable[[str], Any], name: str = "custom") -> None:
        self.name = name
        self.version = "1"
        self.seen: list[str] = []
        self._check = check

    def check(self, text: str, context: GuardContext) -> Verdict:
        self.seen.append(text)
        return self._check(text)


@pytest.fixture
def custom() -> type[Custom]:
    return Custom


class Model(WrapperProvider):
    """Gives one answer, and keeps what it was asked."""

    name = "script"

    def __init__(self, answer: Response | BaseException | None = None) -> None:
        self.answer = answer or Response(text="fine", finish_reason="stop")
        self.requests: list[Request] = []
        self.closed = 0

    def complete(self, request: Request) -> Response:
        self.requests.append(request)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    async def acomplete(self, request: Request) -> Response:
        return self.complete(request)

    def stream(self, request: Request) -> Iterator[Any]:
        try:
            yield from chunks_of(self.complete(request))
        finally:
            self.closed += 1

    async def astream(self, request: Request) -> Any:
        for chunk in self.stream(request):
            yield chunk


@pytest.fixture
def model() -> type[Model]:
    return Model


@pytest.fixture
def verdicts() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    with span("test") as one:
        yield lambda: [
            {key: value for key, value in event[2].items() if key in {"guard", "rail", "action", "reason"}}
            for event in one._events or ()
            if event[0] == "llmops.guard.verdict" and event[2]["duration_ms"] >= 0
        ]


def ask_model(way: str, prompt: Any = "Hi", **options: Any) -> llmops.Response:
    """Ask in one of four ways: chat, achat, stream, astream."""
    options = {"model": "openai/gpt-4.1-mini", "retry": False} | options

    async def gather() -> llmops.Response:
        if way == "achat":
            return await llmops.achat(prompt, **options)
        stream = llmops.astream(prompt, **options)
        text = "".join([chunk.text async for chunk in stream])
        assert text == stream.response.text
        return stream.response

    if way == "chat":
        return llmops.chat(prompt, **options)
    if way == "stream":
        stream = llmops.stream(prompt, **options)
        assert "".join([chunk.text for chunk in stream]) == stream.response.text
        return stream.response
    return asyncio.run(gather())


@pytest.fixture
def ask() -> Callable[..., llmops.Response]:
    return ask_model
