"""Which requests and answers the cache takes: pure functions that return the reason against it, or None."""

from __future__ import annotations

from collections.abc import Callable

from llmops_sdk._util._guard import guarded
from llmops_sdk.config import CacheSettings
from llmops_sdk.providers import Request, Response

__all__ = ["admission", "refused_request", "refused_response"]


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


def refused_response(response: Response, *, tool_calls: bool = False) -> str | None:
    """Return why an answer is not stored, or None: the cache stores only complete answers of the model that was asked.

    The answer of another model after a fallback would be served long after the first model is back.

    Args:
        response: The answer.
        tool_calls: Whether answers that call tools are stored.
    """
    if response.cache == "semantic":
        return "semantic"  # the answer of another question must neither spread nor live longer
    if any(attempt.reason == "fallback" for attempt in response.attempts):
        return "fallback"
    if response.unchecked:
        return "unchecked"
    if response.tool_calls:
        whole = response.finish_reason in _WHOLE_CALLS
        return None if tool_calls and whole else "tool_calls" if whole else response.finish_reason or "incomplete"
    if response.finish_reason != "stop":
        return response.finish_reason or "incomplete"
    if not response.text:
        return "empty"
    return None


_WHOLE_CALLS = frozenset({"tool_calls", "stop"})


def admission(
    settings: CacheSettings, admit: Callable[[Response], bool] | None = None
) -> Callable[[Response], str | None]:
    """Return the rule for new answers: returns why one is not stored, or None.

    Args:
        settings: The settings of the cache.
        admit: Returns whether an answer is stored, in place of the rules of `refused_response`.
    """
    if admit is None:
        return lambda response: refused_response(response, tool_calls=settings.tool_calls)

    def refused(response: Response) -> str | None:
        # A guard could not check it: nobody but its own caller may have it.
        if response.unchecked or response.cache == "semantic":
            return "unchecked" if response.unchecked else "semantic"
        return None if guarded("cache admission", False, admit, response) else "admit"

    return refused
