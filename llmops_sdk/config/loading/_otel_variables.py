"""The layer of OpenTelemetry's standard environment variables.

Source: OpenTelemetry specification, "Environment Variable Specification" and "OTLP Exporter Configuration". It requires
a warning instead of an error for invalid values, as other libraries of the process read the same variables.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, cast
from urllib.parse import unquote

from llmops_sdk.config.loading._environment import header_pairs
from llmops_sdk.config.loading._keys import KeyPath
from llmops_sdk.config.loading._layers import Layer, ValueSource, set_at

__all__ = ["VARIABLES", "otel_layer"]

_log = logging.getLogger("llmops_sdk")

_TRUE = {"true": True, "false": False}
_CONTENT = _TRUE | {"no_content": False, "span_only": True, "event_only": False, "span_and_event": True}
_PROTOCOLS = ("grpc", "http/protobuf")
_DEFAULT_ENDPOINT = {"grpc": "http://localhost:4317", "http/protobuf": "http://localhost:4318"}

_ENDPOINTS: tuple[KeyPath, ...] = (("endpoint",), ("traces_endpoint",), ("metrics", "endpoint"), ("logs", "endpoint"))

_SIGNALS = ("metrics", "logs")
# The values of metrics and logs if only the variable for traces is set.
_GENERAL_DEFAULTS: Mapping[str, Any] = {"headers": {}, "protocol": "http/protobuf", "timeout": 10.0}

_Parser: TypeAlias = Callable[[str], Any]


class _UnknownValueError(ValueError):
    """The value is not valid; the message names the valid ones."""


def _one_of(text: str, known: Mapping[str, Any]) -> Any:
    if text.lower() not in known:
        raise _UnknownValueError(f"use {' or '.join(known)}")
    return known[text.lower()]


def _disabled(text: str) -> bool:
    return not _one_of(text, _TRUE)


def _content(text: str) -> bool:
    return _one_of(text, _CONTENT)


def _service_name(text: str) -> str | None:
    pairs = (item.partition("=") for item in text.split(","))
    return next((unquote(value).strip() for name, _, value in pairs if name.strip() == "service.name"), None)


def _exporters(*known: str) -> _Parser:
    def read(text: str) -> list[str]:
        names = [name.strip().lower() for name in text.split(",") if name.strip()]
        unknown = [name for name in names if name not in {*known, "none"}]
        if unknown:
            # Use the known ones: another SDK of the process may have the others.
            _log.warning('llmops: unknown exporter "%s" is ignored: use none or %s', unknown[0], " or ".join(known))
        return [name for name in names if name in known]

    return read


def _protocol(text: str) -> str:
    if text.lower() == "http/json":
        raise _UnknownValueError("OTLP as JSON is not supported; use http/protobuf or grpc")
    return _one_of(text, dict(zip(_PROTOCOLS, _PROTOCOLS, strict=True)))


def _seconds(text: str) -> float:
    # The specification says milliseconds, but OpenTelemetry's Python exporters read seconds.
    wrong = _UnknownValueError("use a number of seconds above 0")
    try:
        seconds = float(text)
    except ValueError:
        raise wrong from None
    if not 0 < seconds < float("inf"):
        raise wrong
    return seconds


def _signal_variables(name: str) -> Iterator[tuple[str, KeyPath, _Parser]]:
    variable, key = f"OTEL_EXPORTER_OTLP_{name.upper()}_", ("export", name)
    yield f"OTEL_{name.upper()}_EXPORTER", (*key, "exporters"), _exporters("otlp")
    yield variable + "ENDPOINT", (*key, "endpoint"), str
    yield variable + "PROTOCOL", (*key, "protocol"), _protocol
    yield variable + "HEADERS", (*key, "headers"), header_pairs
    yield variable + "TIMEOUT", (*key, "timeout"), _seconds


# The variables for traces follow the general ones, so they win.
_VARIABLES: tuple[tuple[str, KeyPath, _Parser], ...] = (
    ("OTEL_SDK_DISABLED", ("enabled",), _disabled),
    ("OTEL_RESOURCE_ATTRIBUTES", ("service",), _service_name),
    ("OTEL_SERVICE_NAME", ("service",), str),
    ("OTEL_TRACES_EXPORTER", ("export", "exporters"), _exporters("otlp", "console")),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", ("export", "endpoint"), str),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", ("export", "traces_endpoint"), str),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", ("export", "protocol"), _protocol),
    ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", ("export", "protocol"), _protocol),
    ("OTEL_EXPORTER_OTLP_HEADERS", ("export", "headers"), header_pairs),
    ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", ("export", "headers"), header_pairs),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", ("export", "timeout"), _seconds),
    ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", ("export", "timeout"), _seconds),
    ("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", ("export", "content"), _content),
    *_signal_variables("metrics"),
    *_signal_variables("logs"),
)

VARIABLES: tuple[tuple[str, str], ...] = tuple((name, ".".join(path)) for name, path, _ in _VARIABLES)
"""Each variable, and the key that it sets."""


def otel_layer(environ: Mapping[str, str], above: Sequence[Layer] = ()) -> Layer:
    """Read the standard variables; ignore empty ones.

    Args:
        environ: The environment.
        above: The layers of higher precedence. If one names a backend, headers for another backend are left out.
    """
    data: dict[str, Any] = {}
    sources: dict[KeyPath, ValueSource] = {}
    for variable, path, read in _VARIABLES:
        text = environ.get(variable, "").strip()
        if not text:
            continue
        try:
            value = read(text)
        except _UnknownValueError as error:
            _log.warning("llmops: %s=%s is ignored: %s", variable, text, error)
            continue
        if value is None:
            continue
        if variable.startswith("OTEL_EXPORTER_OTLP_TRACES_") and path[-1] in _GENERAL_DEFAULTS:
            _copy_to_signals(data, path[-1], above)
        if path[-1] == "headers":
            set_at(data, path, None)  # else the tables would be merged
        set_at(data, path, value)
        sources[path] = ValueSource.variable(variable)
    _resolve_endpoints(data, sources, above)
    return Layer(data, ValueSource("environment", "environment"), sources)


def _copy_to_signals(data: dict[str, Any], key: str, above: Sequence[Layer]) -> None:
    """Give metrics and logs the general value of a key before the value for traces replaces it."""
    export: dict[str, Any] = data.get("export", {})
    general = export.pop(key, _GENERAL_DEFAULTS[key])
    if not any(layer.has(("export", key)) for layer in above):
        for signal in _SIGNALS:
            set_at(data, ("export", signal, key), dict(general) if key == "headers" else general)


def _resolve_endpoints(data: dict[str, Any], sources: dict[KeyPath, ValueSource], above: Sequence[Layer]) -> None:
    export: dict[str, Any] = data.get("export", {})
    own = {value for path in _ENDPOINTS if (value := _at(export, path)) is not None}
    based = any(layer.has(("export", "endpoint")) for layer in above)
    chosen = {_at(layer.data["export"], path) for layer in above if layer.has(("export",)) for path in _ENDPOINTS[:2]}
    chosen -= {None}
    if not chosen:
        _set_default_endpoints(data, sources)
    else:
        export.pop("traces_endpoint", None)
        if own and own.isdisjoint(chosen):
            # These are credentials for the backend in the variables, not for the one in use.
            headers = export.pop("headers", {})
            for signal in _SIGNALS if headers and not based else ():
                set_at(export, (signal, "headers"), export.get(signal, {}).get("headers", headers))
    for signal in _SIGNALS:
        _resolve_signal(export, signal, own, above, based=based)


def _resolve_signal(export: dict[str, Any], signal: str, own: set[Any], above: Sequence[Layer], *, based: bool) -> None:
    if based and signal in export:
        for key in ("endpoint", "headers") if _at(export, (signal, "endpoint")) is not None else ():
            export[signal].pop(key, None)
    named = [layer.data["export"][signal]["endpoint"] for layer in above if layer.has(("export", signal, "endpoint"))]
    if named and named[0] not in own and not any(layer.has(("export", "headers")) for layer in above):
        set_at(export, (signal, "headers"), {})


def _set_default_endpoints(data: dict[str, Any], sources: dict[KeyPath, ValueSource]) -> None:
    """Set the standard's default address if the variables select the exporter "otlp" without an endpoint."""
    export: dict[str, Any] = data.get("export", {})
    if "endpoint" in export:
        return
    protocol = export.get("protocol", "http/protobuf")
    if "otlp" in export.get("exporters", ()) and "traces_endpoint" not in export:
        export["endpoint"] = _DEFAULT_ENDPOINT[protocol]
        sources["export", "endpoint"] = sources["export", "exporters"]
        return
    for signal in _SIGNALS:
        own: dict[str, Any] = export.get(signal, {})
        if "otlp" in own.get("exporters", ()) and "endpoint" not in own:
            used = own.get("protocol", protocol)
            own["endpoint"] = _DEFAULT_ENDPOINT[used] + ("" if used == "grpc" else f"/v1/{signal}")
            sources["export", signal, "endpoint"] = sources["export", signal, "exporters"]


def _at(export: Mapping[str, Any], path: KeyPath) -> Any:
    """Return the value below `export` at a path, or None."""
    node: Any = export
    for part in path:
        node = cast("dict[str, Any]", node).get(part) if isinstance(node, dict) else None
    return node
