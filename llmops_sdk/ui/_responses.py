"""Answers and errors as HTTP responses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from llmops_sdk._util._usage import UsageError
from llmops_sdk.errors import LLMOpsError, StoreError
from llmops_sdk.ui._answers import Answer, as_json
from llmops_sdk.ui._asked import NotFoundError, on_store
from llmops_sdk.ui._queries import BusyError, ClientLeftError, DeadlineError, Queries
from llmops_sdk.ui.api.changes._replay import RefusedError

__all__ = ["answered", "error_answer"]

_STATUSES: tuple[tuple[type[Exception], int], ...] = (
    (UsageError, 400), (RefusedError, 403), (NotFoundError, 404), (DeadlineError, 408), (BusyError, 503),
    (StoreError, 503),
)  # fmt: skip


async def answered(
    request: Request, queries: Queries, read: Callable[[], Answer], seconds: float, folder: Path
) -> Response:
    """Return the answer of a read as JSON, or its error.

    Args:
        request: The request.
        queries: The threads for the read.
        read: Makes the answer.
        seconds: The time for its queries.
        folder: The store's folder.
    """
    try:
        answer = await queries.run(request, lambda: _on_store(read(), folder).as_json(), seconds)
    except ClientLeftError:
        return Response(status_code=408)  # nobody reads it
    except (UsageError, RefusedError, NotFoundError, DeadlineError, BusyError, LLMOpsError) as error:
        return error_answer(error)
    return Response(answer, media_type="application/json")


def _on_store(answer: Answer, folder: Path) -> Answer:
    return replace(answer, command=on_store(answer.command, folder))


def error_answer(error: Exception) -> Response:
    """Return an error as JSON."""
    status = next((status for kind, status in _STATUSES if isinstance(error, kind)), 400)
    content = as_json({"error": {"type": type(error).__name__, "message": str(error)}})
    return Response(content, status, media_type="application/json")
