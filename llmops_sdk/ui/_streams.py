"""Server-sent events: a search that shows what it finds while it goes back in time, and traces as they end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from llmops_sdk.errors import LLMOpsError
from llmops_sdk.store.reading._ended import EndedSpans
from llmops_sdk.ui._answers import as_json
from llmops_sdk.ui._asked import FILTERS, Asked
from llmops_sdk.ui._queries import BusyError, ClientLeftError, DeadlineError, Queries
from llmops_sdk.ui.api._search import Search
from llmops_sdk.ui.api._traces import LIST_COLUMNS, LIST_NAMES, trace_rows

__all__ = ["STREAM_TAKES", "StreamMaker", "Streams"]

StreamMaker: TypeAlias = Callable[[Request, Asked], StreamingResponse]

STREAM_TAKES = {"search": (*FILTERS, "limit", "cursor"), "live": (*FILTERS, "position")}
"""The parameters of each stream."""

_SEARCH_SECONDS = 60.0
_POLL_SECONDS = 0.25
_REST = 3
_MAX_REST_SECONDS = 0.75
_HEARTBEAT_SECONDS = 15.0
_MAX_LIVE = 12
_STREAM_HEADERS = {"X-Accel-Buffering": "no"}
_MAX_SPANS = 20_000
_MAX_BYTES = 16 * 1024 * 1024  # of lines, for each stream


class Streams:
    """Makes the streams of one application.

    Args:
        queries: The threads that read the store.
    """

    def __init__(self, queries: Queries) -> None:
        self._queries = queries
        self._live = 0
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="llmops-ui-live")
        self.by_name: dict[str, StreamMaker] = {"search": self.search, "live": self.live}

    def search(self, request: Request, asked: Asked) -> StreamingResponse:
        """Return the stream of a search.

        Raises:
            UsageError: A parameter is not valid.
        """
        return _stream(self._searched(request, Search(asked)))

    async def _searched(self, request: Request, search: Search) -> AsyncIterator[bytes]:
        until = time.monotonic() + _SEARCH_SECONDS
        yield _event("start", {"sql": search.sql, "command": search.command})
        while not search.is_done and (left := until - time.monotonic()) > 0:
            try:
                rows = await self._queries.run(request, search.step, left)
            except DeadlineError:
                break
            except ClientLeftError:
                return
            except (LLMOpsError, BusyError) as error:
                yield _event("error", {"type": type(error).__name__, "message": str(error)})
                return
            if rows:
                yield _event("rows", {"rows": rows})
            yield _event("progress", {"searched_back_to": search.back_to, "next": search.cursor})
        yield _event(
            "done",
            {"complete": search.is_complete, "searched_back_to": search.back_to, "rows": search.found,
             "next": search.cursor},
        )  # fmt: skip

    def live(self, request: Request, asked: Asked) -> StreamingResponse:
        """Return the stream of traces that end from now on, or since the event that `Last-Event-ID` names.

        Raises:
            BusyError: Too many streams are open.
            UsageError: A parameter is not valid.
        """
        if self._live >= _MAX_LIVE:
            raise BusyError(f"{_MAX_LIVE} live streams are open; close another tab")
        position = request.headers.get("last-event-id") or asked.text("position")
        wanted, folder = asked.filter, asked.folder

        def follow() -> EndedSpans:
            return EndedSpans(
                wanted, spans=False, columns=LIST_COLUMNS, folder=folder, position=position, max_spans=_MAX_SPANS,
                max_bytes=_MAX_BYTES, content=True,
            )  # fmt: skip

        self._live += 1
        return _LiveResponse(self._followed(follow), self._ended)

    def _ended(self) -> None:
        self._live -= 1

    async def _followed(self, follow: Callable[[], EndedSpans]) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        last_sent = time.monotonic()
        opening = loop.run_in_executor(self._threads, follow)
        step: asyncio.Future[Any] = opening
        try:
            following = await asyncio.shield(opening)
            changed, batches = _changed_at(following.folder), following.step()
            yield b"retry: 2000\n\n" + _event("ready", {}, following.position)
            has_news = False
            while True:
                began = time.monotonic()
                step = loop.run_in_executor(self._threads, _step, following, batches)
                rows, missed = await asyncio.shield(step)
                worked = time.monotonic() - began
                if (now := _changed_at(following.folder)) != changed:
                    changed = now
                    yield _event("changed", {})
                if missed:
                    # Compaction was faster: the list has these traces, this stream has not.
                    yield _event("gap", {"bytes": missed})
                if rows is not None:
                    yield _event("traces", {"rows": rows})
                    has_news = True
                    # A program that writes without a pause needs the machine more than its reader.
                    await asyncio.sleep(min(worked * _REST, _MAX_REST_SECONDS))
                    continue
                # Only here: before, lines that were read wait in memory, and a stream that goes on would lose them.
                if has_news and not following.is_waiting:
                    yield _event("position", {}, following.position)
                    last_sent, has_news = time.monotonic(), False
                elif time.monotonic() - last_sent > _HEARTBEAT_SECONDS:
                    yield b": still here\n\n"
                    last_sent = time.monotonic()
                batches = following.step()
                await asyncio.sleep(max(_POLL_SECONDS, min(worked * _REST, _MAX_REST_SECONDS)))
        except LLMOpsError as error:
            yield _event("error", {"type": type(error).__name__, "message": str(error)})
        finally:
            # The browser may have left while a thread works.
            step.add_done_callback(lambda _: _close(opening))


def _close(opening: asyncio.Future[EndedSpans]) -> None:
    if opening.done() and not opening.cancelled() and opening.exception() is None:
        opening.result().close()


def _step(following: EndedSpans, batches: Iterator[list[tuple[Any, ...]]]) -> tuple[list[dict[str, Any]] | None, int]:
    """Return the next lines of the list, None when nothing is left for now, and the bytes that were missed."""
    rows = next((rows for rows in batches if rows), None)
    found = None if rows is None else trace_rows(dict(zip(LIST_NAMES, row, strict=True)) for row in rows)
    return found, following.missed_bytes()


def _changed_at(folder: Path) -> int:
    """Return when data was last pruned or compacted: then the page reads anew what it shows."""
    try:
        return folder.stat().st_mtime_ns  # both replace or remove a file in it
    except OSError:
        return 0


def _event(name: str, data: Any, position: str | None = None) -> bytes:
    # JSON has no line breaks, so one line of data is enough.
    start = b"" if position is None else b"id: " + position.encode() + b"\n"
    return start + b"event: " + name.encode() + b"\ndata: " + as_json(data) + b"\n\n"


def _stream(events: AsyncIterator[bytes]) -> StreamingResponse:
    return StreamingResponse(events, media_type="text/event-stream", headers=_STREAM_HEADERS)


class _LiveResponse(StreamingResponse):
    """A live stream, which is counted from the request on: many requests may come at once.

    Args:
        events: The events.
        ended: Called when the stream has ended, also when it has sent nothing.
    """

    def __init__(self, events: AsyncIterator[bytes], ended: Callable[[], None]) -> None:
        super().__init__(events, media_type="text/event-stream", headers=_STREAM_HEADERS)
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._ended()
