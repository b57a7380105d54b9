"""A web service that streams answers: `uvicorn fastapi_app:app`, then `curl -N localhost:8000/ask?question=Hello`.

Each request has its own trace, although many run at once, because each task has its own context. A background thread
writes the spans, so a handler never waits for the disk.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import FastAPI, Header, HTTPException, Request
from fastapi.responses import JSONResponse, StreamingResponse

import llmops_sdk as llmops


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    llmops.configure()  # begins tracing: FastAPI's span of the first request is in the store too
    yield
    await llmops.aflush()  # uvicorn ends by the signal and skips what runs at exit


app = FastAPI(lifespan=lifespan)
Caller = Annotated[str, Header()]


@llmops.llm(system="Answer in one paragraph.")
async def answer(question: str) -> str:
    return question


@llmops.llm(system="Answer in one paragraph.", stream=True)
async def answer_in_pieces(question: str) -> str:
    return question


@app.get("/answer")
async def whole(question: str, x_user: Caller = "nobody") -> dict[str, str]:
    with llmops.context(user_id=x_user):
        return {"answer": await answer(question)}


@app.get("/blocking")
def blocking(question: str, x_user: Caller = "nobody") -> dict[str, str]:
    """Answer in a thread, because this handler is not `async`; its calls are traced too."""
    with llmops.context(user_id=x_user):
        return {"answer": llmops.chat(question).text}


@app.get("/ask")
async def streamed(question: str, x_user: Caller = "nobody") -> StreamingResponse:
    async def pieces() -> AsyncIterator[str]:
        # Open the stream inside the generator: the body is sent after the handler returns. When the
        # browser disconnects, the call is cancelled, and its span ends with the status "closed".
        with llmops.context(user_id=x_user):
            async with answer_in_pieces(question) as stream:
                async for chunk in stream:
                    yield chunk.text

    return StreamingResponse(pieces(), media_type="text/plain; charset=utf-8")


@app.exception_handler(llmops.GuardrailViolation)
async def refused(_request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, status_code=422)


@app.exception_handler(llmops.ProviderError)
async def unavailable(_request: Request, error: Exception) -> JSONResponse:
    wait = getattr(error, "retry_after", None)
    headers = {"Retry-After": str(int(wait))} if wait else None
    return JSONResponse({"detail": "the model is not available"}, status_code=503, headers=headers)


@app.get("/slow")
def slow(limit: int = 10) -> list[dict[str, object]]:
    """Return the slowest calls, by SQL. The handler is not `async`, because a query takes some milliseconds."""
    if not 1 <= limit <= 100:
        raise HTTPException(422, "limit is between 1 and 100")
    sql = "SELECT trace_id, user_id, duration_ms, status FROM llm_calls ORDER BY duration_ms DESC LIMIT $limit"
    result = llmops.query(sql, {"limit": limit})
    return [dict(zip(result.columns, row, strict=True)) for row in result]
