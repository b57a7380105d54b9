"""A thread pool that takes the caller's context along."""

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
    """A thread pool whose calls run in the context of whoever submitted them.

    The current span, `llmops.context` and every other context variable are in the thread what they were at `submit` or
    `map`; what a call changes of them stays its own. It is a `concurrent.futures.ThreadPoolExecutor` in everything
    else, so that `loop.run_in_executor` and `loop.set_default_executor` take it; no class of Python is changed.

    Args:
        max_workers: Threads at most; by default what `ThreadPoolExecutor` finds fit.
        thread_name_prefix: What the threads' names begin with.
        initializer: Called at the start of each thread, outside any caller's context.
        initargs: Its arguments.

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
        """Have `fn` called in a thread, in a copy of the context of this moment; `map` does so for each item.

        Args:
            fn: What is called.
            args: Its arguments.
            kwargs: Its arguments by name.

        Raises:
            RuntimeError: The pool is shut down.
        """
        # A copy for each call: a context can be entered by one thread at a time.
        return super().submit(copy_context().run, fn, *args, **kwargs)
