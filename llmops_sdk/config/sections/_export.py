"""The settings of export to OTLP backends and the console."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, NonNegativeFloat, PositiveFloat, PositiveInt

from llmops_sdk._util._public import public
from llmops_sdk.config.sections._base import Names, OptionalSeconds, OptionalText, OrNone, SettingsSection

__all__ = ["DestinationSettings", "ExportFilter", "ExportSettings", "SignalSettings"]


_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def _exporters(*known: str) -> AfterValidator:
    def check(names: tuple[str, ...]) -> tuple[str, ...]:
        if not set(names) <= set(known):
            raise ValueError(f"a list of {' and '.join(repr(name) for name in known)}")
        return tuple(dict.fromkeys(names))

    return AfterValidator(check)


_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?")


def _headers(headers: dict[str, str]) -> dict[str, str]:
    # Named without the value, which is often a key. The HTTP library would raise an error that quotes it.
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError("names of headers: letters, digits and hyphens, without spaces")
        if not _HEADER_VALUE.fullmatch(value):
            raise ValueError(
                f"a value of the header {name!r} in one line, without control characters and spaces around it; a key "
                "that was read from a file often ends in a line break: strip it"
            )
    return headers


Headers = Annotated[dict[str, str], AfterValidator(_headers)]

Protocol = Literal["http/protobuf", "grpc"]


class SignalSettings(SettingsSection):
    """Export of metrics of calls, or of scores as events (log records)."""

    exporters: Annotated[Names, _exporters("otlp")] = ("otlp",)
    """Where to send: "otlp" is the backend; an empty list turns export off."""
    endpoint: OptionalText = None
    """The complete URL. Default: `[export] endpoint` with the path of the signal."""
    protocol: Annotated[Protocol | None, OrNone] = None
    """The protocol. Default: that of `[export]`."""
    headers: Annotated[Headers | None, OrNone] = None
    """Headers of each request. Default: those of `[export]`."""
    timeout: OptionalSeconds = None
    """Seconds for one request. Default: as in `[export]`."""


@public("llmops_sdk.config")
class ExportFilter(SettingsSection):
    """Which spans a destination gets. Default: all. The local store always keeps every span."""

    kinds: Names = ()
    """Only spans of these kinds, e.g. ["llm", "embedding"]."""
    names: Names = ()
    """Only spans with these names. `*` matches any characters, `?` matches one."""
    sample: Annotated[float, Field(ge=0, le=1)] = 1.0
    """The share of traces to send. The trace id decides, so every process and destination selects the same traces.
    Sampled spans carry the share as `llmops.export.sample`, to scale up counts."""
    keep_errors: bool = True
    """Always send spans with an error."""
    keep_slower_than: OptionalSeconds = None
    """Seconds: always send slower spans."""
    keep_costlier_than: Annotated[NonNegativeFloat | None, OrNone] = None
    """USD: always send spans that cost more."""


@public("llmops_sdk.config")
class DestinationSettings(SettingsSection):
    """A further backend for spans, with its own name."""

    endpoint: str
    """The base URL, e.g. "https://collector.example". Over HTTP, `/v1/traces` is appended."""
    protocol: Annotated[Protocol | None, OrNone] = None
    """The protocol. Default: that of `[export]`."""
    headers: Headers = {}
    """Headers of each request. Those of `[export]` are not sent here."""
    content: Annotated[bool | None, OrNone] = None
    """Also send prompts, responses, arguments and results. Default: as in `[export]`."""
    timeout: OptionalSeconds = None
    """Seconds for one request. Default: as in `[export]`."""
    filter: ExportFilter = ExportFilter()
    """Which spans it gets. The filter of `[export]` does not apply here."""


def _names(destinations: dict[str, DestinationSettings]) -> dict[str, DestinationSettings]:
    # The name is also the name of a folder in the store.
    for name in destinations:
        if not _NAME.fullmatch(name) or name == "default":
            raise ValueError('names of letters, digits, "_" and "-", except "default", which is [export] itself')
    return destinations


@public("llmops_sdk.config")
class ExportSettings(SettingsSection):
    """Export of spans, metrics and scores to an OTLP backend, in addition to the local store."""

    enabled: bool = True
    """Export anything at all."""
    exporters: Annotated[Names, _exporters("otlp", "console")] = ("otlp",)
    """Where to send spans: "otlp" is the backend, if there is an endpoint; "console" prints each as a line of JSON."""
    endpoint: OptionalText = None
    """The base URL, e.g. "http://127.0.0.1:4318". Overrides `OTEL_EXPORTER_OTLP_ENDPOINT`."""
    traces_endpoint: OptionalText = None
    """The complete URL for spans, like `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`. It is ignored if `endpoint` is set in a
    source of higher precedence."""
    protocol: Protocol = "http/protobuf"
    """The protocol."""
    headers: Headers = {}
    """Headers of each request, e.g. an API key."""
    content: bool = False
    """Also send prompts, responses, arguments and results. By default they never leave the machine."""
    allow_attributes: Names = ()
    """Further attributes that leave although content does not, by name; `*` matches any characters. Of other libraries'
    spans numbers, flags and the names of the semantic conventions leave; other texts are withheld and counted."""
    timeout: PositiveFloat = 10.0
    """Seconds for one request."""
    host_content: bool = False
    """Also put content on the spans of the application's own tracer provider."""

    filter: ExportFilter = ExportFilter()
    """Which spans the backend gets."""
    destinations: Annotated[dict[str, DestinationSettings], AfterValidator(_names)] = {}
    """Further backends by name. Each receives spans independently of the others."""
    outbox: bool = True
    """Keep undelivered spans in the store's folder and send them later, also from the next process."""
    outbox_bytes: PositiveInt = 1024 * 1024 * 1024
    """Bytes of pending spans per destination above which the oldest are dropped and counted."""
    outbox_days: PositiveFloat = 7.0
    """Days after which pending spans are dropped and counted."""
    metrics: SignalSettings = SignalSettings()
    """Durations and tokens of calls, as histograms. Default: to the same backend, or to the application's own meter
    provider."""
    logs: SignalSettings = SignalSettings()
    """Scores, as the event `gen_ai.evaluation.result` on the scored span. Default: to the same backend."""

    @property
    def traces_url(self) -> str | None:
        """Return the URL for spans, or None if they are not sent."""
        return self._url("traces", self.exporters, self.traces_endpoint, self.protocol)

    @property
    def metrics_url(self) -> str | None:
        """Return the URL for metrics, or None if they are not sent."""
        signal = self.metrics
        return self._url("metrics", signal.exporters, signal.endpoint, signal.protocol or self.protocol)

    @property
    def logs_url(self) -> str | None:
        """Return the URL for scores, or None if they are not sent."""
        signal = self.logs
        return self._url("logs", signal.exporters, signal.endpoint, signal.protocol or self.protocol)

    @property
    def trace_destinations(self) -> dict[str, DestinationSettings]:
        """Return the destinations of spans by name. The backend of `[export]` itself is "default"."""
        if not self.enabled or "otlp" not in self.exporters:
            return {}
        url = self.traces_url
        default = {} if url is None else {"default": DestinationSettings(endpoint=url, filter=self.filter)}
        return {**default, **self.destinations}

    def _url(self, signal: str, exporters: tuple[str, ...], own: str | None, protocol: Protocol) -> str | None:
        if not self.enabled or "otlp" not in exporters:
            return None
        if own or not self.endpoint:
            return own
        return self.endpoint if protocol == "grpc" else f"{self.endpoint.rstrip('/')}/v1/{signal}"
