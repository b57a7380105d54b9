"""The layer of OpenTelemetry's standard environment variables.

Source: OpenTelemetry specification, "Environment Variable Specification" and "OTLP Exporter Configuration". As it asks,
a value that cannot be read is ignored with a warning, because other libraries of the process read the same variables.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from llmops_sdk.config._environment import header_pairs
from llmops_sdk.config._keys import KeyPath
from llmops_sdk.config._layers import Layer, Origin, place

__all__ = ["VARIABLES", "otel_layer"]

_log = logging.getLogger("llmops_sdk")

_TRUE = {"true": True, "false": False}
_CONTENT = _TRUE | {"no_content": False, "span_only": True, "event_only": False, "span_and_event": True}
_PROTOCOLS = {"grpc": "grpc", "http/protobuf": "http/protobuf"}
_DEFAULT_ENDPOINT = {"grpc": "http://localhost:4317", "http/protobuf": "http://localhost:4318"}

_ENDPOINTS = ("endpoint", "traces_endpoint")

_Read = Callable[[str], Any]


def _disabled(text: str) -> bool:
    return not _TRUE[text.lower()]


def _service(text: str) -> str | None:
    """`service.name` of `OTEL_RESOURCE_ATTRIBUTES`, or None."""
    pairs = (item.partition("=") for item in text.split(","))
    return next((unquote(value).strip() for name, _, value in pairs if name.strip() == "service.name"), None)


def _exports(text: str) -> bool:
    """Only the exporter "otlp" is ours."""
    return "otlp" in [name.strip().lower() for name in text.split(",")]


def _seconds(text: str) -> float:
    # The specification says milliseconds, but the Python exporters, in this same process, read seconds.
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise ValueError(text)
    return seconds


# Those for traces come after the general ones and win.
_READ: tuple[tuple[str, KeyPath, _Read], ...] = (
    ("OTEL_SDK_DISABLED", ("enabled",), _disabled),
    ("OTEL_RESOURCE_ATTRIBUTES", ("service",), _service),
    ("OTEL_SERVICE_NAME", ("service",), str),
    ("OTEL_TRACES_EXPORTER", ("export", "enabled"), _exports),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", ("export", "endpoint"), str),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", ("export", "traces_endpoint"), str),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", ("export", "protocol"), lambda text: _PROTOCOLS[text.lower()]),
    ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", ("export", "protocol"), lambda text: _PROTOCOLS[text.lower()]),
    ("OTEL_EXPORTER_OTLP_HEADERS", ("export", "headers"), header_pairs),
    ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", ("export", "headers"), header_pairs),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", ("export", "timeout"), _seconds),
    ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", ("export", "timeout"), _seconds),
    ("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", ("export", "content"), lambda text: _CONTENT[text.lower()]),
)

VARIABLES: tuple[tuple[str, str], ...] = tuple((name, ".".join(path)) for name, path, _ in _READ)
"""Each variable that is read, and the key that it sets."""


def otel_layer(environ: Mapping[str, str], above: Sequence[Layer] = ()) -> Layer:
    """Read the standard variables; an empty one counts as not set.

    Args:
        environ: The environment.
        above: The layers of higher precedence: where one names a backend, headers that belong to another are left out.
    """
    data: dict[str, Any] = {}
    origins: dict[KeyPath, Origin] = {}
    for variable, path, read in _READ:
        text = environ.get(variable, "").strip()
        if not text:
            continue
        try:
            value = read(text)
        except (ValueError, KeyError):
            _log.warning("llmops: %s is ignored: its value is not one that is known here.", variable)
            continue
        if value is None:
            continue
        if path[-1] == "headers":
            data.get("export", {}).pop("headers", None)  # the headers for traces stand in place of the general ones
        place(data, path, value)
        origins[path] = Origin.variable(variable)
    _settle_endpoint(data, origins, above)
    return Layer(data, Origin("environment", "environment"), origins)


def _settle_endpoint(data: dict[str, Any], origins: dict[KeyPath, Origin], above: Sequence[Layer]) -> None:
    export: dict[str, Any] = data.get("export", {})
    own = {export[key] for key in _ENDPOINTS if key in export}
    chosen = {layer.data["export"][key] for layer in above for key in _ENDPOINTS if layer.has(("export", key))}
    if not chosen:
        if export.get("enabled") and not own:
            # OTEL_TRACES_EXPORTER=otlp alone means the standard's own address.
            export["endpoint"] = _DEFAULT_ENDPOINT[export.get("protocol", "http/protobuf")]
            origins["export", "endpoint"] = origins["export", "enabled"]
        return
    export.pop("traces_endpoint", None)
    if own and own.isdisjoint(chosen):
        # They are the credentials of the backend that the variables name, not of the one that is used.
        export.pop("headers", None)
