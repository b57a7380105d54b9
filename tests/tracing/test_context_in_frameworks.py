"""`llmops.context` in the hooks of web frameworks: it holds for the whole request, also below the framework's spans."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from typing import Any

import httpx
import pytest
from fastapi import Depends, FastAPI, Request
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient
from opentelemetry import context as otel_context
from opentelemetry import trace as otel_trace
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import llmops_sdk as llmops


@llmops.trace
def outer(user: str) -> str:
    return inner(user)


@llmops.trace
def inner(user: str) -> str:
    return user


async def who(user: str) -> AsyncIterator[None]:
    with llmops.context(user_id=user, session_id=f"s-{user}"):
        yield


async def tagged() -> AsyncIterator[None]:
    with llmops.context(tags=["beta"]):
        yield


def fastapi_app() -> FastAPI:
    app = FastAPI(dependencies=[Depends(who), Depends(tagged)])

    @app.get("/async")
    async def in_task(user: str) -> str:
        return outer(user)

    @app.get("/thread")
    def in_thread(user: str) -> str:
        return outer(user)

    @app.get("/later")
    async def later(user: str) -> str:
        await asyncio.sleep(0)
        return await asyncio.create_task(asyncio.to_thread(outer, user))

    @app.get("/stream")
    async def stream(user: str) -> StreamingResponse:
        @llmops.trace
        async def words() -> AsyncIterator[str]:
            outer(user)
            yield user

        return StreamingResponse(words())

    return app


def users() -> list[tuple[Any, ...]]:
    llmops.flush()
    sql = """SELECT coalesce(input->>'$.user', 'words') AS asked, user_id, session_id, tags FROM spans
             WHERE name IN ('outer', 'inner') ORDER BY start_ns"""
    return llmops.query(sql).rows()


@pytest.mark.parametrize("path", ["/async", "/thread", "/later", "/stream"])
def test_context_of_a_fastapi_dependency_holds_for_every_request(path):
    names = [f"u{number}" for number in range(4)]
    with TestClient(fastapi_app()) as client:
        for name in names:
            assert client.get(path, params={"user": name}).status_code == 200
    assert users() == [(name, name, f"s-{name}", ["beta"]) for name in names for _ in range(2)]


async def test_contexts_of_concurrent_requests_do_not_mix():
    names = [f"u{number}" for number in range(20)]
    transport = httpx.ASGITransport(fastapi_app())
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        await client.get("/async", params={"user": "first"})
        await asyncio.gather(*(client.get("/later", params={"user": name}) for name in names))
    found = users()[2:]
    assert len(found) == 40
    assert all(asked == user_id for asked, user_id, _, _ in found)


def test_context_ends_with_the_request():
    app = FastAPI()

    @app.get("/with", dependencies=[Depends(who)])
    async def with_user(user: str) -> str:
        return outer(user)

    @app.get("/without")
    async def without(user: str) -> str:
        return outer(user)

    with TestClient(app) as client:
        for path in ("/with", "/without", "/with", "/without"):
            client.get(path, params={"user": "u"})
    assert [user_id for _, user_id, _, _ in users()] == ["u", "u", None, None] * 2


class UserMiddleware(BaseHTTPMiddleware):
    """Starlette's usual hook."""

    async def dispatch(self, request: Request, call_next: Callable[[Request], Awaitable[Any]]) -> Any:
        with llmops.context(user_id=request.query_params["user"]):
            return await call_next(request)


class PlainMiddleware:
    """A pure ASGI hook."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        user = scope.get("query_string", b"").decode().partition("=")[2]
        with llmops.context(user_id=user or None):
            await self.app(scope, receive, send)


@pytest.mark.parametrize("middleware", [UserMiddleware, PlainMiddleware])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_context_of_a_starlette_middleware_holds_for_every_request(middleware, asynchronous):
    def in_thread(request: Request) -> PlainTextResponse:
        return PlainTextResponse(outer(request.query_params["user"]))

    async def in_task(request: Request) -> PlainTextResponse:
        return in_thread(request)

    route = Route("/", in_task if asynchronous else in_thread)
    with TestClient(Starlette(routes=[route], middleware=[Middleware(middleware)])) as client:
        for name in ("a", "b", "c"):
            client.get("/", params={"user": name})
    assert [row[:2] for row in users()] == [(name, name) for name in "aabbcc"]


# --- The shapes of other frameworks' hooks ---------------------------------------------------------------------------


def tracer() -> otel_trace.Tracer:
    with llmops.span("start"):
        return otel_trace.get_tracer("framework")


@contextlib.contextmanager
def framework_span(name: str) -> Iterator[None]:
    """Detach by token, as instrumentations do around their own steps."""
    span = tracer().start_span(name)
    token = otel_context.attach(otel_trace.set_span_in_context(span))
    try:
        yield
    finally:
        otel_context.detach(token)
        span.end()


def test_context_of_a_before_request_hook_survives_the_spans_around_it():
    """Flask's shape: one hook opens the context, another closes it, and an instrumentation has spans around each."""
    for name in ("a", "b", "c"):
        stack = contextlib.ExitStack()
        with framework_span("request"):
            with framework_span("before_request"):
                stack.enter_context(llmops.context(user_id=name))
            with framework_span("view"):
                outer(name)
            outer(name)
            with framework_span("teardown"):
                stack.close()
            outer("nobody")
    assert [row[:2] for row in users()] == [
        pair for name in "abc" for pair in (*[(name, name)] * 4, *[("nobody", None)] * 2)
    ]


def test_context_of_a_middleware_that_is_a_generator_survives_the_spans_inside():
    """Django's and pytest's shape: a generator holds the context open around the view."""

    def hook(user: str) -> Generator[None]:
        with llmops.context(user_id=user):
            yield

    for name in ("a", "b"):
        opened = hook(name)
        with framework_span("process_request"):
            next(opened)
        outer(name)
        with llmops.context(tags=["x"]), framework_span("view"):
            outer(name)
        opened.close()
        outer("nobody")
    assert [row[:2] for row in users()] == [
        pair for name in "ab" for pair in (*[(name, name)] * 4, *[("nobody", None)] * 2)
    ]


def test_nested_contexts_that_lose_their_place_end_one_by_one():
    first, second = contextlib.ExitStack(), contextlib.ExitStack()
    with framework_span("one"):
        first.enter_context(llmops.context(user_id="a"))
    with framework_span("two"):
        second.enter_context(llmops.context(session_id="s"))
    outer("both")
    second.close()
    outer("one")
    first.close()
    outer("none")
    assert [row[:3] for row in users()[::2]] == [("both", "a", "s"), ("one", "a", None), ("none", None, None)]


def test_a_context_that_is_attached_on_purpose_takes_precedence():
    with llmops.context(user_id="captured"):
        captured = otel_context.get_current()
    with llmops.context(user_id="open"):
        token = otel_context.attach(captured)
        outer("captured")
        otel_context.detach(token)
        outer("open")
    assert [row[:2] for row in users()[::2]] == [("captured", "captured"), ("open", "open")]


def test_a_context_closed_in_another_thread_is_over():
    def hook() -> Generator[None]:
        with llmops.context(user_id="a"):
            yield

    opened = hook()
    with framework_span("before"):
        next(opened)
    outer("a")
    thread = threading.Thread(target=opened.close)
    thread.start()
    thread.join()
    outer("b")
    assert [row[:2] for row in users()[::2]] == [("a", "a"), ("b", None)]


def in_a_copy(hook: Callable[[], Any]) -> None:
    """Run an async hook as Flask and Django do under WSGI: in a copy of the context, whose values asgiref puts back."""
    copy = contextvars.copy_context()
    copy.run(hook)
    for variable, value in copy.items():
        variable.set(value)


def directly(hook: Callable[[], Any]) -> None:
    hook()


@pytest.mark.parametrize("opens", [directly, in_a_copy])
@pytest.mark.parametrize("closes", [directly, in_a_copy])
@pytest.mark.parametrize("block", ["context", "span", "both"])
def test_a_block_of_async_hooks_ends_with_its_request(opens, closes, block):
    def enter(stack: contextlib.ExitStack, name: str) -> None:
        if block != "span":
            stack.enter_context(llmops.context(user_id=name))
        if block != "context":
            stack.enter_context(llmops.span("request"))

    for name in ("a", "b"):
        stack = contextlib.ExitStack()
        opens(lambda stack=stack, name=name: enter(stack, name))
        outer(name)
        closes(stack.close)
        outer("nobody")
    user = [None, None] if block == "span" else ["a", "b"]
    assert [row[:2] for row in users()[::2]] == [("a", user[0]), ("nobody", None), ("b", user[1]), ("nobody", None)]
    sql = "SELECT name, parent_span_id IS NULL, input->>'$.user' FROM spans WHERE name IN ('outer', 'request')"
    parents = {(name, asked): is_root for name, is_root, asked in llmops.query(sql).rows()}
    assert parents["outer", "nobody"] is True
    assert parents["outer", "a"] is (block == "context")


@pytest.mark.parametrize("around", [directly, in_a_copy])
def test_blocks_that_are_closed_in_the_order_of_their_opening_leave_nothing(around):
    """The order of Django's signals: the receiver that is connected first runs first, at the start and at the end."""
    for name in ("a", "b"):
        blocks = [llmops.context(user_id=name), llmops.context(session_id=name), llmops.context(tags=[name])]
        for block in blocks:
            around(block.__enter__)
        outer(name)
        for block in blocks:
            around(lambda block=block: block.__exit__(None, None, None))
        outer("nobody")
    rows = [("a", "a", "a", ["a"]), ("nobody", None, None, []), ("b", "b", "b", ["b"]), ("nobody", None, None, [])]
    assert [(*row[:3], row[3] or []) for row in users()[::2]] == rows


async def test_a_task_keeps_the_context_it_began_in_after_a_block_of_its_own():
    begun, ended = asyncio.Event(), asyncio.Event()

    async def job() -> None:
        with llmops.context(tags=["own"]):
            begun.set()
            await ended.wait()
        outer("after")

    with llmops.context(user_id="a"):
        task = asyncio.create_task(job())
        await begun.wait()
    ended.set()
    await task
    assert [row[:2] for row in users()[::2]] == [("after", "a")]
