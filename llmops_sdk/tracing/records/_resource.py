"""Describe the process for all of its spans."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from llmops_sdk._version import __version__

if TYPE_CHECKING:
    from llmops_sdk.config import Settings

__all__ = ["process_resource"]


def process_resource(settings: Settings) -> Mapping[str, Any]:
    service = settings.service or Path(sys.argv[0] if sys.argv else "").name or "unknown_service"
    attributes: dict[str, Any] = {}
    for pair in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","):
        key, separator, value = pair.partition("=")
        if separator and key.strip():
            attributes[key.strip()] = unquote(value.strip())
    attributes.update(
        {
            "service.name": service,
            "process.pid": os.getpid(),
            "host.name": socket.gethostname(),
            "telemetry.sdk.name": "llmops-sdk",
            "telemetry.sdk.language": "python",
            "telemetry.sdk.version": __version__,
        }
    )
    return attributes
