"""The requests that change something, or that carry more than an address should: POST with a JSON body."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeAlias, cast

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from llmops_sdk._util._usage import UsageError
from llmops_sdk.ui._answers import Answer
from llmops_sdk.ui._asked import check_names
from llmops_sdk.ui._queries import Queries
from llmops_sdk.ui._responses import answered, error_answer
from llmops_sdk.ui.api._sql import SQL_SECONDS, run_sql
from llmops_sdk.ui.api.changes._replay import READ_ONLY, RefusedError, replay
from llmops_sdk.ui.api.changes._saved_filters import SavedFilters
from llmops_sdk.ui.api.changes._scores import Annotations
from llmops_sdk.ui.api.changes._selections import save_selection

__all__ = ["CHANGES", "change_routes"]

_MAX_BODY = 2_000_000
_WRITE_SECONDS = 60.0
_REPLAY_SECONDS = 300.0

_Change: TypeAlias = Callable[[Mapping[str, Any]], Answer]

CHANGES = {
    "sql": "Run a query: `sql`. It only reads, so `--read-only` allows it.",
    "scores": "Give a score: `name`, `value` or `label`, and `trace_id` (with `span_id`) or `session_id`; `comment`, "
    "`by`. With `undo`, take back the score of the same target, name and person.",
    "datasets": "Save selected traces as a data set: `name`, `trace_ids`, `form` (`eval` or `sft`), `add`.",
    "filters": "Save a filter: `name` and `query`, as in an address. With `remove`, forget it.",
    "replay": "Send a stored call again: `trace_id`, `span_id`, `model`, `messages`, `temperature`, `max_tokens`, "
    "`as_before`, `variants`. Without `max_cost` it only estimates.",
}
"""What POST does, by its address below `/api/v1/`."""


def change_routes(folder: Path, queries: Queries, annotations: Annotations, *, read_only: bool) -> list[Route]:
    """Return the routes.

    Args:
        folder: The store's folder.
        queries: The threads for data sets and scores. SQL and replays have threads of their own, one at a time.
        annotations: Writes scores.
        read_only: Whether to refuse every change.
    """
    alone, sending = Queries(1, 4), Queries(1, 4)
    changes: dict[str, tuple[_Change, Queries, float]] = {
        "sql": (lambda body: run_sql(folder, body), alone, SQL_SECONDS),
        "scores": (annotations.put, queries, _WRITE_SECONDS),
        "datasets": (lambda body: save_selection(folder, body), queries, _WRITE_SECONDS),
        "filters": (SavedFilters(folder).put, queries, _WRITE_SECONDS),
        "replay": (lambda body: replay(folder, body), sending, _REPLAY_SECONDS),
    }
    return [
        Route(
            f"/api/v1/{name}",
            _endpoint(change, threads, seconds, folder, refused=read_only and name != "sql"),
            methods=["POST"],
        )
        for name, (change, threads, seconds) in changes.items()
    ]


def _endpoint(
    change: _Change, threads: Queries, seconds: float, folder: Path, *, refused: bool
) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    async def answer(request: Request) -> Response:
        if refused:
            return error_answer(RefusedError(READ_ONLY))
        try:
            check_names(request.query_params.keys(), ())
            body = await _body(request)
        except UsageError as error:
            return error_answer(error)
        except ClientDisconnect:
            return Response(status_code=408)
        return await answered(request, threads, lambda: change(body), seconds, folder)

    return answer


async def _body(request: Request) -> Mapping[str, Any]:
    """Return the JSON object in the body.

    Raises:
        UsageError: It is too long, or no JSON object.
    """
    read = bytearray()
    async for chunk in request.stream():
        read += chunk
        if len(read) > _MAX_BODY:
            raise UsageError(f"the body is larger than {_MAX_BODY:,} bytes")
    try:
        found = orjson.loads(read)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"the body is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise UsageError("the body must be a JSON object")
    return cast("dict[str, Any]", found)
