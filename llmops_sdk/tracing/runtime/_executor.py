"""A thread pool whose calls see the context of their caller."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import ParamSpec, TypeVar

from llmops_sdk._util._public import public

__all__ = ["Executor"]

_P = ParamSpec("_P")
_T = TypeVar("_T")


@public("llmops_sdk")
class Executor(ThreadPoolExecutor):
    """A thread pool whose calls run in the context of their caller.

    A call sees the current span, `llmops.context` and all other context variables as they were at `submit` or `map`;
    its own changes stay in the call. Otherwise it is a `concurrent.futures.ThreadPoolExecutor`, which
    `loop.run_in_executor` and `loop.set_default_executor` accept. It does not patch any class of Python.

    Args:
        max_workers: Maximum number of threads; by default that of `ThreadPoolExecutor`.
        thread_name_prefix: The start of the threads' names.
        initializer: Called at the start of each thread, outside any caller's context.
        initargs: Arguments of the initializer.

    Example:
        >>> import llmops_sdk as llmops
        >>> @llmops.trace
        ... def ask(question: str) -> str:
        ...     return llmops.current_span().trace_id
        >>> with llmops.span("batch") as batch, llmops.Executor(max_workers=4) as pool:
        ...     answers = list(pool.map(ask, ["one", "two"]))
        >>> answers == [batch.trace_id] * 2
        True
    """

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Call `fn` in a thread, in a copy of the current context; `map` does so for each item.

        Args:
            fn: The function to call.
            args: Its positional arguments.
            kwargs: Its keyword arguments.

        Raises:
            RuntimeError: The pool is shut down.
        """
        # A copy for each call: only one thread at a time can enter a context.
        return super().submit(copy_context().run, fn, *args, **kwargs)
