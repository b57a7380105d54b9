"""The settings: frozen, keyword-only, one docstring a field. The reference page is generated from them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from llmops_sdk._util._public import public
from llmops_sdk.config.sections._base import (
    FolderPath,
    Names,
    OptionalPath,
    OptionalSeconds,
    OptionalText,
    OrNone,
    Section,
)
from llmops_sdk.config.sections._export import DestinationSettings, ExportFilter, ExportSettings, SignalSettings
from llmops_sdk.config.sections._value_types import ColumnName, Regex

__all__ = [
    "CacheSettings",
    "CaptureSettings",
    "CassetteSettings",
    "ColumnSettings",
    "DestinationSettings",
    "ExportFilter",
    "ExportSettings",
    "FallbackSettings",
    "GuardrailSettings",
    "ModelSettings",
    "PriceSettings",
    "RedactionSettings",
    "RetrySettings",
    "Section",
    "SettingsFields",
    "SignalSettings",
    "StoreSettings",
    "ThinningSettings",
    "Timeout",
    "TracingSettings",
]


@public("llmops_sdk")
class Timeout(Section):
    """Bounds on one call to a model, in seconds; None is no bound of that kind.

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
    """Seconds between two signs of life in a stream: chunks, or what a server sends to keep the connection open."""
    attempt: OptionalSeconds = None
    """Seconds for one attempt at a whole answer, after which the next one has its turn; streams have `first_token`."""
    total: OptionalSeconds = 600.0
    """Seconds for the whole call, every attempt and wait included."""


@public("llmops_sdk.config")
class RetrySettings(Section):
    """When and how often a failed call is tried again."""

    attempts: Annotated[int, Field(ge=1, le=100)] = 3
    """How many times a call is tried in all; 1 means never again."""
    base: PositiveFloat = 0.5
    """Seconds: the n-th wait is drawn uniformly from 0 to base·2ⁿ⁻¹ (full jitter)."""
    max_wait: PositiveFloat = 20.0
    """Seconds: the cap on a drawn wait."""
    max_retry_after: NonNegativeFloat = 60.0
    """Seconds: a Retry-After above this ends the attempts instead of being waited for."""
    budget: Annotated[PositiveFloat | None, OrNone] = 500.0
    """Tokens that all retries at one model share in a process: one costs 14, or 5 after a 429, and they come back when
    it succeeds; a call that needs none gives 1. Without enough of them nothing is tried again; "none" is no bound."""


@public("llmops_sdk.config")
class FallbackSettings(Section):
    """Which errors let a call go on to the next of a model's `fallbacks`.

    An outage, a full quota, a bad key and a missing model always do; a request that is not valid never does.
    """

    context_window: bool = True
    """Go on when the prompt is longer than the model takes: the next one may be larger."""
    content_filter: bool = False
    """Go on when the provider's own filter refuses the content."""
    broken_stream: Literal["fail", "restart"] = "fail"
    """What becomes of a stream that breaks after its first piece: an error with what had come, or the next model's
    whole answer, of which the first chunk is marked `restarted`."""


@public("llmops_sdk.config")
class CacheSettings(Section):
    """The cache of answers, kept on this machine. Off until turned on: it carries state from one call to the next."""

    exact: bool = False
    """Serve the stored answer of a request that is the same in every part."""
    path: OptionalPath = None
    """The folder; by default `cache` inside the store's folder."""
    ttl: OptionalSeconds = 86_400.0
    """Seconds that an answer stays valid; None is until it is evicted."""
    max_bytes: PositiveInt = 256 * 1024 * 1024
    """Size at which the least recently used answers are dropped."""
    namespace: str = ""
    """Answers are shared only within one namespace, as in a tenant's name."""
    sampled: bool = False
    """Also store answers of calls with a temperature above zero."""


@public("llmops_sdk.config")
class GuardrailSettings(Section):
    """Checks on what goes in and what comes out."""

    input: Names = ()
    """Guards on the prompt, by name, as in ["cards"] or ["cards:block"]."""
    output: Names = ()
    """Guards on the answer, by name."""
    on_error: Literal["closed", "open"] = "closed"
    """What a guard that fails means: "closed" blocks the call, "open" lets it pass with a recorded verdict."""


@public("llmops_sdk.config")
class CaptureSettings(Section):
    """What is kept of arguments, results, prompts and answers in the local store."""

    content: bool = True
    """Keep them at all; names, times, tokens and costs are always kept."""
    max_bytes: PositiveInt = 65_536
    """Bytes of JSON kept of one value; the rest is cut, marked and counted."""
    max_depth: PositiveInt = 12
    """Levels of nesting kept."""
    max_items: PositiveInt = 1_000
    """Items kept of one list or mapping."""
    max_blob_bytes: NonNegativeInt = 8 * 1024 * 1024
    """Bytes up to which an image is kept whole, in a file beside the store; 0 keeps only what it is."""


def _attribute(value: object) -> object:
    return {"attribute": value} if isinstance(value, str) else value


@public("llmops_sdk.config")
class ColumnSettings(Section):
    """A column made of an attribute."""

    attribute: Annotated[str, Field(min_length=1)]
    """The attribute's name, or a key of the metadata of `llmops.context`."""
    type: Literal["VARCHAR", "BIGINT", "DOUBLE", "BOOLEAN", "TIMESTAMP", "JSON"] = "VARCHAR"
    """DuckDB's type; a value that does not fit it is NULL."""


@public("llmops_sdk.config")
class ThinningSettings(Section):
    """Old traces of the local store thinned out by compaction: a share of those that tell nothing is kept."""

    share: Annotated[float, Field(ge=0, le=1)] = 1.0
    """The share of the old traces that is kept; the column `weight` of their spans says how many each stands for."""
    after_days: PositiveFloat = 7.0
    """Days after which a trace is old."""
    keep_errors: bool = True
    """Keep every trace with an error."""
    keep_scored: bool = True
    """Keep every trace that has a score."""
    keep_slower_than: OptionalSeconds = None
    """Seconds: keep every trace with a span that took longer."""
    keep_costlier_than: Annotated[NonNegativeFloat | None, OrNone] = None
    """USD: keep every trace that cost more."""


@public("llmops_sdk.config")
class StoreSettings(Section):
    """The local store of traces."""

    enabled: bool = True
    """Keep traces on this machine."""
    path: FolderPath = Path(".llmops")
    """The folder; relative paths are relative to the file that sets them, the default to the project's folder."""
    max_bytes: PositiveInt = 10 * 1024 * 1024 * 1024
    """Size of the store at which the oldest files are dropped, and counted."""
    retention_days: OptionalSeconds = 90.0
    """Days that a span is kept; None is without end."""
    segment_bytes: PositiveInt = 16 * 1024 * 1024
    """Size at which a new write-ahead file is begun."""
    segment_seconds: PositiveFloat = 60.0
    """Age at which a new write-ahead file is begun."""
    fsync: bool = False
    """Force each flush to the disk: survives a power cut, not only a killed process."""
    columns: dict[ColumnName, Annotated[ColumnSettings, BeforeValidator(_attribute)]] = {}
    """Columns of one's own in `spans`, `llm_calls` and `traces`: an attribute's name, as in `tenant = "app.tenant"`, or
    `{ attribute = "app.tenant", type = "BIGINT" }`."""
    compaction: Literal["auto", "manual"] = "auto"
    """Turn write-ahead files into Parquet files, a tenth in size: "auto" in a process of its own when there are
    enough, "manual" only with `llmops compact`."""
    thinning: ThinningSettings = ThinningSettings()
    """What becomes of old traces."""
    network: Literal["refuse", "allow"] = "refuse"
    """Whether the folder may lie on a network file system, whose locks do not tell for certain who still writes."""


@public("llmops_sdk.config")
class TracingSettings(Section):
    """The pipeline between the application and the sinks."""

    queue_spans: PositiveInt = 65_536
    """Spans that may wait; a further one is dropped and counted."""
    queue_bytes: PositiveInt = 64 * 1024 * 1024
    """Bytes of content that may wait."""
    flush_interval: PositiveFloat = 0.05
    """Seconds that a span waits at most before it is written."""
    global_provider: Literal["auto", "never"] = "auto"
    """Whether to become OpenTelemetry's global tracer provider when there is none, so that other libraries' spans
    are kept too. One that the application set is joined either way."""
    attempts: Literal["events", "spans"] = "events"
    """What the attempts of a call to a model are: events on its one span, or also spans below it."""


@public("llmops_sdk.config")
class RedactionSettings(Section):
    """What is replaced by `[REDACTED:name]` in every text before it is stored or sent."""

    enabled: bool = True
    """Replace the well-known formats of secrets, what `patterns` match, and what the program's own redactors change."""
    patterns: dict[str, Regex] = {}
    """Further regular expressions by name, as in `employee = "E-\\d{6}"`; each is tried on every text."""


@public("llmops_sdk.config")
class CassetteSettings(Section):
    """Recorded answers, for the models `cassette/NAME`."""

    folder: FolderPath = Path("cassettes")
    """Where they are, a file each; relative paths are relative to the file that sets them, the default to the project's
    folder."""
    mode: Literal["replay", "new", "record"] = "replay"
    """"replay" asks no model, and what was not recorded is an error; "new" asks for what was not recorded, and records
    it; "record" asks for everything anew."""
    records: OptionalText = None
    """The model to record from, where the options of a cassette's model do not say."""


@public("llmops_sdk.config")
class PriceSettings(Section):
    """The price of a model in USD per million tokens."""

    input: NonNegativeFloat
    """USD per million input tokens."""
    output: NonNegativeFloat = 0.0
    """USD per million output tokens."""
    cache_read: NonNegativeFloat | None = None
    """USD per million input tokens that the provider read from its own cache; by default the input price."""


@public("llmops_sdk.config")
class ModelSettings(Section):
    """A named model: what `model="smart"` means."""

    model: str
    """Provider and model, as in "anthropic/claude-sonnet-4-5"."""
    base_url: OptionalText = None
    """The server's base URL, for compatible servers."""
    api_key_env: OptionalText = None
    """The environment variable that holds the key, when it is not the provider's usual one."""
    fallbacks: Names = ()
    """Models to go on to when this one fails, in order: names from `[models]`, "provider/model" or URLs."""
    fallback: FallbackSettings | None = None
    """In place of `[fallback]`; keys left out are taken from there."""
    retry: RetrySettings | None = None
    """In place of `[retry]`; keys left out are taken from there."""
    timeout: Timeout | None = None
    """In place of `[timeout]`; keys left out are taken from there."""
    cache: CacheSettings | None = None
    """In place of `[cache]`; keys left out are taken from there."""
    guardrails: GuardrailSettings | None = None
    """In place of `[guardrails]`; keys left out are taken from there."""
    options: dict[str, Any] = {}
    """Passed to the provider: for `offline/*` latency, tokens a second, failures, seed, script; for others `extra`."""


class SettingsFields(Section):
    """Every setting; `Settings` adds where each came from."""

    enabled: bool = True
    """False turns tracing, the store of traces and export off; calls keep their retries, guards and cache."""
    model: str = "offline/echo"
    """The default model: a name from `[models]`, "provider/model", or "https://server/v1#model"."""
    fallbacks: Names = ()
    """Models to go on to when the default model fails, in order, unless `[models.*]` says it for that model."""
    service: OptionalText = None
    """The service's name on every span; by default `OTEL_SERVICE_NAME`, else the program's name."""
    models: dict[str, ModelSettings] = {}
    """Named models."""
    prices: dict[str, PriceSettings] = {}
    """Prices by model, over the built-in table."""
    options: dict[str, Any] = {}
    """Passed to the provider of the default model, like `[models.*] options`."""
    retry: RetrySettings = RetrySettings()
    fallback: FallbackSettings = FallbackSettings()
    timeout: Timeout = Timeout()
    cache: CacheSettings = CacheSettings()
    guardrails: GuardrailSettings = GuardrailSettings()
    capture: CaptureSettings = CaptureSettings()
    store: StoreSettings = StoreSettings()
    export: ExportSettings = ExportSettings()
    tracing: TracingSettings = TracingSettings()
    redaction: RedactionSettings = RedactionSettings()
    cassettes: CassetteSettings = CassetteSettings()
