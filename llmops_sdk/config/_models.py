"""The settings: frozen, keyword-only, one docstring a field. The reference page is generated from them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
)

from llmops_sdk.config._secrets import masked

__all__ = [
    "CacheSettings",
    "CaptureSettings",
    "ExportSettings",
    "FallbackSettings",
    "GuardrailSettings",
    "ModelSettings",
    "PriceSettings",
    "RedactionSettings",
    "Regex",
    "RetrySettings",
    "Section",
    "SettingsFields",
    "SignalSettings",
    "StoreSettings",
    "Timeout",
    "TracingSettings",
]


if TYPE_CHECKING:
    from collections.abc import Iterable


def _none(value: object) -> object:
    """TOML and environment variables have no null, so the word "none" stands for it."""
    return None if isinstance(value, str) and value.strip().lower() == "none" else value


_OrNone = BeforeValidator(_none)

OptionalText = Annotated[str | None, _OrNone]
OptionalSeconds = Annotated[PositiveFloat | None, _OrNone]
# A strict field takes only a Path and only a tuple; a file has strings and lists.
FolderPath = Annotated[Path, Field(strict=False)]
OptionalPath = Annotated[FolderPath | None, _OrNone]
Names = Annotated[tuple[str, ...], Field(strict=False)]


def _exporters(*known: str) -> AfterValidator:
    def check(names: tuple[str, ...]) -> tuple[str, ...]:
        if not set(names) <= set(known):
            raise ValueError(f"a list of {' and '.join(repr(name) for name in known)}")
        return tuple(dict.fromkeys(names))

    return AfterValidator(check)


Protocol = Literal["http/protobuf", "grpc"]


class Section(BaseModel):
    """A part of the settings: frozen, an unknown key is an error, and so is a value of another type ("3" for 3)."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )

    if not TYPE_CHECKING:  # type checkers are to see the fields as the arguments

        def __init__(self, /, **fields: Any) -> None:
            try:
                super().__init__(**fields)
            except ValidationError as error:
                from llmops_sdk.config._problems import constructor_failure

                # From None: pydantic's error has the values in it, secrets too.
                raise constructor_failure(type(self), error) from None

        # As pydantic's own RootModel has it: sections inside others are made without a call of this.
        __init__.__pydantic_base_init__ = True

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """The fields, without the values of headers and of what looks like a secret."""
        for name, value in super().__repr_args__():
            yield name, masked((name or "",), value)


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
    """Seconds between two chunks of a stream."""
    total: OptionalSeconds = 600.0
    """Seconds for the whole call, every attempt and wait included."""


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


class FallbackSettings(Section):
    """Which errors let a call go on to the next of a model's `fallbacks`.

    An outage, a full quota, a bad key and a missing model always do; a request that is not valid never does.
    """

    context_window: bool = True
    """Go on when the prompt is longer than the model takes: the next one may be larger."""
    content_filter: bool = False
    """Go on when the provider's own filter refuses the content."""


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


class GuardrailSettings(Section):
    """Checks on what goes in and what comes out."""

    input: Names = ()
    """Guards on the prompt, by name, as in ["cards"] or ["cards:block"]."""
    output: Names = ()
    """Guards on the answer, by name."""
    on_error: Literal["closed", "open"] = "closed"
    """What a guard that fails means: "closed" blocks the call, "open" lets it pass with a recorded verdict."""


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
    compaction: Literal["auto", "manual"] = "auto"
    """Turn write-ahead files into Parquet files, a tenth in size: "auto" in a process of its own when there are
    enough, "manual" only with `llmops compact`."""


class SignalSettings(Section):
    """Metrics of calls to models, or scores as events (log records), besides the spans."""

    exporters: Annotated[Names, _exporters("otlp")] = ("otlp",)
    """Where they go: "otlp" is the backend; an empty list is nowhere."""
    endpoint: OptionalText = None
    """The whole URL, used as it is; by default the path of the signal is added to `[export] endpoint`."""
    protocol: Annotated[Protocol | None, _OrNone] = None
    """How to send; by default as spans are sent."""
    headers: Annotated[dict[str, str] | None, _OrNone] = None
    """Headers of each request; by default those of `[export]`."""
    timeout: OptionalSeconds = None
    """Seconds for one request; by default as for spans."""


class ExportSettings(Section):
    """Spans, metrics and scores sent to an OTLP backend, besides the local store."""

    enabled: bool = True
    """Send anything at all."""
    exporters: Annotated[Names, _exporters("otlp", "console")] = ("otlp",)
    """Where spans go: "otlp" is the backend, when there is an endpoint; "console" writes a line of JSON for each to
    stdout."""
    endpoint: OptionalText = None
    """The base URL, as in "http://127.0.0.1:4318"; wins over `OTEL_EXPORTER_OTLP_ENDPOINT`."""
    traces_endpoint: OptionalText = None
    """The whole URL for spans, used as it is, like `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`; one from a place of lower
    precedence than `endpoint` is left aside."""
    protocol: Protocol = "http/protobuf"
    """How to send."""
    headers: dict[str, str] = {}
    """Headers of each request, as for an API key."""
    content: bool = False
    """Send prompts, answers, arguments and results too. They never leave the machine otherwise."""
    timeout: PositiveFloat = 10.0
    """Seconds for one request."""
    host_content: bool = False
    """Put content on the spans of a tracer provider that the application set up itself."""

    metrics: SignalSettings = SignalSettings()
    """Durations and tokens of calls to models, as histograms: by default to the same backend, or to the meter
    provider that the application has set up."""
    logs: SignalSettings = SignalSettings()
    """Scores, as the event `gen_ai.evaluation.result` on the span that is judged: by default to the same backend."""

    @property
    def traces_url(self) -> str | None:
        """Where spans are sent, or None when they are not: `/v1/traces` is added to a base URL over HTTP."""
        return self._url("traces", self.exporters, self.traces_endpoint, self.protocol)

    @property
    def metrics_url(self) -> str | None:
        """Where metrics are sent, or None when they are not."""
        signal = self.metrics
        return self._url("metrics", signal.exporters, signal.endpoint, signal.protocol or self.protocol)

    @property
    def logs_url(self) -> str | None:
        """Where scores are sent, or None when they are not."""
        signal = self.logs
        return self._url("logs", signal.exporters, signal.endpoint, signal.protocol or self.protocol)

    def _url(self, signal: str, exporters: tuple[str, ...], own: str | None, protocol: Protocol) -> str | None:
        if not self.enabled or "otlp" not in exporters:
            return None
        if own or not self.endpoint:
            return own
        return self.endpoint if protocol == "grpc" else f"{self.endpoint.rstrip('/')}/v1/{signal}"


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


def _regex(text: str) -> str:
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise ValueError(f"a regular expression ({error})") from None
    if pattern.match(""):
        raise ValueError("a regular expression that does not match the empty text")
    return text


Regex = Annotated[str, AfterValidator(_regex)]


class RedactionSettings(Section):
    """What is replaced by `[REDACTED:name]` in every text before it is stored or sent."""

    enabled: bool = True
    """Replace the well-known formats of secrets, what `patterns` match, and what the program's own redactors change."""
    patterns: dict[str, Regex] = {}
    """Further regular expressions by name, as in `employee = "E-\\d{6}"`; each is tried on every text."""


class PriceSettings(Section):
    """The price of a model in USD per million tokens."""

    input: NonNegativeFloat
    """USD per million input tokens."""
    output: NonNegativeFloat = 0.0
    """USD per million output tokens."""
    cache_read: NonNegativeFloat | None = None
    """USD per million input tokens that the provider read from its own cache; by default the input price."""


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
