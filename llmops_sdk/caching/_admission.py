"""Which requests and answers the cache takes: pure functions that return the reason against it, or None."""

from __future__ import annotations

from llmops_sdk.config import CacheSettings
from llmops_sdk.providers import Request, Response

__all__ = ["refused_request", "refused_response"]


def refused_request(request: Request, settings: CacheSettings) -> str | None:
    """Return why the cache does not serve a request, or None."""
    if request.unchecked:
        return "unchecked"
    count, temperature = request.params.get("n"), request.params.get("temperature")
    if count is not None and count != 1:
        return "many_choices"
    # The cache keeps no vendor's object, and only that has log probabilities and audio.
    for name in ("logprobs", "top_logprobs"):
        if request.params.get(name) or request.extra.get(name):
            return "logprobs"
    if "audio" in (request.extra.get("modalities") or ()):
        return "audio"
    if temperature and not settings.sampled:
        return "sampled"
    return None


def refused_response(response: Response) -> str | None:
    """Return why an answer is not stored, or None: the cache stores only complete texts of the model that was asked.

    The answer of another model after a fallback would be served long after the first model is back.
    """
    if any(attempt.reason == "fallback" for attempt in response.attempts):
        return "fallback"
    if response.unchecked:
        return "unchecked"
    if response.tool_calls:
        return "tool_calls"
    if response.finish_reason != "stop":
        return response.finish_reason or "incomplete"
    if not response.text:
        return "empty"
    return None
