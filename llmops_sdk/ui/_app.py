"""The ASGI application of the local page."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from llmops_sdk._util._usage import UsageError
from llmops_sdk.errors import ConfigError
from llmops_sdk.store.reading._query import store_folder
from llmops_sdk.ui._asked import Asked, check_names
from llmops_sdk.ui._blobs import blob_response
from llmops_sdk.ui._changes import change_routes
from llmops_sdk.ui._pages import PAGES, READS, Read
from llmops_sdk.ui._queries import BusyError, Queries
from llmops_sdk.ui._responses import answered, error_answer
from llmops_sdk.ui._security import AccessRules, Auth, Guarded
from llmops_sdk.ui._shell import favicon, shell_of, static
from llmops_sdk.ui._streams import STREAM_TAKES, StreamMaker, Streams
from llmops_sdk.ui.api.changes._scores import Annotations

__all__ = ["app", "application"]

_AT_ONCE = 2
_WAITING = 32


def app(
    *,
    path: str | os.PathLike[str] | None = None,
    auth: Auth = "token",
    token: str | None = None,
    allow_hosts: Sequence[str] = (),
    read_only: bool = False,
) -> ASGIApp:
    """Return the local page as an ASGI application, to mount it in a service of your own.

    Args:
        path: The store's folder; by default the configured one.
        auth: "token" asks for the token or the cookie that it gives. "host" asks for nothing: then your service must
            let only those in who may read everything in the store.
        token: The token that opens the page. With `auth="token"` it is needed here.
        allow_hosts: Names that a request's `Host` may have beside localhost; "*" accepts every name.
        read_only: Whether to refuse scores, data sets and replays.

    Raises:
        ConfigError: The token is missing.

    Example:
        >>> from llmops_sdk.ui import app
        >>> page = app(token="a long text that only you know", read_only=True)
    """
    if auth == "token" and not token:
        raise ConfigError('app(auth="token") needs a token; with auth="host" your service decides who sees the page')
    return application(store_folder(path), AccessRules(auth=auth, token=token, hosts=allow_hosts), read_only=read_only)


def application(folder: Path, rules: AccessRules, *, read_only: bool) -> ASGIApp:
    """Return the application behind its access rules.

    Args:
        folder: The store's folder.
        rules: The access rules.
        read_only: Whether to refuse every change.
    """
    queries = Queries(_AT_ONCE, _WAITING)
    streams = Streams(queries)
    annotations = Annotations(folder)

    async def blob(request: Request) -> Response:
        return await asyncio.to_thread(blob_response, request, folder)

    routes = [
        Route("/", _to_first),
        Route("/static/{name:path}", static),
        Route("/favicon.ico", favicon),
        Route("/favicon.svg", favicon),
        Route("/blob/{name}", blob),
        *(Route(_with_slashes(page.path), shell_of(page.takes)) for page in PAGES),
        *(
            Route(_with_slashes(f"/api/v1/{read.path}"), _endpoint(read, folder, queries, read_only=read_only))
            for read in READS
        ),
        *(
            Route(f"/api/v1/{name}", _stream(make, folder, STREAM_TAKES[name]))
            for name, make in streams.by_name.items()
        ),
        *change_routes(folder, queries, annotations, read_only=read_only),
    ]
    return Guarded(Starlette(routes=routes), rules)


def _with_slashes(path: str) -> str:
    """Return a path in which the id of a session, which is the application's own text, may have slashes."""
    return path.replace("{session}", "{session:path}")


async def _to_first(request: Request) -> Response:
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"{request.scope.get('root_path', '')}{PAGES[0].path}{query}", 303)


def _endpoint(
    read: Read, folder: Path, queries: Queries, *, read_only: bool
) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    async def answer(request: Request) -> Response:
        try:
            asked = replace(_asked_of(request, folder, read.takes), read_only=read_only)
        except UsageError as error:
            return error_answer(error)
        return await answered(request, queries, lambda: read.read(asked), read.seconds, folder)

    return answer


def _stream(
    make: StreamMaker, folder: Path, takes: Sequence[str]
) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    async def answer(request: Request) -> Response:
        try:
            return make(request, _asked_of(request, folder, takes))
        except (UsageError, BusyError) as error:
            return error_answer(error)

    return answer


def _asked_of(request: Request, folder: Path, takes: Sequence[str]) -> Asked:
    """Return what a request asks for.

    Raises:
        UnknownParameterError: The address has a parameter that nothing reads.
    """
    check_names(request.query_params.keys(), takes)
    texts: dict[str, list[str]] = {}
    for name, value in request.query_params.multi_items():
        texts.setdefault(name, []).append(value)
    return Asked(folder, texts, {name: str(value) for name, value in request.path_params.items()})
