"""Start, reconfigure and stop the tracing runtime."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pkgutil import resolve_name
from typing import TYPE_CHECKING, TypeVar, cast

from llmops_sdk._exit import at_exit
from llmops_sdk._util._guard import Caught, guarded
from llmops_sdk.errors import ConfigError
from llmops_sdk.tracing.capture._blobs import discard_all, enable_files, with_digests_stage
from llmops_sdk.tracing.records._losses import set_recorder
from llmops_sdk.tracing.records._outbox import OutboxOwner, OutboxUser
from llmops_sdk.tracing.records._records import FlushReport, PipelineBounds
from llmops_sdk.tracing.runtime._pipeline import Pipeline
from llmops_sdk.tracing.runtime._process_end import ends_without_hook, is_ending, join_libraries
from llmops_sdk.tracing.spans import _runtime
from llmops_sdk.tracing.spans._remote import forget_callers
from llmops_sdk.tracing.spans._runtime import RecordPipeline, Runtime

if TYPE_CHECKING:
    from llmops_sdk.config import Settings
    from llmops_sdk.tracing.records._records import Sink

__all__ = [
    "SINKS",
    "aflush",
    "flush",
    "record_into",
    "reset",
    "shut_down_at_exit",
    "shutdown",
    "start",
    "start_with",
]

_log = logging.getLogger("llmops_sdk")

# A change in one of these sections needs a new pipeline.
_PIPELINE_SECTIONS = ("store", "export", "tracing", "redaction", "service")

# Found by name when the pipeline starts: tracing must not import the store.
SINKS = ("llmops_sdk.store:open_sink", "llmops_sdk.export._sink:open_sink")

_MaybeRuntime = TypeVar("_MaybeRuntime", bound=Runtime | None)

_EXIT_SECONDS = 5.0

_lock = threading.RLock()
_subscriptions: list[Callable[[], None]] = []
_pid = os.getpid()


def _install(runtime: _MaybeRuntime) -> _MaybeRuntime:
    _runtime.current = runtime
    set_recorder(None if runtime is None else runtime.record_loss)
    if runtime is None:
        enable_files(None)
    else:
        enable_files(runtime.settings.store.enabled, runtime.settings.capture.max_blob_bytes)
    return runtime


def start() -> Runtime:
    """Return the runtime; the first call reads the configuration.

    An invalid configuration does not break a traced call: it is logged once, and the defaults apply until a valid one
    is loaded. Calls that need the configuration, such as a call to a model, raise the `ConfigError`.
    """
    runtime = _runtime.current
    if runtime is not None:
        return runtime
    # The lock covers the imports too, and a fork waits for it: a child that inherits another thread's unfinished import
    # would wait for that import without end.
    with _lock:
        if _runtime.current is None:
            settings = _settings()
            runtime = _install(Runtime(settings, _new_pipeline(settings)))
            _subscribe()
            _join_provider(runtime)
            return runtime
        return _runtime.current


def _settings() -> Settings:
    from llmops_sdk import config

    try:
        return config.current()
    except ConfigError as error:
        _log.warning("llmops: tracing uses the default settings, because the configuration is invalid: %s", error)
        return config.Settings()


def _subscribe() -> None:
    from llmops_sdk import config

    _subscriptions.append(config.subscribe(_apply))
    join_libraries(shut_down_at_exit)


def start_with(settings: Settings, sinks: Sequence[Sink]) -> Runtime:
    """Trace into the given sinks until `reset`; for tests."""
    reset()
    with _lock:
        return _install(Runtime(settings, _new_pipeline(settings, lambda: sinks)))


@contextmanager
def record_into(sinks: Sequence[Sink]) -> Generator[RecordPipeline]:
    """Record into the given sinks inside the `with` block, then restore the runtime from before.

    It follows `configure`, but also records if `enabled` is false.
    """
    from llmops_sdk import config

    known = latest = config.current()
    with _lock:  # no other thread may start tracing in between
        before, _runtime.current = _runtime.current, None  # set aside, not shut down
        ours = start_with(known.model_copy(update={"enabled": True}), sinks)

    def follow(changed: Settings) -> None:
        nonlocal latest
        latest = changed
        _join_provider(_install(Runtime(changed, ours.pipeline)))

    unsubscribe = config.subscribe(follow)
    try:
        _join_provider(ours)
        yield ours.pipeline
    finally:
        unsubscribe()
        with _lock:
            _install(before)
        ours.pipeline.shut_down(5.0)
        if before is not None and latest is not known:
            _apply(latest)  # the settings of a `configure` inside the block


def _join_provider(runtime: Runtime) -> None:
    """Record other libraries' spans, and start twins of ours if the application has its own provider."""
    if not runtime.enabled:
        from llmops_sdk.tracing.interop._host_spans import DisabledStarter

        runtime.span_starter = DisabledStarter()
    elif not is_ending():
        guarded("joining the tracer provider", None, _join_or_log, runtime)


def _join_or_log(runtime: Runtime) -> None:
    from llmops_sdk.tracing.interop._foreign_recorder import join_tracer_provider

    with Caught(RuntimeError) as ending:
        join_tracer_provider(runtime)
    if ending.error is not None:  # the interpreter is ending
        _log.debug("llmops: spans of other libraries are not recorded: %s", ending.error)


def _new_pipeline(settings: Settings, open_sinks: Callable[[], Sequence[Sink]] | None = None) -> Pipeline:
    ending = is_ending()

    def open_all() -> Sequence[Sink]:
        opened = [sink for opener in openers if (sink := guarded("opening a sink", None, opener, settings)) is not None]
        for owner in [sink for sink in opened if isinstance(sink, OutboxOwner)]:
            for user in [sink for sink in opened if isinstance(sink, OutboxUser)]:
                user.use_outboxes(owner.outboxes)
        if ending:
            for sink in opened:
                # A closed store still writes; a closed backend counts spans as lost.
                guarded(f"closing the sink {sink.name}", None, sink.close, 0.0)
        return opened

    # The thread of the first call loads the modules, not the pipeline's thread: at exit there may be no thread left, a
    # fork must not happen during an import, and a class built by exec would make the interpreter forget a pending
    # Ctrl-C and its exit status.
    found = [guarded(f"loading the sink {name}", None, resolve_name, name) for name in SINKS if open_sinks is None]
    openers = cast("list[Callable[[Settings], Sink | None]]", [opener for opener in found if opener is not None])

    tracing = settings.tracing
    bounds = PipelineBounds(spans=tracing.queue_spans, bytes=tracing.queue_bytes, interval=tracing.flush_interval)
    pipeline = Pipeline(open_sinks or open_all, bounds)
    if ending or ends_without_hook():
        # Nobody would wait for a thread.
        pipeline.write_through_until = math.inf
    redaction = None
    if settings.redaction.enabled:
        from llmops_sdk.tracing.privacy._hash_key import hash_key
        from llmops_sdk.tracing.privacy._redaction_stage import RedactionStage

        key = hash_key(settings.redaction)
        redaction = RedactionStage(settings.redaction.patterns, pipeline.record_loss, key)
    pipeline.transform = with_digests_stage(redaction, pipeline.record_loss)
    return pipeline


def _apply(settings: Settings) -> None:
    """Apply new settings. Open spans end in the pipeline that they started with."""
    with _lock:
        old = _runtime.current
        if old is None:
            return
        before = old.settings
        same = all(getattr(before, name) == getattr(settings, name) for name in _PIPELINE_SECTIONS)
        new = Runtime(settings, old.pipeline if same else _new_pipeline(settings))
        _join_provider(new)
        _install(new)
    if not same:
        # This writes the queue and closes the sinks. A span that ends later is written at once.
        old.pipeline.shut_down(5.0)


def flush(timeout: float = 5.0) -> FlushReport:
    """Write every ended span to the store and send it to the backends.

    The SDK also does this at exit. It flushes the spans of this process only.

    Args:
        timeout: Maximum seconds to wait.

    Returns:
        The counts of spans since the process started.

    Example:
        >>> import llmops_sdk as llmops
        >>> with llmops.span("work"):
        ...     pass
        >>> llmops.flush().dropped
        0
    """
    runtime = _runtime.current
    return FlushReport() if runtime is None else runtime.pipeline.flush(timeout)


async def aflush(timeout: float = 5.0) -> FlushReport:
    """Flush without blocking the event loop; see `flush`.

    Args:
        timeout: Maximum seconds to wait.

    Example:
        >>> import asyncio
        >>> import llmops_sdk as llmops
        >>> asyncio.run(llmops.aflush()).pending
        0
    """
    import asyncio

    return await asyncio.to_thread(flush, timeout)


def shutdown(timeout: float = 5.0) -> FlushReport:
    """Flush, and release threads and files. A span that ends later is written at once, in its own thread.

    Args:
        timeout: Maximum seconds to wait.

    Returns:
        The counts of spans since the process started.

    Example:
        >>> import llmops_sdk as llmops
        >>> llmops.shutdown(timeout=2.0).pending
        0
    """
    runtime = _runtime.current
    return FlushReport() if runtime is None else runtime.pipeline.shut_down(timeout)


def reset() -> None:
    """Shut down and forget the configuration. The next use starts again."""
    with _lock:
        old = _runtime.current
        _install(None)
        while _subscriptions:
            _subscriptions.pop()()
        forget_callers()
    if old is not None:
        old.pipeline.shut_down(5.0)
        discard_all()


def shut_down_at_exit(**_: object) -> None:
    """Shut down; `atexit` and other exit hooks call this, each with its own arguments."""
    if os.getpid() != _pid:
        return
    deadline = time.monotonic() + _EXIT_SECONDS
    with Caught(BaseException) as interrupted:
        guarded("shutting down at the end of the process", None, shutdown, _EXIT_SECONDS)
    if interrupted.error is not None:
        # A signal handler raised, as that of Celery's workers does at SIGTERM. After this call the process is gone.
        guarded("shutting down at the end of the process", None, shutdown, max(deadline - time.monotonic(), 0.0))
        raise interrupted.error


# --- forks ----------------------------------------------------------------------------------------------------


_FORK_WAIT = 10.0  # seconds: the imports of a first use, on a busy machine
_after_fork_calls: list[Callable[[], None]] = []


def _before_fork() -> None:
    # Both waits are bounded: a fork without them is better than no fork.
    if _lock.acquire(timeout=_FORK_WAIT):
        _after_fork_calls.append(_lock.release)
    runtime = _runtime.current
    if runtime is not None:
        _after_fork_calls.append(runtime.pipeline.after_fork_in_parent)
        runtime.pipeline.before_fork()


def _after_fork_in_parent() -> None:
    while _after_fork_calls:
        _after_fork_calls.pop()()


def _after_fork() -> None:
    global _pid, _lock
    _after_fork_calls.clear()
    _pid = os.getpid()
    _lock = threading.RLock()
    runtime = _runtime.current
    if runtime is not None:
        runtime.resource = {**runtime.resource, "process.pid": _pid}
        runtime.pipeline.after_fork(ends_without_hook())
        join_libraries(shut_down_at_exit)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork)


_runtime.set_factory(start)
at_exit(shut_down_at_exit)
