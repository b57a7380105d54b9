"""OpenTelemetry's official exporters, made for one destination.

They read compression, certificates and their like from the environment themselves. Each import costs 0.25 to 0.75 s of
CPU; this module is itself imported on the exporting threads only.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from llmops_sdk.config.loading._environment import header_pairs
from llmops_sdk.export._destinations import Destination

if TYPE_CHECKING:
    import requests
    from opentelemetry.sdk.trace import ReadableSpan

__all__ = ["make_exporter"]

_CREDENTIAL_PROVIDERS = (
    "OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER",
    "OTEL_PYTHON_EXPORTER_OTLP_HTTP_{}_CREDENTIAL_PROVIDER",
)


class Seen(Protocol):
    """What is told of the answers that the exporters keep to themselves."""

    def see_response(self, response: requests.Response, *more: Any, **named: Any) -> None:
        """Each HTTP response, before the exporter has it."""
        ...

    def see_error(self, error: Exception) -> None:
        """What writing to the console raised."""
        ...


def make_exporter(destination: Destination, seen: Seen) -> Any:
    """The exporter for a destination.

    Args:
        destination: Where to, and how.
        seen: Told what comes back.
    """
    if destination.protocol == "console":
        return _console(seen)
    if destination.protocol == "grpc":
        headers = _OnlyThese((key.lower(), value) for key, value in destination.headers.items())
        kind = _grpc_kind(destination.signal)
        return kind(endpoint=destination.endpoint, headers=headers, timeout=destination.timeout)
    return _http_kind(destination.signal)(
        endpoint=destination.endpoint,
        headers=dict(destination.headers),
        timeout=destination.timeout,
        session=_session(destination, seen),
    )


def _console(seen: Seen) -> Any:
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExportResult

    class LineExporter(ConsoleSpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            try:
                return super().export(spans)
            except (OSError, ValueError) as error:
                # Who reads it is gone (`app | head`), or the stream is closed; the store has the spans all the same.
                seen.see_error(error)
                return SpanExportResult.FAILURE

    # One line each, which tools read; and the stdout of now, not of when the library was imported.
    return LineExporter(out=sys.stdout, formatter=lambda span: span.to_json(indent=None) + "\n")


def _http_kind(signal: str) -> Any:
    if signal == "metrics":
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

        return OTLPMetricExporter
    if signal == "logs":
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter

        return OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter


def _grpc_kind(signal: str) -> Any:
    if signal == "metrics":
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter

        return OTLPMetricExporter
    if signal == "logs":
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter

        return OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter


class _OnlyThese(dict[str, str]):
    """Headers that are true also when there are none: else the exporter takes the environment's in their place."""

    def __bool__(self) -> bool:
        return True


def _session(destination: Destination, seen: Seen) -> requests.Session | None:
    if any(os.environ.get(name.format(destination.signal.upper())) for name in _CREDENTIAL_PROVIDERS):
        return None  # the exporter makes that provider's own
    import requests

    class Session(requests.Session):
        def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
            # Else REQUESTS_CA_BUNDLE, which companies set for all programs, wins over the certificate for this backend.
            own = self.verify if verify is None and isinstance(self.verify, str) else verify
            return super().merge_environment_settings(url, proxies, stream, own, cert)

    session = Session()
    session.hooks["response"].append(seen.see_response)
    foreign = _environment_headers(destination.signal).keys() - {name.lower() for name in destination.headers}
    if foreign:
        session.auth = _Without(foreign)
    return session


def _environment_headers(signal: str) -> Mapping[str, str]:
    # As the exporters read them.
    own = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_HEADERS")
    return header_pairs(own or os.environ.get("OTEL_EXPORTER_OTLP_HEADERS", ""))


class _Without:
    """Takes the environment's headers off a request: they may be the credentials of another backend.

    The exporters add them, whatever headers they are given; this is the last that sees a request.
    """

    def __init__(self, names: set[str]) -> None:
        self._names = names

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        for name in self._names:
            request.headers.pop(name, None)
        return request
