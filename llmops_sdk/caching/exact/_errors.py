"""Errors as data: what a provider will say again to the same request, so that asking again is in vain."""

from __future__ import annotations

from typing import Any, cast

from llmops_sdk.errors import BadRequestError, ContentFilterError, ContextWindowError, ProviderError

__all__ = ["error_payload", "stored_error"]

_CLASSES: dict[str, type[ProviderError]] = {
    cls.__name__: cls for cls in (BadRequestError, ContentFilterError, ContextWindowError)
}
# These depend on the moment or on others: a conflict, a lock, too early, too many requests, a time-out.
_PASSING = frozenset({408, 409, 423, 425, 429})
_MOST_TEXT = 4_000


def error_payload(error: BaseException) -> dict[str, Any] | None:
    """Return an error as JSON-like data, or None for one that may not come again."""
    # Exactly these classes: one of the application's own cannot be made again.
    if type(error) not in _CLASSES.values():
        return None
    found = cast("ProviderError", error)
    passing = found.status_code in _PASSING or found.retry_after is not None or found.should_retry is True
    # After a fallback or another question of the same call, it is not the answer to this request.
    others = any(attempt.reason not in {"first", "retry"} for attempt in found.attempts)
    if passing or others:
        return None
    return {
        "type": type(error).__name__,
        "message": str(found)[:_MOST_TEXT],
        "provider": found.provider,
        "model": found.model,
        "status_code": found.status_code,
    }


def stored_error(payload: Any, age_s: float) -> ProviderError | None:
    """Return the error in a payload, with a note that it comes from the cache; None when the payload is none."""
    match payload:
        case {
            "type": str() as name,
            "message": str() as message,
            "provider": str() | None as provider,
            "model": str() | None as model,
            "status_code": int() | None as status_code,
        } if name in _CLASSES:
            error = _CLASSES[name](message, provider=provider, model=model, status_code=status_code)
            error.add_note(
                f"llmops: this error comes from the cache, stored {age_s:.0f} s ago; [cache] negative_ttl says "
                "for how long, and cache=False asks again"
            )
            return error
        case _:
            return None
