"""A Flask application whose hooks open and close `llmops.context`; FLASK_TEST_HOOKS says which of them are async."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

from flask import Flask, g, request

import llmops_sdk as llmops

app = Flask(__name__)
ASYNC = os.environ["FLASK_TEST_HOOKS"].split()


def open_context() -> None:
    if "user" in request.args:
        user = request.args["user"]
        g.llmops = llmops.context(user_id=user, session_id=f"s-{user}")
        g.llmops.__enter__()


def close_context(_error: BaseException | None = None) -> None:
    if "llmops" in g:
        g.pop("llmops").__exit__(None, None, None)


def as_async(hook: Callable[..., None]) -> Any:
    async def awaited(*arguments: Any) -> None:
        hook(*arguments)

    return awaited


app.before_request(as_async(open_context) if "before" in ASYNC else open_context)
app.teardown_request(as_async(close_context) if "teardown" in ASYNC else close_context)


@llmops.llm
def answer(question: str) -> str:
    return question


@llmops.llm
async def answer_later(question: str) -> str:
    return question


@llmops.llm(stream=True)
def pieces(question: str) -> str:
    return question


@app.get("/sync")
@app.get("/nobody", endpoint="nobody")
def in_thread() -> str:
    return answer(request.args["question"])


@app.get("/async")
async def in_task() -> str:
    return await answer_later(request.args["question"])


@app.get("/failing")
def failing() -> str:
    answer(request.args["question"])
    raise ValueError("on purpose")


@app.get("/stream")
def stream() -> Iterator[str]:
    user, question = request.args["user"], request.args["question"]

    def body() -> Iterator[str]:
        # Flask runs its teardown hooks before it sends the body.
        with llmops.context(user_id=user, session_id=f"s-{user}"), pieces(question) as chunks:
            for chunk in chunks:
                yield chunk.text

    return body()


@app.get("/health")
def health() -> str:
    return "ok"
