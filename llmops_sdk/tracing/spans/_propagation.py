"""`inject` and `extract`: W3C trace context across services."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Mapping, MutableMapping, MutableSequence
from typing import cast

from llmops_sdk.errors import LLMOpsError
from llmops_sdk.tracing.spans import _active

__all__ = ["extract", "inject"]


def inject(carrier: MutableMapping[str, str]) -> None:
    """Write the current trace into the headers of a request to another service.

    Args:
        carrier: The headers. They get W3C `traceparent`, `tracestate` and `baggage`, or what `OTEL_PROPAGATORS` names.

    Raises:
        LLMOpsError: `carrier` is not a mutable mapping.

    Example:
        >>> import llmops_sdk as llmops
        >>> headers: dict[str, str] = {}
        >>> with llmops.span("call the other service"):
        ...     llmops.inject(headers)
        >>> sorted(headers)
        ['traceparent']
    """
    from opentelemetry import propagate

    given: object = carrier
    if not hasattr(given, "__setitem__") or isinstance(given, MutableSequence):
        raise LLMOpsError(
            f"inject() needs a mapping to write headers into, got {type(given).__name__}: give a dict, as in "
            "headers = {}; llmops.inject(headers)"
        )
    propagate.inject(carrier)


@contextlib.contextmanager
def extract(carrier: Mapping[str, str]) -> Generator[None]:
    """Continue the trace of a caller's headers: spans inside the block are below the caller's span.

    Args:
        carrier: The headers of the request. Names may be in any case; names and values may be text or bytes.

    Raises:
        LLMOpsError: `carrier` is not a mapping.

    Example:
        >>> import llmops_sdk as llmops
        >>> with llmops.extract({"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}), llmops.span("serve") as span:
        ...     span.trace_id == "ab" * 16
        True
    """
    from opentelemetry import propagate

    given: object = carrier
    if not callable(getattr(given, "items", None)):
        raise LLMOpsError(
            f"extract() needs a mapping of headers, got {type(given).__name__}: give a dict, as in "
            "llmops.extract(request.headers), dict(pairs) for a list of pairs, or {} if there are no headers"
        )
    lower = {_header(name).lower(): _values(value) for name, value in carrier.items()}
    inner = propagate.extract(lower, _active.get())
    token = _active.attach(inner)
    try:
        yield
    finally:
        _active.leave(token, inner)


def _header(value: object) -> str:
    """Return a header's name or value as text; ASGI has bytes."""
    return value.decode("latin-1") if isinstance(value, bytes) else value if isinstance(value, str) else ""


def _values(value: object) -> list[str]:
    """Return the values of a header, for which some frameworks have a list. Values of other types are left out."""
    each = cast("Iterable[object]", value) if isinstance(value, (list, tuple)) else (value,)
    return [text for item in each if (text := _header(item))]
