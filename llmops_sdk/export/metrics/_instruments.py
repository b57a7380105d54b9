"""The metrics of calls to models, in the application's meter provider or one of ours in front of the exporter.

Source: OpenTelemetry's semantic conventions for generative AI, client metrics. This module imports
`opentelemetry.sdk.metrics`; only the metrics thread imports it.
"""

from __future__ import annotations

import math
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)

from llmops_sdk._version import __version__
from llmops_sdk.export._batch import LastResponse, exporter_log_filter
from llmops_sdk.export._destinations import Destination
from llmops_sdk.export._exporters import make_exporter
from llmops_sdk.export._outcome import DeliveryStatus, Outcome
from llmops_sdk.export.metrics._measured import Measured
from llmops_sdk.tracing.interop._convert import sdk_resource
from llmops_sdk.tracing.records import _semconv as names

__all__ = ["Instruments"]

_SECONDS = tuple(0.01 * 2**power for power in range(14))
_TOKENS = tuple(4**power for power in range(14))
_HISTOGRAMS = (
    (names.METRIC_DURATION, "s", "GenAI operation duration.", _SECONDS),
    (names.METRIC_INFERENCE, "s", "Duration of a call to a model that generates.", _SECONDS),
    (names.METRIC_EMBEDDINGS, "s", "Duration of a call to a model that embeds.", _SECONDS),
    (names.METRIC_TOKENS, "{token}", "Number of input and output tokens used.", _TOKENS),
    (names.METRIC_FIRST_CHUNK, "s", "Time from the request to the first chunk of a stream.", _SECONDS),
    (names.METRIC_CHUNK, "s", "Time from one chunk of a stream to the next.", _SECONDS),
    (names.METRIC_INFERENCE_FIRST_CHUNK, "s", "Time from the request to the first chunk of a stream.", _SECONDS),
    (names.METRIC_INFERENCE_CHUNK, "s", "Time from one chunk of a stream to the next.", _SECONDS),
    (f"{names.METRIC_OPERATION_TOKENS}input_tokens", "{token}", "Input tokens of a call.", _TOKENS),
    (f"{names.METRIC_OPERATION_TOKENS}output_tokens", "{token}", "Output tokens of a call.", _TOKENS),
    (names.METRIC_EMBEDDING_TOKENS, "{token}", "Input tokens of a call that embeds.", _TOKENS),
)
_COUNTERS = {
    "input_tokens": "Input tokens, those of the provider's cache included.",
    "output_tokens": "Output tokens, those of reasoning included.",
    "cache_read.input_tokens": "Input tokens read from the provider's cache.",
    "cache_write.input_tokens": "Input tokens written to the provider's cache.",
    "reasoning.output_tokens": "Output tokens of reasoning.",
}


class Instruments:
    """Records calls into instruments of the application's meter provider, or into ours, which go to the destination."""

    def __init__(self, host: Any, destination: Destination | None) -> None:
        self._reader: PeriodicExportingMetricReader | None = None
        self._exporter: _Exporter | None = None
        provider = host
        if host is None and destination is not None:
            self._exporter = _Exporter(destination)
            # Without an interval: the reader's thread would leave its locks taken after a fork.
            self._reader = PeriodicExportingMetricReader(self._exporter, export_interval_millis=math.inf)
            resource = sdk_resource(destination.resource())
            provider = MeterProvider([self._reader], resource=resource, shutdown_on_exit=False)
        meter = provider.get_meter("llmops_sdk", __version__)
        self._histograms = {
            name: meter.create_histogram(
                name, unit=unit, description=description, explicit_bucket_boundaries_advisory=buckets
            )
            for name, unit, description, buckets in _HISTOGRAMS
        }
        self._counters = {
            end: meter.create_counter(f"{names.METRIC_USAGE}{end}", unit="{token}", description=description)
            for end, description in _COUNTERS.items()
        }

    @property
    def sends(self) -> bool:
        """Return whether this object sends the histograms, not the application."""
        return self._reader is not None

    def record(self, call: Measured) -> None:
        """Record one call."""
        attributes: dict[str, Any] = dict(call.attributes)
        histograms = self._histograms
        for token_type, count in call.tokens.items():
            histograms[names.METRIC_TOKENS].record(count, {**attributes, names.TOKEN_TYPE: token_type})
        embeds = attributes.get(names.OPERATION) == "embeddings"
        for side, count in call.tokens.items():
            if not embeds:
                histograms[f"{names.METRIC_OPERATION_TOKENS}{side}_tokens"].record(count, attributes)
            elif side == "input":
                histograms[names.METRIC_EMBEDDING_TOKENS].record(count, attributes)
        for end, count in call.usage.items():
            # The providers' counts are not by modality.
            self._counters[end].add(max(count, 0), {**attributes, names.TOKEN_MODALITY: "unknown"})
        if call.first_chunk is not None:
            histograms[names.METRIC_FIRST_CHUNK].record(call.first_chunk, attributes)
            histograms[names.METRIC_INFERENCE_FIRST_CHUNK].record(call.first_chunk, attributes)
        for seconds in call.chunks:
            histograms[names.METRIC_CHUNK].record(seconds, attributes)
            histograms[names.METRIC_INFERENCE_CHUNK].record(seconds, attributes)
        if call.error_type is not None:
            attributes[names.ERROR_TYPE] = call.error_type
        if call.cache is not None:
            attributes[names.CACHE] = call.cache
        histograms[names.METRIC_DURATION].record(call.seconds, attributes)
        histograms[names.METRIC_EMBEDDINGS if embeds else names.METRIC_INFERENCE].record(call.seconds, attributes)

    def send(self, timeout: float) -> Outcome:
        """Collect the histograms and send them within `timeout` seconds; return the outcome."""
        if self._reader is None or self._exporter is None:
            return Outcome(status=DeliveryStatus.ACCEPTED)
        self._reader.collect(timeout_millis=timeout * 1000)
        return self._exporter.outcome

    def close(self) -> None:
        """Release the connection and stop waiting. Any thread may call this."""
        if self._exporter is not None:
            self._exporter.shutdown()


class _Exporter(MetricExporter):
    """An official exporter that keeps the outcome of its last export, which the reader does not."""

    def __init__(self, destination: Destination) -> None:
        self._response = LastResponse(destination)
        self._inner: Any = make_exporter(destination, self._response)
        # As the environment asks; the SDK's readers look for these names on an exporter.
        super().__init__(
            preferred_temporality=self._inner._preferred_temporality,
            preferred_aggregation=self._inner._preferred_aggregation,
        )
        self.outcome = Outcome(status=DeliveryStatus.ACCEPTED)
        self._closed = False

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        self._response.clear()
        self.outcome = Outcome(status=DeliveryStatus.RETRY)
        with exporter_log_filter(self._response):
            result = self._inner.export(metrics_data, timeout_millis=timeout_millis, **kwargs)
        self.outcome = self._response.outcome(succeeded=result is MetricExportResult.SUCCESS, unconverted=0)
        return result

    def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002 - it queues nothing
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:  # noqa: ARG002 - the SDK's signature
        if not self._closed:
            self._closed = True
            self._inner.shutdown(timeout_millis=timeout_millis)
