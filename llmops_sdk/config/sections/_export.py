"""The settings of what leaves the machine."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, NonNegativeFloat, PositiveFloat, PositiveInt

from llmops_sdk._util._public import public
from llmops_sdk.config.sections._base import Names, OptionalSeconds, OptionalText, OrNone, Section

__all__ = ["DestinationSettings", "ExportFilter", "ExportSettings", "SignalSettings"]


_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def _exporters(*known: str) -> AfterValidator:
    def check(names: tuple[str, ...]) -> tuple[str, ...]:
        if not set(names) <= set(known):
            raise ValueError(f"a list of {' and '.join(repr(name) for name in known)}")
        return tuple(dict.fromkeys(names))

    return AfterValidator(check)


Protocol = Literal["http/protobuf", "grpc"]


class SignalSettings(Section):
    """Metrics of calls to models, or scores as events (log records), besides the spans."""

    exporters: Annotated[Names, _exporters("otlp")] = ("otlp",)
    """Where they go: "otlp" is the backend; an empty list is nowhere."""
    endpoint: OptionalText = None
    """The whole URL, used as it is; by default the path of the signal is added to `[export] endpoint`."""
    protocol: Annotated[Protocol | None, OrNone] = None
    """How to send; by default as spans are sent."""
    headers: Annotated[dict[str, str] | None, OrNone] = None
    """Headers of each request; by default those of `[export]`."""
    timeout: OptionalSeconds = None
    """Seconds for one request; by default as for spans."""


@public("llmops_sdk.config")
class ExportFilter(Section):
    """Which spans a destination gets; all of them, unless something is said. The local store keeps every one."""

    kinds: Names = ()
    """Only these kinds, as in ["llm", "embedding"]."""
    names: Names = ()
    """Only spans of these names; `*` and `?` stand for any characters and for one."""
    sample: Annotated[float, Field(ge=0, le=1)] = 1.0
    """The share of the traces that is sent, chosen by the trace's id, so that every process and destination chooses the
    same. Spans that are sent for it bear the share as `llmops.export.sample`, so that counts can be scaled up."""
    keep_errors: bool = True
    """Send spans with an error whatever the share."""
    keep_slower_than: OptionalSeconds = None
    """Seconds: send spans that took longer, whatever the share."""
    keep_costlier_than: Annotated[NonNegativeFloat | None, OrNone] = None
    """USD: send spans that cost more, whatever the share."""


@public("llmops_sdk.config")
class DestinationSettings(Section):
    """A further backend that spans are sent to, by a name of its own."""

    endpoint: str
    """The base URL, as in "https://collector.example"; `/v1/traces` is added over HTTP."""
    protocol: Annotated[Protocol | None, OrNone] = None
    """How to send; by default as `[export]` says."""
    headers: dict[str, str] = {}
    """Headers of each request; those of `[export]` are not sent here."""
    content: Annotated[bool | None, OrNone] = None
    """Send prompts, answers, arguments and results too; by default as `[export]` says."""
    timeout: OptionalSeconds = None
    """Seconds for one request; by default as `[export]` says."""
    filter: ExportFilter = ExportFilter()
    """Which spans it gets; that of `[export]` does not hold here."""


def _names(destinations: dict[str, DestinationSettings]) -> dict[str, DestinationSettings]:
    # Each has a folder of that name in the store.
    for name in destinations:
        if not _NAME.fullmatch(name) or name == "default":
            raise ValueError('names of letters, digits, "_" and "-", other than "default", which [export] itself is')
    return destinations


@public("llmops_sdk.config")
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

    filter: ExportFilter = ExportFilter()
    """Which spans the backend gets."""
    destinations: Annotated[dict[str, DestinationSettings], AfterValidator(_names)] = {}
    """Further backends, by name: each gets the spans on its own, and none waits for another."""
    outbox: bool = True
    """Keep what a backend has not taken in the store's folder, and send it later, also from the next process."""
    outbox_bytes: PositiveInt = 1024 * 1024 * 1024
    """Size of what waits for one destination at which the oldest is given up, and counted."""
    outbox_days: PositiveFloat = 7.0
    """Days after which what waits is given up, and counted."""
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

    @property
    def trace_destinations(self) -> dict[str, DestinationSettings]:
        """Where spans are sent, by name; the backend of `[export]` itself is "default"."""
        if not self.enabled or "otlp" not in self.exporters:
            return {}
        url = self.traces_url
        own = {} if url is None else {"default": DestinationSettings(endpoint=url, filter=self.filter)}
        return {**own, **self.destinations}

    def _url(self, signal: str, exporters: tuple[str, ...], own: str | None, protocol: Protocol) -> str | None:
        if not self.enabled or "otlp" not in exporters:
            return None
        if own or not self.endpoint:
            return own
        return self.endpoint if protocol == "grpc" else f"{self.endpoint.rstrip('/')}/v1/{signal}"
