"""The layer of OpenTelemetry's standard environment variables.

Source: OpenTelemetry specification, "Environment Variable Specification" and "OTLP Exporter Configuration". As it asks,
a value that cannot be read is ignored with a warning, because other libraries of the process read the same variables.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, cast
from urllib.parse import unquote

from llmops_sdk.config.loading._environment import header_pairs
from llmops_sdk.config.loading._keys import KeyPath
from llmops_sdk.config.loading._layers import Layer, Origin, place

__all__ = ["VARIABLES", "otel_layer"]

_log = logging.getLogger("llmops_sdk")

_TRUE = {"true": True, "false": False}
_CONTENT = _TRUE | {"no_content": False, "span_only": True, "event_only": False, "span_and_event": True}
_PROTOCOLS = ("grpc", "http/protobuf")
_DEFAULT_ENDPOINT = {"grpc": "http://localhost:4317", "http/protobuf": "http://localhost:4318"}

_ENDPOINTS: tuple[KeyPath, ...] = (("endpoint",), ("traces_endpoint",), ("metrics", "endpoint"), ("logs", "endpoint"))

_SIGNALS = ("metrics", "logs")
# What a variable for traces alone leaves to metrics and logs, where the general variable says nothing.
_GENERAL: Mapping[str, Any] = {"headers": {}, "protocol": "http/protobuf", "timeout": 10.0}

_Read: TypeAlias = Callable[[str], Any]


class _UnknownValueError(ValueError):
    """A value that is not taken; the message says which are."""


def _one_of(text: str, known: Mapping[str, Any]) -> Any:
    if text.lower() not in known:
        raise _UnknownValueError(f"use {' or '.join(known)}")
    return known[text.lower()]


def _disabled(text: str) -> bool:
    return not _one_of(text, _TRUE)


def _content(text: str) -> bool:
    return _one_of(text, _CONTENT)


def _service(text: str) -> str | None:
    """`service.name` of `OTEL_RESOURCE_ATTRIBUTES`, or None."""
    pairs = (item.partition("=") for item in text.split(","))
    return next((unquote(value).strip() for name, _, value in pairs if name.strip() == "service.name"), None)


def _exporters(*known: str) -> _Read:
    def read(text: str) -> list[str]:
        names = [name.strip().lower() for name in text.split(",") if name.strip()]
        unknown = [name for name in names if name not in {*known, "none"}]
        if unknown:
            # Those that are known hold all the same: another SDK of the process may have the others.
            _log.warning('llmops: the exporter "%s" is not one of ours: use none or %s', unknown[0], " or ".join(known))
        return [name for name in names if name in known]

    return read


def _protocol(text: str) -> str:
    if text.lower() == "http/json":
        raise _UnknownValueError("OTLP as JSON is not sent; use http/protobuf or grpc")
    return _one_of(text, dict(zip(_PROTOCOLS, _PROTOCOLS, strict=True)))


def _seconds(text: str) -> float:
    # The specification says milliseconds, but the Python exporters, in this same process, read seconds.
    wrong = _UnknownValueError("use a number of seconds above 0")
    try:
        seconds = float(text)
    except ValueError:
        raise wrong from None
    if not 0 < seconds < float("inf"):
        raise wrong
    return seconds


def _signal(name: str) -> Iterator[tuple[str, KeyPath, _Read]]:
    """The variables of metrics or logs."""
    variable, key = f"OTEL_EXPORTER_OTLP_{name.upper()}_", ("export", name)
    yield f"OTEL_{name.upper()}_EXPORTER", (*key, "exporters"), _exporters("otlp")
    yield variable + "ENDPOINT", (*key, "endpoint"), str
    yield variable + "PROTOCOL", (*key, "protocol"), _protocol
    yield variable + "HEADERS", (*key, "headers"), header_pairs
    yield variable + "TIMEOUT", (*key, "timeout"), _seconds


# Those for traces come after the general ones and win.
_READ: tuple[tuple[str, KeyPath, _Read], ...] = (
    ("OTEL_SDK_DISABLED", ("enabled",), _disabled),
    ("OTEL_RESOURCE_ATTRIBUTES", ("service",), _service),
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
    *_signal("metrics"),
    *_signal("logs"),
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
        except _UnknownValueError as error:
            _log.warning("llmops: %s=%s is ignored: %s", variable, text, error)
            continue
        if value is None:
            continue
        if variable.startswith("OTEL_EXPORTER_OTLP_TRACES_") and path[-1] in _GENERAL:
            _keep_general(data, path[-1], above)
        if path[-1] == "headers":
            place(data, path, None)  # tables would be merged
        place(data, path, value)
        origins[path] = Origin.variable(variable)
    _settle_endpoint(data, origins, above)
    return Layer(data, Origin("environment", "environment"), origins)


def _keep_general(data: dict[str, Any], key: str, above: Sequence[Layer]) -> None:
    """Leave the general value of a key to metrics and logs before the one for traces takes its place."""
    export: dict[str, Any] = data.get("export", {})
    general = export.pop(key, _GENERAL[key])
    if not any(layer.has(("export", key)) for layer in above):
        for signal in _SIGNALS:
            place(data, ("export", signal, key), dict(general) if key == "headers" else general)


def _settle_endpoint(data: dict[str, Any], origins: dict[KeyPath, Origin], above: Sequence[Layer]) -> None:
    export: dict[str, Any] = data.get("export", {})
    own = {value for path in _ENDPOINTS if (value := _at(export, path)) is not None}
    based = any(layer.has(("export", "endpoint")) for layer in above)
    chosen = {_at(layer.data["export"], path) for layer in above if layer.has(("export",)) for path in _ENDPOINTS[:2]}
    chosen -= {None}
    if not chosen:
        _default_endpoints(data, origins)
    else:
        export.pop("traces_endpoint", None)
        if own and own.isdisjoint(chosen):
            # They are the credentials of the backend that the variables name, not of the one that is used.
            headers = export.pop("headers", {})
            for signal in _SIGNALS if headers and not based else ():
                place(export, (signal, "headers"), export.get(signal, {}).get("headers", headers))
    for signal in _SIGNALS:
        _settle_signal(export, signal, own, above, based=based)


def _settle_signal(export: dict[str, Any], signal: str, own: set[Any], above: Sequence[Layer], *, based: bool) -> None:
    if based and signal in export:
        for key in ("endpoint", "headers") if _at(export, (signal, "endpoint")) is not None else ():
            export[signal].pop(key, None)
    named = [layer.data["export"][signal]["endpoint"] for layer in above if layer.has(("export", signal, "endpoint"))]
    if named and named[0] not in own and not any(layer.has(("export", "headers")) for layer in above):
        place(export, (signal, "headers"), {})


def _default_endpoints(data: dict[str, Any], origins: dict[KeyPath, Origin]) -> None:
    """An exporter "otlp" that is asked for by its variable alone means the standard's own address."""
    export: dict[str, Any] = data.get("export", {})
    if "endpoint" in export:
        return
    protocol = export.get("protocol", "http/protobuf")
    if "otlp" in export.get("exporters", ()) and "traces_endpoint" not in export:
        export["endpoint"] = _DEFAULT_ENDPOINT[protocol]
        origins["export", "endpoint"] = origins["export", "exporters"]
        return
    for signal in _SIGNALS:
        asked: dict[str, Any] = export.get(signal, {})
        if "otlp" in asked.get("exporters", ()) and "endpoint" not in asked:
            how = asked.get("protocol", protocol)
            asked["endpoint"] = _DEFAULT_ENDPOINT[how] + ("" if how == "grpc" else f"/v1/{signal}")
            origins["export", signal, "endpoint"] = origins["export", signal, "exporters"]


def _at(export: Mapping[str, Any], path: KeyPath) -> Any:
    """The value below `export` at a path, or None."""
    node: Any = export
    for part in path:
        node = cast("dict[str, Any]", node).get(part) if isinstance(node, dict) else None
    return node
