"""Ask a person about a call: run the application's function, sync or async, within a time limit."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, TypeAlias

from llmops_sdk._util._callables import call_style_of
from llmops_sdk._util._daemon import start_daemon
from llmops_sdk._util._guard import Caught
from llmops_sdk.guardrails.taint._approvals import ApprovalRequest

__all__ = ["Approve", "aask", "ask"]

Approve: TypeAlias = Callable[[ApprovalRequest], bool | Awaitable[bool]]


def ask(approve: Approve, request: ApprovalRequest, timeout: float) -> bool:
    """Return whether a person approves; only True does.

    The function runs in a thread of its own, because nothing can stop it when the time is over.

    Raises:
        TimeoutError: Nobody answered in time.
    """
    return _in_thread(approve, request).result(timeout) is True


async def aask(approve: Approve, request: ApprovalRequest, timeout: float) -> bool:
    """Return whether a person approves, async: a coroutine function runs in this loop, another one in a thread.

    Raises:
        TimeoutError: Nobody answered in time.
    """
    async with asyncio.timeout(timeout):
        if call_style_of(approve) == "coroutine":
            answer: Any = approve(request)
        else:
            answer = asyncio.wrap_future(_in_thread(approve, request))
        return await answer is True


def _in_thread(approve: Approve, request: ApprovalRequest) -> Future[Any]:
    """Run the function in a daemon thread: a program that ends does not wait for a person."""
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()  # from now on nobody can cancel it, so the thread can always settle it
    context = contextvars.copy_context()

    def run() -> None:
        answer: Any = None
        with Caught(BaseException) as caught:
            answer = context.run(approve, request)
            if inspect.isawaitable(answer):
                answer = context.run(asyncio.run, _awaited(answer))
        if caught.error is None:
            future.set_result(answer)
        else:
            future.set_exception(caught.error)

    if start_daemon(run, "llmops-approval") is None:
        raise RuntimeError("no thread for the approval: the interpreter is ending, or there are too many threads")
    return future


async def _awaited(answer: Awaitable[Any]) -> Any:
    return await answer
