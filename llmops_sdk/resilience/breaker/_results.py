"""What an error says about a deployment: pure functions."""

from __future__ import annotations

from llmops_sdk.errors import (
    LLMOpsError,
    ProviderConnectionError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
)
from llmops_sdk.resilience._error_classes import is_transient, status_code
from llmops_sdk.resilience._retry_waits import retry_after
from llmops_sdk.resilience.breaker._breaker import Result

__all__ = ["pause_of", "result_of"]

_FAILURES = (ServerError, ProviderConnectionError, ProviderTimeoutError, StreamInterruptedError)
# 529 is Anthropic's "overloaded".
_PAUSING_STATUS = frozenset({429, 503, 529})


def result_of(error: BaseException | None) -> Result:
    """Return what the end of a call says: outages, time-outs and broken connections or streams are failures.

    Another HTTP status below 500 proves that the server works. A 429 says nothing: the deployment is neither down nor
    well. Nor do errors of the caller, such as a cancellation.

    Args:
        error: The exception of any provider or vendor client, or None for a success.

    Example:
        >>> import llmops_sdk as llmops
        >>> from llmops_sdk.resilience.breaker._results import result_of
        >>> bad_key = llmops.AuthenticationError("no such key", status_code=401)
        >>> result_of(llmops.ServerError("down")), result_of(bad_key), result_of(KeyboardInterrupt())
        ('failure', 'ok', 'neutral')
    """
    if error is None:
        return "ok"
    status = status_code(error)
    if isinstance(error, RateLimitError) or status == 429 or not isinstance(error, Exception):
        return "neutral"
    if isinstance(error, _FAILURES):
        return "failure"
    if status is not None and status >= 400:
        return "failure" if status >= 500 or status == 408 else "ok"
    if isinstance(error, LLMOpsError) and not isinstance(error, ProviderError):
        return "neutral"  # another policy refused the call, or a test did
    return "failure" if is_transient(error) else "neutral"


def pause_of(error: BaseException | None, now: float) -> float | None:
    """Return the seconds for which an error asks all callers to wait, or None.

    Args:
        error: The exception of any provider or vendor client.
        now: Seconds since the epoch, for a Retry-After header that is a date.
    """
    if error is None or not (isinstance(error, RateLimitError) or status_code(error) in _PAUSING_STATUS):
        return None
    return retry_after(error, now)
