"""`span`, `context`, `current_span` and `score`, as the application calls them."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Mapping
from types import TracebackType
from typing import Any, cast

import orjson
from opentelemetry import trace as otel_trace
from opentelemetry.trace import Span as OtelSpan

from llmops_sdk.errors import LLMOpsError
from llmops_sdk.tracing.capture._bounds import DEFAULT_BOUNDS
from llmops_sdk.tracing.records import _semconv
from llmops_sdk.tracing.records._records import Json, Stamp
from llmops_sdk.tracing.spans import _active, _runtime
from llmops_sdk.tracing.spans._attributes import attribute_values, text_of
from llmops_sdk.tracing.spans._score import put_score
from llmops_sdk.tracing.spans._span import Span
from llmops_sdk.tracing.spans._span_proxy import SpanProxy
from llmops_sdk.tracing.spans._start_span import start_child, use_stamps

__all__ = ["context", "current_span", "score", "span"]


_NO_TARGET = (
    "score({name!r}, …) was called without a current span: call it inside a traced function, or give span_id= or "
    "trace_id= (Response.span_id, span.span_id, or from a query)"
)


class _SpanScope:
    """The context manager of `llmops.span(...)`: starts a span on entry and ends it on exit."""

    __slots__ = ("_attributes", "_entered", "_input", "_kind", "_name")

    def __init__(self, name: str, kind: str, input: object, attributes: dict[str, Any]) -> None:
        self._name = name
        self._kind = kind
        self._input = input
        self._attributes = attributes
        # Span, context, token and the outer entry: a scope may be entered again inside itself.
        self._entered: Any = None

    def __enter__(self) -> Span:
        runtime = _runtime.current or _runtime.start()
        context = _active.get()
        span = start_child(runtime, context, self._name, self._kind)
        if span.recording:
            if self._input is not None:
                span.input = self._input
            if self._attributes:
                span.set_attributes(self._attributes)
        inner = context.copy()
        inner[_active.SPAN_KEY] = span
        self._entered = (span, inner, _active.attach(inner), self._entered)
        return span

    def __exit__(
        self, cls: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        span, inner, token, self._entered = self._entered
        _active.leave(token, inner)
        if error is None:
            span.end()
        else:
            span.fail(error)

    async def __aenter__(self) -> Span:
        return self.__enter__()

    async def __aexit__(
        self, cls: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(cls, error, trace)


def span(
    name: str,
    /,
    *,
    kind: str = "chain",
    input: object = None,
    attributes: Mapping[str, Any] | None = None,
    **more: Any,
) -> _SpanScope:
    """Trace a block: `with llmops.span("rank") as span:`, or `async with`.

    Args:
        name: The span's name.
        kind: The kind of span, as in `llmops.trace`.
        input: The input; any value.
        attributes: Attributes; dotted names go here.
        more: Further attributes whose names are identifiers.

    Raises:
        ValueError: The kind is unknown.

    Example:
        >>> import llmops_sdk as llmops
        >>> with llmops.span("rank", kind="reranker", input=["a", "b"], top_k=1) as span:
        ...     span.output = ["b"]
    """
    if kind not in _semconv.KINDS:
        raise ValueError(f"kind={kind!r} is not known: use one of {', '.join(_semconv.KINDS)}")
    return _SpanScope(text_of(name), kind, input, {**(attributes or {}), **more})


def current_span() -> Span | SpanProxy:
    """Return the current span, never None.

    Another library's span comes in a wrapper with the same methods. Without a current span, the result does nothing.

    Example:
        >>> import llmops_sdk as llmops
        >>> llmops.current_span().set(step=1)
        >>> llmops.current_span().recording
        False
    """
    found = _active.get().get(_active.SPAN_KEY)
    if type(found) is Span:
        return found
    return SpanProxy(found if isinstance(found, OtelSpan) else otel_trace.INVALID_SPAN)


@contextlib.contextmanager
def context(
    session_id: str | None = None,
    user_id: str | None = None,
    tags: Iterable[str] = (),
    metadata: Mapping[str, Any] | None = None,
    prompt: str | tuple[str, str] | None = None,
) -> Generator[None]:
    """Stamp every span inside the block, including other libraries' spans. Nested contexts merge; the inner one wins.

    Args:
        session_id: The conversation.
        user_id: The end user.
        tags: Words to group by, in addition to those of outer contexts.
        metadata: Further values by key, merged with those of outer contexts.
        prompt: The prompt's name, or its name and version.

    Raises:
        TypeError: `tags` is a bare string.

    Example:
        >>> import llmops_sdk as llmops
        >>> with llmops.context(session_id="s-1", user_id="u-1", tags=["beta"], prompt=("greet", "3")):
        ...     llmops.chat("Hi", model="offline/echo").text
        'Hi'
    """
    if isinstance(tags, str):
        raise TypeError(f"tags={tags!r} is a string: give a list, as in tags=[{tags!r}]")
    current = _active.get()
    outer = cast("Stamp | None", _active.stamp_of(current)) or Stamp()
    name, version = (prompt, None) if isinstance(prompt, str) or prompt is None else prompt
    stamp = Stamp(
        session_id=text_of(session_id) if session_id is not None else outer.session_id,
        user_id=text_of(user_id) if user_id is not None else outer.user_id,
        tags=tuple(dict.fromkeys((*outer.tags, *map(text_of, tags)))),
        metadata={**(outer.metadata or {}), **_metadata(metadata or {})} or None,
        prompt_name=text_of(name) if name is not None else outer.prompt_name,
        prompt_version=outer.prompt_version if name is None else None if version is None else text_of(version),
    )
    inner = current.copy()
    inner[_active.STAMP_KEY] = stamp
    use_stamps()
    token = _active.attach(inner)
    held = _active.hold_stamp(stamp)
    try:
        yield
    finally:
        _active.release_stamp(held)
        _active.leave(token, inner)
        _active.drop_stamp(held)


def _metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return a snapshot of the values: plain ones unchanged, others as capture describes them."""
    kept = attribute_values(metadata, DEFAULT_BOUNDS)
    return {key: orjson.loads(bytes(value)) if type(value) is Json else value for key, value in kept.items()}


def score(
    name: str,
    value: float | bool | str,
    *,
    span_id: str | None = None,
    trace_id: str | None = None,
    session_id: str | None = None,
    document_id: str | None = None,
    label: str | None = None,
    comment: str | None = None,
    source: str = "user",
) -> None:
    """Attach a score to a span, trace, session or document: the current span, or any by id, even later and elsewhere.

    For each target, name and source, the latest score counts.

    Args:
        name: The name of the score, as in "helpful".
        value: A finite number, a bool, or a word.
        span_id: 16 hex digits; the current span if neither id is given.
        trace_id: 32 hex digits.
        session_id: A session, given alone: the score is about the whole conversation.
        document_id: A document that the span (by default the current one) has retrieved.
        label: A word for the value.
        comment: The reason.
        source: Who gives the score, as in "user" or "reviewer".

    Raises:
        LLMOpsError: No id is given and there is no current span, or an id or the value is not valid.
        TypeError: `session_id` is given together with another id.
        ValueError: `session_id` or `document_id` is empty.

    Example:
        >>> import llmops_sdk as llmops
        >>> answer = llmops.chat("Hi", model="offline/echo")
        >>> llmops.score("helpful", True, span_id=answer.span_id, trace_id=answer.trace_id)
    """
    if span_id is None and trace_id is None and session_id is None:
        current = _active.get().get(_active.SPAN_KEY)
        if type(current) is Span and document_id is None:
            return current.score(name, value, label=label, comment=comment, source=source)
        found = current.get_span_context() if isinstance(current, OtelSpan) else None
        if found is None or not found.is_valid:
            if not (_runtime.current or _runtime.start()).enabled:
                return None
            raise LLMOpsError(_NO_TARGET.format(name=name))
        span_id, trace_id = f"{found.span_id:016x}", f"{found.trace_id:032x}"
    return put_score(
        name,
        value,
        span_id=span_id,
        trace_id=trace_id,
        session_id=session_id,
        document_id=document_id,
        label=label,
        comment=comment,
        source=source,
    )
