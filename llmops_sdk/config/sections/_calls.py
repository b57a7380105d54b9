"""The settings of calls to models: timeouts, retries and fallbacks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat

from llmops_sdk._util._public import public
from llmops_sdk.config.sections._base import OptionalSeconds, OrNone, SettingsSection

__all__ = ["FallbackSettings", "RetrySettings", "Timeout"]


@public("llmops_sdk")
class Timeout(SettingsSection):
    """Timeouts of one call to a model, in seconds. None means unlimited.

    Example:
        >>> import llmops_sdk as llmops
        >>> llmops.chat("Hi", model="offline/echo", timeout=llmops.Timeout(total=10, first_token=2)).text
        'Hi'
    """

    connect: OptionalSeconds = 10.0
    """Seconds to open a connection."""
    first_token: OptionalSeconds = None
    """Seconds from the start of an attempt to the first chunk of a stream."""
    between_chunks: OptionalSeconds = 60.0
    """Seconds between two chunks of a stream. Keep-alive messages of the server count as chunks."""
    attempt: OptionalSeconds = None
    """Seconds for one attempt at a complete response. For streams, use `first_token`."""
    total: OptionalSeconds = 600.0
    """Seconds for the whole call with all attempts and waits."""


@public("llmops_sdk.config")
class RetrySettings(SettingsSection):
    """When and how often a failed call is retried."""

    attempts: Annotated[int, Field(ge=1, le=100)] = 3
    """The maximum number of attempts; 1 turns retries off."""
    base: PositiveFloat = 0.5
    """Seconds: the n-th wait is random, from 0 to base·2ⁿ⁻¹ (full jitter)."""
    max_wait: PositiveFloat = 20.0
    """Seconds: the maximum random wait."""
    max_retry_after: NonNegativeFloat = 60.0
    """Seconds: a longer Retry-After of the server ends the attempts."""
    budget: Annotated[PositiveFloat | None, OrNone] = 500.0
    """Tokens that all retries of one model share in a process. A retry costs 14, or 5 after a 429, and success refunds
    them; a call without retries adds 1. Without enough tokens nothing is retried. "none" means unlimited."""


@public("llmops_sdk.config")
class FallbackSettings(SettingsSection):
    """Which errors make a call fall back to the next of a model's `fallbacks`.

    An outage, an exhausted quota, a bad key and a missing model always do. An invalid request never does.
    """

    context_window: bool = True
    """Fall back if the prompt is too long for the model. The next model may accept more."""
    content_filter: bool = False
    """Fall back if the provider's content filter refuses."""
    broken_stream: Literal["fail", "restart"] = "fail"
    """What to do when a stream breaks after its first chunk: "fail" raises an error with the text so far; "restart"
    streams the next model's whole response, whose first chunk is marked `restarted`."""
