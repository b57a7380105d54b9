"""The settings of tracing: capture of values, the pipeline, and redaction."""

from __future__ import annotations

from typing import Literal

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from llmops_sdk._util._public import public
from llmops_sdk.config.sections._base import OptionalText, SettingsSection
from llmops_sdk.config.sections._value_types import Regex

__all__ = ["CaptureSettings", "RedactionSettings", "TracingSettings"]


@public("llmops_sdk.config")
class CaptureSettings(SettingsSection):
    """How much of arguments, results, prompts and responses the local store keeps."""

    content: bool = True
    """Keep content. Names, times, tokens and costs are always kept."""
    max_bytes: PositiveInt = 65_536
    """Bytes of JSON to keep of one value. The rest is cut, marked and counted."""
    max_depth: PositiveInt = 12
    """Levels of nesting to keep."""
    max_items: PositiveInt = 1_000
    """Items to keep of one list or mapping."""
    max_blob_bytes: NonNegativeInt = 8 * 1024 * 1024
    """The maximum size of an image to store whole, in a file beside the store. 0 stores only its description."""


@public("llmops_sdk.config")
class TracingSettings(SettingsSection):
    """The pipeline from the application to the sinks."""

    queue_spans: PositiveInt = 65_536
    """The maximum number of queued spans. Further ones are dropped and counted."""
    queue_bytes: PositiveInt = 64 * 1024 * 1024
    """The maximum bytes of queued content."""
    flush_interval: PositiveFloat = 0.05
    """Seconds that a span waits at most before it is written."""
    global_provider: Literal["auto", "never"] = "auto"
    """"auto" becomes OpenTelemetry's global tracer provider if there is none, to record other libraries' spans too. A
    provider that the application sets is joined either way."""
    local_sampling: Literal["all", "parent"] = "all"
    """What the local store keeps below a caller that is not sampled (`traceparent` ends in 00): "all" keeps the spans,
    which are not exported, and "parent" keeps none."""
    attempts: Literal["events", "spans"] = "events"
    """How to record the attempts of a call: as events on its span, or also as child spans."""


@public("llmops_sdk.config")
class RedactionSettings(SettingsSection):
    """What is replaced by `[REDACTED:name]` in every text before it is stored or sent."""

    enabled: bool = True
    """Redact known formats of secrets, matches of `patterns`, and what the program's own redactors change."""
    patterns: dict[str, Regex] = {}
    """Further regular expressions by name, e.g. `employee = "E-\\d{6}"`. Each is applied to every text."""
    hash_key_env: OptionalText = None
    """The environment variable with a random key. With it, `[REDACTED:name]` becomes `[REDACTED:name:hash]`, and equal
    values have equal hashes."""
