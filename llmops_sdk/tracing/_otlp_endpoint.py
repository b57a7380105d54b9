"""Where spans are exported to. The OTLP variables are already in the settings; here they become one record."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from llmops_sdk.config import Settings

__all__ = ["Destination", "find_destination"]

_log = logging.getLogger("llmops_sdk")


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """One OTLP backend.

    Attributes:
        endpoint: The whole URL that a request goes to; with gRPC also "host:port".
        protocol: How to send.
        headers: Headers of each request, over those of `OTEL_EXPORTER_OTLP_HEADERS`.
        timeout: Seconds for one batch, the exporter's own repeats included.
        content: Whether prompts, answers, arguments and results are sent too.
    """

    endpoint: str
    protocol: Literal["http/protobuf", "grpc"] = "http/protobuf"
    headers: Mapping[str, str]
    timeout: float = 10.0
    content: bool = False

    @property
    def shown(self) -> str:
        """The endpoint as it may stand in a log: without a user name, a password or a query."""
        parts = urlsplit(self.endpoint if "//" in self.endpoint else f"//{self.endpoint}")
        host = parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://{host}{parts.path}" if parts.scheme else host + parts.path


def find_destination(settings: Settings) -> Destination | None:
    """The backend to send to, or None when there is none, or its URL cannot be used (which is logged).

    Args:
        settings: The settings in force.
    """
    export = settings.export
    url = (export.traces_url or "").strip()
    if not url:
        return None
    found = Destination(
        endpoint=url,
        protocol=export.protocol,
        headers=dict(export.headers),
        timeout=export.timeout,
        content=export.content,
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
