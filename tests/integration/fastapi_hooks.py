"""A FastAPI application: FASTAPI_TEST_HOOKS says whether a dependency or a middleware opens `llmops.context`."""

from __future__ import annotations

import gc
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.responses import StreamingResponse
from starlette.middleware.base import BaseHTTPMiddleware

import llmops_sdk as llmops

HOOKS = os.environ["FASTAPI_TEST_HOOKS"]


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    llmops.configure()  # begin tracing: FastAPI has spans of its own, from the first request on
    yield
    await llmops.aflush()


def context_of(request: Request) -> AbstractContextManager[None]:
    user = request.query_params.get("user")
    return llmops.context(user_id=user, session_id=user and f"s-{user}")


async def dependency(request: Request) -> AsyncIterator[None]:
    with context_of(request):
        yield


class Middleware(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: Callable[[Request], Awaitable[Any]]) -> Any:
        with context_of(request):
            return await call_next(request)


app = FastAPI(lifespan=lifespan, dependencies=[Depends(dependency)] if HOOKS == "dependency" else [])
if HOOKS == "middleware":
    app.add_middleware(Middleware)


@llmops.llm
def answer(question: str) -> str:
    return question


@llmops.llm
async def answer_later(question: str) -> str:
    return question


@llmops.llm(stream=True)
async def pieces(question: str) -> str:
    return question


@app.get("/sync")
@app.get("/nobody")
def in_thread(question: str) -> str:
    return answer(question)


@app.get("/async")
async def in_task(question: str) -> str:
    return await answer_later(question)


@app.get("/failing")
async def failing(question: str) -> str:
    await answer_later(question)
    raise ValueError("on purpose")


@app.get("/stream")
async def stream(question: str) -> StreamingResponse:
    async def body() -> AsyncIterator[str]:
        async with pieces(question) as chunks:
            async for chunk in chunks:
                yield chunk.text

    return StreamingResponse(body())


@app.get("/health")
async def health() -> str:
    # BaseHTTPMiddleware leaves the body of a client that went away to the garbage collector.
    gc.collect()
    return "ok"
