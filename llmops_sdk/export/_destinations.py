"""The destinations of an export, from the settings, which include the standard OTLP variables."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import urlsplit

from llmops_sdk.export._filter import filter_of
from llmops_sdk.tracing.records._records import SpanRecord

if TYPE_CHECKING:
    from llmops_sdk.config import Settings

__all__ = ["Destination", "Signal", "destination_for_url", "find_destination", "find_destinations"]

Signal: TypeAlias = Literal["traces", "metrics", "logs"]

_log = logging.getLogger("llmops_sdk")


def _no_resource() -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """One OTLP backend, or the console, for one signal.

    Attributes:
        endpoint: The full URL of a request; with gRPC also "host:port".
        name: The name in the configuration; "default" for the backend of `[export]` itself.
        passes: Returns the share of similar spans that are sent, or None to reject a span; None accepts all spans.
        signal: Spans, metrics, or scores as log records.
        protocol: The protocol.
        headers: All headers of each request: other headers from the environment are not sent.
        timeout: Seconds for one batch, including the exporter's own retries.
        content: Whether prompts, answers, arguments, results and comments are sent.
        allow_attributes: Names of attributes that are sent even without content.
        resource: Returns the attributes of the process, for records without their own.
    """

    endpoint: str
    name: str = "default"
    passes: Callable[[SpanRecord], float | None] | None = None
    signal: Signal = "traces"
    protocol: Literal["http/protobuf", "grpc", "console"] = "http/protobuf"
    headers: Mapping[str, str]
    timeout: float = 10.0
    content: bool = False
    allow_attributes: Sequence[str] = ()
    resource: Callable[[], Mapping[str, Any]] = _no_resource

    @property
    def shown(self) -> str:
        """Return the endpoint for a log: without user name, password and query."""
        parts = urlsplit(self.endpoint if "//" in self.endpoint else f"//{self.endpoint}")
        host = parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://{host}{parts.path}" if parts.scheme else host + parts.path


def find_destinations(settings: Settings) -> list[Destination]:
    """Return the backends for spans. Those with an invalid URL are left out and logged."""
    export = settings.export
    found: list[Destination] = []
    for name, own in export.trace_destinations.items():
        protocol = own.protocol or export.protocol
        base = own.endpoint.strip()
        over_http = protocol != "grpc" and name != "default"
        destination = Destination(
            endpoint=f"{base.rstrip('/')}/v1/traces" if over_http else base,
            protocol=protocol,
            headers=dict(export.headers if name == "default" else own.headers),
            timeout=own.timeout or export.timeout,
            content=export.content if own.content is None else own.content,
            allow_attributes=export.allow_attributes,
            name=name,
            passes=filter_of(own.filter),
        )
        if _is_usable(destination):
            found.append(destination)
    return found


def destination_for_url(
    url: str, *, protocol: str, headers: Mapping[str, str], content: bool, allow_attributes: Sequence[str] = ()
) -> Destination:
    """Return a destination that is not in the configuration, from its base URL."""
    over = "grpc" if protocol == "grpc" else "http/protobuf"
    path = "" if over == "grpc" or urlsplit(url).path.endswith("/v1/traces") else "/v1/traces"
    return Destination(
        endpoint=url.rstrip("/") + path,
        protocol=over,
        headers=dict(headers),
        content=content,
        allow_attributes=allow_attributes,
        name="url",
    )


def find_destination(
    settings: Settings, signal: Signal, resource: Callable[[], Mapping[str, Any]] = _no_resource
) -> Destination | None:
    """Return the backend for metrics or scores (signal "logs"), or None. An invalid URL is logged."""
    export = settings.export
    own, url = (export.metrics, export.metrics_url) if signal == "metrics" else (export.logs, export.logs_url)
    url = (url or "").strip()
    if not url:
        return None
    found = Destination(
        endpoint=url,
        signal=signal,
        protocol=own.protocol or export.protocol,
        headers=dict(export.headers if own.headers is None else own.headers),
        timeout=own.timeout or export.timeout,
        content=export.content,
        resource=resource,
    )
    return found if _is_usable(found) else None


def _is_usable(found: Destination) -> bool:
    parts = urlsplit(found.endpoint if "//" in found.endpoint else f"//{found.endpoint}")
    schemes = {"http", "https"} if found.protocol == "http/protobuf" else {"http", "https", ""}
    if parts.scheme in schemes and parts.netloc.rpartition("@")[2]:
        return True
    _log.warning(
        "llmops: the OTLP endpoint %r is not a URL that starts with http:// or https://; nothing is exported",
        found.shown,
    )
    return False
