"""The ASGI application of the local page."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from llmops_sdk._util._usage import UsageError
from llmops_sdk.errors import LLMOpsError, StoreError
from llmops_sdk.store.reading._query import store_folder
from llmops_sdk.ui._answers import Answer, as_json
from llmops_sdk.ui._asked import Asked, NotFoundError
from llmops_sdk.ui._pages import PAGES, READS, Read
from llmops_sdk.ui._queries import BusyError, ClientLeftError, DeadlineError, Queries
from llmops_sdk.ui._security import AccessRules, Auth, Guarded
from llmops_sdk.ui._shell import favicon, shell, static
from llmops_sdk.ui._streams import StreamMaker, Streams

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
    from llmops_sdk.errors import ConfigError

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
    del read_only
    routes = [Route("/", _to_first), Route("/static/{name:path}", static), Route("/favicon.ico", favicon)]
    routes += [Route("/favicon.svg", favicon), *(Route(page.path, shell) for page in PAGES)]
    routes += [Route(f"/api/v1/{read.path}", _endpoint(read, folder, queries)) for read in READS]
    streams = Streams(queries)
    routes += [Route(f"/api/v1/{name}", _stream(make, folder)) for name, make in streams.by_name.items()]
    return Guarded(Starlette(routes=routes), rules)


async def _to_first(request: Request) -> Response:
    return RedirectResponse(f"{request.scope.get('root_path', '')}{PAGES[0].path}", 303)


def _endpoint(read: Read, folder: Path, queries: Queries) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    async def answer(request: Request) -> Response:
        asked = asked_of(request, folder)
        return await answered(request, queries, lambda: read.read(asked), read.seconds)

    return answer


def _stream(make: StreamMaker, folder: Path) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    async def answer(request: Request) -> Response:
        try:
            return make(request, asked_of(request, folder))
        except (UsageError, BusyError) as error:
            return error_answer(error)

    return answer


def asked_of(request: Request, folder: Path) -> Asked:
    """Return what a request asks for."""
    texts: dict[str, list[str]] = {}
    for name, value in request.query_params.multi_items():
        texts.setdefault(name, []).append(value)
    return Asked(folder, texts, {name: str(value) for name, value in request.path_params.items()})


async def answered(request: Request, queries: Queries, read: Callable[[], Answer], seconds: float) -> Response:
    """Return the answer of a read as JSON, or its error."""
    try:
        answer = await queries.run(request, lambda: read().as_json(), seconds)
    except ClientLeftError:
        return Response(status_code=408)  # nobody reads it
    except (UsageError, NotFoundError, DeadlineError, BusyError, LLMOpsError) as error:
        return error_answer(error)
    return Response(answer, media_type="application/json")


_STATUSES: tuple[tuple[type[Exception], int], ...] = (
    (UsageError, 400), (NotFoundError, 404), (DeadlineError, 408), (BusyError, 503), (StoreError, 503),
)  # fmt: skip


def error_answer(error: Exception) -> Response:
    """Return an error as JSON."""
    status = next((status for kind, status in _STATUSES if isinstance(error, kind)), 400)
    content = as_json({"error": {"type": type(error).__name__, "message": str(error)}})
    return Response(content, status, media_type="application/json")
