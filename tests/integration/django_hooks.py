"""A Django project in one file: `application` for WSGI, `asgi` for ASGI; DJANGO_TEST_HOOKS names its middleware."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import django
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.management import execute_from_command_line
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, QueryDict, StreamingHttpResponse
from django.urls import path
from django.utils.decorators import sync_and_async_middleware
from django.utils.deprecation import MiddlewareMixin

import llmops_sdk as llmops


def context_of(parameters: Any) -> AbstractContextManager[None]:
    user = parameters.get("user")
    return llmops.context(user_id=user, session_id=user and f"s-{user}")


def function(get_response: Callable[[HttpRequest], Any]) -> Any:
    def middleware(request: HttpRequest) -> Any:
        with context_of(request.GET):
            return get_response(request)

    return middleware


@sync_and_async_middleware
def either(get_response: Callable[[HttpRequest], Any]) -> Any:
    if not iscoroutinefunction(get_response):
        return function(get_response)

    async def middleware(request: HttpRequest) -> Any:
        with context_of(request.GET):
            return await get_response(request)

    return middleware


class OnlyAsync:
    sync_capable = False
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> Any:
        with context_of(request.GET):
            return await self.get_response(request)


class Hooks(MiddlewareMixin):
    """The older form: one method opens, another closes."""

    def process_request(self, request: Any) -> None:
        request.llmops = context_of(request.GET)
        request.llmops.__enter__()

    def process_response(self, request: Any, response: HttpResponse) -> HttpResponse:
        request.llmops.__exit__(None, None, None)
        return response


def listen() -> None:
    """Open two contexts by signals. The first receiver runs first, at the start and at the end."""

    class Opened:
        def __init__(self, **more: Any) -> None:
            self.more = more
            self.thread = threading.local()

        def start(self, environ: Any, **_signal: Any) -> None:
            user = QueryDict(environ["QUERY_STRING"]).get("user")
            self.thread.context = llmops.context(
                **{key: value.format(user) for key, value in self.more.items() if user}
            )
            self.thread.context.__enter__()

        def finish(self, **_signal: Any) -> None:
            self.thread.context.__exit__(None, None, None)

    for block in (Opened(user_id="{}"), Opened(session_id="s-{}")):
        request_started.connect(block.start, weak=False)
        request_finished.connect(block.finish, weak=False)


MIDDLEWARE = os.environ["DJANGO_TEST_HOOKS"]
settings.configure(
    DEBUG=False,
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="-" * 50,
    MIDDLEWARE=[] if MIDDLEWARE == "signals" else [f"{__name__}.{MIDDLEWARE}"],
)
django.setup()
if MIDDLEWARE == "signals":
    listen()


@llmops.llm
def answer(question: str) -> str:
    return question


@llmops.llm
async def answer_later(question: str) -> str:
    return question


@llmops.llm(stream=True)
def pieces(question: str) -> str:
    return question


@llmops.llm(stream=True)
async def pieces_later(question: str) -> str:
    return question


def in_thread(request: HttpRequest) -> HttpResponse:
    return HttpResponse(answer(request.GET["question"]))


async def in_task(request: HttpRequest) -> HttpResponse:
    return HttpResponse(await answer_later(request.GET["question"]))


def failing(request: HttpRequest) -> HttpResponse:
    answer(request.GET["question"])
    raise ValueError("on purpose")


def stream(request: HttpRequest) -> StreamingHttpResponse:
    def body() -> Iterator[str]:
        with context_of(request.GET), pieces(request.GET["question"]) as chunks:
            for chunk in chunks:
                yield chunk.text

    return StreamingHttpResponse(body())


async def stream_later(request: HttpRequest) -> StreamingHttpResponse:
    async def body() -> AsyncIterator[str]:
        with context_of(request.GET):
            async with pieces_later(request.GET["question"]) as chunks:
                async for chunk in chunks:
                    yield chunk.text

    return StreamingHttpResponse(body())


urlpatterns = [
    path("sync", in_thread),
    path("nobody", in_thread),
    path("async", in_task),
    path("failing", failing),
    path("stream", stream),
    path("stream-later", stream_later),
    path("health", lambda _request: HttpResponse("ok")),
]
application = get_wsgi_application()
asgi = get_asgi_application()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
