"""Ask the model of a judge, and record the call as a span without content.

The judged text has passed no guard yet, so neither the question nor the answer may be stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, TypeAlias

from llmops_sdk.guardrails.detectors.models._question import SCHEMA, Question
from llmops_sdk.providers import Provider, Request, Response
from llmops_sdk.providers._genai import usage_attributes
from llmops_sdk.tracing import Span, start_span
from llmops_sdk.tracing.records import _semconv

__all__ = ["Judge", "aask", "ask"]

Judge: TypeAlias = Provider | Callable[[str], str]
"""A provider, or a function from a prompt to an answer."""


def ask(judge: Judge, model: str, question: Question, name: str) -> str:
    """Return the answer of a judge.

    Args:
        judge: Who answers.
        model: The model to ask of a provider.
        question: The question.
        name: The name of the detector, for the span.
    """
    if not isinstance(judge, Provider):
        return judge(_prompt(question))
    with _recorded(judge, model, name) as span:
        return _record(span, judge.complete(_request(model, question)))


async def aask(judge: Judge, model: str, question: Question, name: str) -> str:
    """Return the answer of a judge, async; a function runs in a thread."""
    if not isinstance(judge, Provider):
        return await asyncio.to_thread(judge, _prompt(question))
    with _recorded(judge, model, name) as span:
        return _record(span, await judge.acomplete(_request(model, question)))


def _prompt(question: Question) -> str:
    return f"{question.rules}\n\n{question.text}"


def _request(model: str, question: Question) -> Request:
    return Request(
        model=model,
        messages=[{"role": "system", "content": question.rules}, {"role": "user", "content": question.text}],
        response_schema=SCHEMA,
        response_schema_name="judgement",
        cache=False,
    )


@contextmanager
def _recorded(judge: Provider, model: str, name: str) -> Generator[Span]:
    asked = Request(model=model, messages=()).model_name
    attributes = {_semconv.OPERATION: "chat", _semconv.PROVIDER: judge.name, _semconv.REQUEST_MODEL: asked}
    span = start_span(f"{name} {asked}", kind="llm", otel_kind="client", attributes=attributes)
    try:
        with span.activate():
            yield span
    except BaseException as error:
        # The type alone: the message of a vendor's error may quote the text.
        is_failure = isinstance(error, Exception)
        span.error_type = type(error).__qualname__
        span.end(status="error" if is_failure else "cancelled")
        raise
    span.end()


def _record(span: Span, response: Response) -> str:
    known: dict[str, Any] = {
        _semconv.RESPONSE_MODEL: response.model,
        _semconv.DEPLOYMENT: response.deployment,
        _semconv.FINISH_REASONS: response.finish_reason and [response.finish_reason],
        _semconv.SIMULATED: response.simulated,
        _semconv.ATTEMPTS: len(response.attempts),
    }
    attributes = {key: value for key, value in known.items() if value}
    span.set({**attributes, **usage_attributes(response.usage, response.cost)})
    return response.text
