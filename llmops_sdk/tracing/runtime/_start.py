"""The tracing in force: what the settings mean to the hot path, and its beginning, change and end."""

from __future__ import annotations

import logging
import math
import os
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pkgutil import resolve_name
from typing import TYPE_CHECKING, TypeVar, cast

from llmops_sdk._util._exit import at_exit
from llmops_sdk._util._guard import Caught, guarded
from llmops_sdk.errors import ConfigError
from llmops_sdk.tracing.capture._blobs import discard_all, enable_files, with_digests_stage
from llmops_sdk.tracing.records._losses import set_recorder
from llmops_sdk.tracing.records._outbox import OutboxOwner, OutboxUser
from llmops_sdk.tracing.records._records import FlushReport, PipelineBounds
from llmops_sdk.tracing.runtime._pipeline import Pipeline
from llmops_sdk.tracing.runtime._process_end import is_ending, join_libraries
from llmops_sdk.tracing.spans import _runtime
from llmops_sdk.tracing.spans._runtime import RecordPipeline, Runtime

if TYPE_CHECKING:
    from llmops_sdk.config import Settings
    from llmops_sdk.tracing.records._records import Sink

__all__ = ["end_process", "flush", "shutdown", "start"]

_log = logging.getLogger("llmops_sdk")

# A change in one of these makes a new pipeline.
_PIPELINE_SECTIONS = ("store", "export", "tracing", "redaction", "service")

# Found by name when the pipeline starts: tracing stands below the store in the order of imports.
SINKS = ("llmops_sdk.store:open_sink", "llmops_sdk.export._sink:open_sink")


_MaybeRuntime = TypeVar("_MaybeRuntime", bound=Runtime | None)

_lock = threading.RLock()
_subscriptions: list[Callable[[], None]] = []
_pid = os.getpid()


def _put_in_force(runtime: _MaybeRuntime) -> _MaybeRuntime:
    _runtime.current = runtime
    set_recorder(None if runtime is None else runtime.record_loss)
    enable_files(None if runtime is None else runtime.settings.store.enabled)
    return runtime


def start() -> Runtime:
    """The tracing in force; reads the configuration at first use.

    A configuration that is not valid does not break a traced call: that is logged once, and the defaults hold until
    a valid one is loaded. What needs the configuration, a call to a model say, raises the `ConfigError`.
    """
    runtime = _runtime.current
    if runtime is not None:
        return runtime
    # All of it under the lock, the imports too: a fork waits for it, since a child with an import begun by another
    # thread would wait for that import for ever.
    with _lock:
        if _runtime.current is None:
            settings = _settings()
            runtime = _put_in_force(Runtime(settings, _new_pipeline(settings)))
            _hook_in()
            join_provider(runtime)
            return runtime
        return _runtime.current


def _settings() -> Settings:
    from llmops_sdk import config

    try:
        return config.current()
    except ConfigError as error:
        _log.warning("llmops: tracing goes on with the default settings: %s", error)
        return config.Settings()


def _hook_in() -> None:
    from llmops_sdk import config

    _subscriptions.append(config.subscribe(_apply))
    join_libraries(end_process)


def start_with(settings: Settings, sinks: Sequence[Sink]) -> Runtime:
    """Trace into the given sinks from now on, until `reset`; for tests."""
    reset()
    with _lock:
        return _put_in_force(Runtime(settings, _new_pipeline(settings, lambda: sinks)))


@contextmanager
def record_into(sinks: Sequence[Sink]) -> Generator[RecordPipeline]:
    """Record into the given sinks inside the `with` block; what was in force before is in force again after it.

    It follows `configure`, but records also where `enabled` is false.
    """
    from llmops_sdk import config

    known = latest = config.current()
    with _lock:  # nothing may start tracing in between
        before, _runtime.current = _runtime.current, None  # put aside, not shut down
        ours = start_with(known.model_copy(update={"enabled": True}), sinks)

    def follow(changed: Settings) -> None:
        nonlocal latest
        latest = changed
        join_provider(_put_in_force(Runtime(changed, ours.pipeline)))

    unsubscribe = config.subscribe(follow)
    try:
        join_provider(ours)
        yield ours.pipeline
    finally:
        unsubscribe()
        with _lock:
            _put_in_force(before)
        ours.pipeline.shut_down(5.0)
        if before is not None and latest is not known:
            _apply(latest)  # what `configure` said meanwhile


def join_provider(runtime: Runtime) -> None:
    """Take in other libraries' spans, and begin ours at the application's own provider too where there is one."""
    if not runtime.enabled:
        from llmops_sdk.tracing.interop._host import Off

        runtime.host = Off()
    elif not is_ending():
        guarded("joining the tracer provider", None, _adopt, runtime)


def _adopt(runtime: Runtime) -> None:
    from llmops_sdk.tracing.interop._recorder import adopt

    with Caught(RuntimeError) as ending:
        adopt(runtime)
    if ending.error is not None:
        _log.debug("llmops: other libraries' spans are not taken in: %s", ending.error)  # the interpreter is ending


def _bounds(settings: Settings) -> PipelineBounds:
    tracing = settings.tracing
    return PipelineBounds(spans=tracing.queue_spans, bytes=tracing.queue_bytes, interval=tracing.flush_interval)


def _new_pipeline(settings: Settings, open_sinks: Callable[[], Sequence[Sink]] | None = None) -> Pipeline:
    late = is_ending()

    def open_all() -> Sequence[Sink]:
        opened = [sink for opener in openers if (sink := guarded("opening a sink", None, opener, settings)) is not None]
        for owner in [sink for sink in opened if isinstance(sink, OutboxOwner)]:
            for user in [sink for sink in opened if isinstance(sink, OutboxUser)]:
                user.use_outboxes(owner.outboxes)
        if late:
            for sink in opened:
                # The store takes what comes all the same; a backend counts it as lost.
                guarded(f"closing the sink {sink.name}", None, sink.close, 0.0)
        return opened

    # Their modules are loaded here, in the thread of the first call and not in the pipeline's: at exit no thread may be
    # left to do it, a fork must not fall into it, and a class that is built by exec makes the interpreter forget that
    # it ends by a Ctrl-C, and so its exit status.
    found = [guarded(f"loading the sink {name}", None, resolve_name, name) for name in SINKS if open_sinks is None]
    openers = cast("list[Callable[[Settings], Sink | None]]", [opener for opener in found if opener is not None])

    pipeline = Pipeline(open_sinks or open_all, _bounds(settings))
    if late:
        # Nobody would wait for its thread any more.
        pipeline.write_through_until = math.inf
    redaction = None
    if settings.redaction.enabled:
        from llmops_sdk.tracing.privacy._redaction_stage import RedactionStage

        redaction = RedactionStage(settings.redaction.patterns, pipeline.record_loss)
    pipeline.transform = with_digests_stage(redaction, pipeline.record_loss)
    return pipeline


def _apply(settings: Settings) -> None:
    """Take new settings: spans in flight end in the pipeline that they began with."""
    with _lock:
        old = _runtime.current
        if old is None:
            return
        before = old.settings
        same = all(getattr(before, name) == getattr(settings, name) for name in _PIPELINE_SECTIONS)
        new = Runtime(settings, old.pipeline if same else _new_pipeline(settings))
        join_provider(new)
        _put_in_force(new)
    if not same:
        # Its queue is written out and its sinks are closed; a span that ends later is written at once.
        old.pipeline.shut_down(5.0)


def flush(timeout: float = 5.0) -> FlushReport:
    """Bring every span that has ended to the store and to the backends.

    Also done at exit. Spans that another process recorded are its own matter.

    Args:
        timeout: Seconds to wait at most.

    Returns:
        What has become of the spans since the process began.

    Example:
        >>> import llmops_sdk as llmops
        >>> with llmops.span("work"):
        ...     pass
        >>> llmops.flush().dropped
        0
    """
    runtime = _runtime.current
    return FlushReport() if runtime is None else runtime.pipeline.flush(timeout)


def shutdown(timeout: float = 5.0) -> FlushReport:
    """Flush, and release threads and files; a span that ends later is written at once, by its own thread.

    Args:
        timeout: Seconds to wait at most.

    Returns:
        What has become of the spans since the process began.

    Example:
        >>> import llmops_sdk as llmops
        >>> llmops.shutdown(timeout=2.0).pending
        0
    """
    runtime = _runtime.current
    return FlushReport() if runtime is None else runtime.pipeline.shut_down(timeout)


def reset() -> None:
    """Shut down and forget the configuration that was read; the next use starts anew."""
    with _lock:
        old = _runtime.current
        _put_in_force(None)
        while _subscriptions:
            _subscriptions.pop()()
    if old is not None:
        old.pipeline.shut_down(5.0)
        discard_all()


def end_process(**_: object) -> None:
    """Shut down: what `atexit` and its like call, each in its own manner."""
    if os.getpid() == _pid:
        guarded("shutting down at the end of the process", None, shutdown, 5.0)


# --- forks ----------------------------------------------------------------------------------------------------


_FORK_WAIT = 10.0  # seconds: the imports of a first use, on a busy machine
_held: list[Callable[[], None]] = []


def _before_fork() -> None:
    # Bounded, both: a fork that goes on without them is better than one that never happens.
    if _lock.acquire(timeout=_FORK_WAIT):
        _held.append(_lock.release)
    runtime = _runtime.current
    if runtime is not None:
        _held.append(runtime.pipeline.after_fork_in_parent)
        runtime.pipeline.before_fork()


def _after_fork_in_parent() -> None:
    while _held:
        _held.pop()()


def _after_fork() -> None:
    global _pid, _lock
    _held.clear()
    _pid = os.getpid()
    _lock = threading.RLock()
    runtime = _runtime.current
    if runtime is not None:
        runtime.resource = {**runtime.resource, "process.pid": _pid}
        runtime.pipeline.after_fork()
        join_libraries(end_process)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork)


_runtime.set_starter(start)
at_exit(end_process)
