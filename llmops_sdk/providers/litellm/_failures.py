"""Read what a failed response says: its text, its error code, how long to wait, and what kind of failure it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import orjson

__all__ = ["NO_FAILURE", "Failure", "failure_of", "is_out_of_credit", "is_too_long"]

_MAX_TEXT: Final = 500
_SPACES: Final = re.compile(r"\s+")
# Vendors without a code for it. Each phrase is of an error of a vendor or of a server for open models.
_TOO_LONG: Final = re.compile(
    r"maximum (?:context|prompt) length|context[ _](?:length|window|size|limit)[^.]{0,60}exceed"
    r"|exceed[^.]{0,60}(?:context (?:length|window|size|limit)|available context|maximum number of (?:input )?tokens)"
    r"|prompt is too long|input is too long|too large for model with|input token count[^.]{0,60}exceeds"
    r"|reduce the length of the (?:messages|prompt|input)|too many (?:input )?tokens",
    re.IGNORECASE,
)
_OUT_OF_CREDIT: Final = re.compile(r"credit balance is too low|insufficient[_ ]balance|out of credits", re.IGNORECASE)
_QUOTA_CODES: Final = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
_DELAY: Final = re.compile(r"(\d+(?:\.\d+)?)s")


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed response.

    Attributes:
        text: The beginning of its body, "" if nobody read it.
        retry_after: Seconds that its body asks to wait, or None.
        should_retry: Whether the server says that a retry may help; None if it does not say.
    """

    text: str = ""
    retry_after: float | None = None
    should_retry: bool | None = None


NO_FAILURE: Final = Failure()


def failure_of(response: Any) -> Failure | None:
    """Return what an httpx response says if it is an error, else None."""
    if response is None or response.status_code < 400:
        return None
    content: bytes = getattr(response, "_content", b"")
    error = _error_of(content)
    told = {"true": True, "false": False}.get(str(response.headers.get("x-should-retry", "")).lower())
    if {str(error.get("code")), str(error.get("type"))} & _QUOTA_CODES:
        told = False
    text = _SPACES.sub(" ", content[: _MAX_TEXT * 4].decode("utf-8", "replace")).strip()
    return Failure(text[:_MAX_TEXT], _retry_delay(error), told)


def is_too_long(text: str) -> bool:
    """Return whether an error's text says that the prompt is longer than the model takes."""
    return _TOO_LONG.search(text) is not None


def is_out_of_credit(text: str) -> bool:
    """Return whether an error's text says that the account has no money left."""
    return _OUT_OF_CREDIT.search(text) is not None


def _error_of(content: bytes) -> Mapping[str, Any]:
    try:
        body: object = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    if isinstance(body, list) and body:  # Gemini's streams
        body = cast("list[object]", body)[0]
    if not isinstance(body, Mapping):
        return {}
    values = cast("Mapping[str, Any]", body)
    error: object = values.get("error", values)
    return cast("Mapping[str, Any]", error) if isinstance(error, Mapping) else {}


def _retry_delay(error: Mapping[str, Any]) -> float | None:
    """Return the seconds of Google's RetryInfo."""
    details: object = error.get("details")
    for detail in cast("list[object]", details) if isinstance(details, list) else []:
        if isinstance(detail, Mapping):
            match = _DELAY.fullmatch(str(cast("Mapping[str, object]", detail).get("retryDelay")))
            if match is not None:
                return float(match[1])
    return None
