"""Create OpenTelemetry's official exporters for a destination.

The exporters read compression, certificates and similar settings from the environment themselves. Each import costs
0.25 to 0.75 s of CPU; only the exporting threads import this module.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Protocol

from llmops_sdk.config.loading._environment import header_pairs
from llmops_sdk.export._destinations import Destination

if TYPE_CHECKING:
    import requests
    from opentelemetry.sdk.trace import ReadableSpan

__all__ = ["make_exporter"]

_CLASSES = {
    "traces": "trace_exporter:OTLPSpanExporter",
    "metrics": "metric_exporter:OTLPMetricExporter",
    "logs": "_log_exporter:OTLPLogExporter",
}
_CREDENTIAL_PROVIDERS = (
    "OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER",
    "OTEL_PYTHON_EXPORTER_OTLP_HTTP_{}_CREDENTIAL_PROVIDER",
)


class ResponseObserver(Protocol):
    """Sees the responses that the exporters do not report."""

    def see_response(self, response: requests.Response, *more: Any, **named: Any) -> None: ...
    def see_error(self, error: Exception) -> None: ...


def make_exporter(destination: Destination, observer: ResponseObserver) -> Any:
    """Return the exporter for a destination; the observer sees the responses."""
    if destination.protocol == "console":
        return _console(observer)
    if destination.protocol == "grpc":
        headers = _TruthyHeaders((key.lower(), value) for key, value in destination.headers.items())
        exporter = _exporter_class("grpc", destination.signal)
        return exporter(endpoint=destination.endpoint, headers=headers, timeout=destination.timeout)
    return _exporter_class("http", destination.signal)(
        endpoint=destination.endpoint,
        headers=dict(destination.headers),
        timeout=destination.timeout,
        session=_session(destination, observer),
    )


def _console(observer: ResponseObserver) -> Any:
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExportResult

    class LineExporter(ConsoleSpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            try:
                return super().export(spans)
            except (OSError, ValueError) as error:
                # The reader is gone (`app | head`) or the stream is closed. The store still has the spans.
                observer.see_error(error)
                return SpanExportResult.FAILURE

    # One line per span, for tools; and today's stdout, not that of the library's import.
    return LineExporter(out=sys.stdout, formatter=lambda span: span.to_json(indent=None) + "\n")


def _exporter_class(transport: str, signal: str) -> Any:
    return resolve_name(f"opentelemetry.exporter.otlp.proto.{transport}.{_CLASSES[signal]}")


class _TruthyHeaders(dict[str, str]):
    """Headers that are true even if empty: the exporter replaces false ones with the environment's headers."""

    def __bool__(self) -> bool:
        return True


def _session(destination: Destination, observer: ResponseObserver) -> requests.Session | None:
    if any(os.environ.get(name.format(destination.signal.upper())) for name in _CREDENTIAL_PROVIDERS):
        return None  # the exporter creates the session of that credential provider
    import requests

    class Session(requests.Session):
        def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
            # Otherwise REQUESTS_CA_BUNDLE, which companies set globally, overrides this backend's certificate.
            own = self.verify if verify is None and isinstance(self.verify, str) else verify
            return super().merge_environment_settings(url, proxies, stream, own, cert)

    session = Session()
    session.hooks["response"].append(observer.see_response)
    unwanted = _environment_headers(destination.signal).keys() - {name.lower() for name in destination.headers}
    if unwanted:
        session.auth = _HeaderRemover(unwanted)
    return session


def _environment_headers(signal: str) -> Mapping[str, str]:
    # As the exporters read them.
    own = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_HEADERS")
    return header_pairs(own or os.environ.get("OTEL_EXPORTER_OTLP_HEADERS", ""))


class _HeaderRemover:
    """Removes the environment's headers from a request: they may be the credentials of another backend.

    The exporters always add them. An `auth` object is the last to change a request.
    """

    def __init__(self, names: set[str]) -> None:
        self._names = names

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        for name in self._names:
            request.headers.pop(name, None)
        return request
