"""The attributes of a request and of a vendor's answer, by the names of the GenAI conventions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from llmops_sdk.tracing.records import _semconv

__all__ = ["request_attributes", "vendor_attributes"]

_PARAMS = {
    "temperature": "temperature",
    "max_tokens": "max_tokens",
    "top_p": "top_p",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "seed": "seed",
    "stop": "stop_sequences",
    "n": "choice.count",
}
# Vendors' own parameters that have a name in the conventions.
_EXTRA = {"top_k": "top_k"}
_OPENAI = "openai"


def request_attributes(
    params: Mapping[str, Any], extra: Mapping[str, Any], *, provider: str, structured: bool
) -> dict[str, Any]:
    """Return the attributes of a request with standard parameters and a vendor's own (`extra`)."""
    made: dict[str, Any] = {}
    for name, conventional in _PARAMS.items():
        if name in params and not (name == "n" and params[name] == 1):
            value = params[name]
            stops = name == "stop" and isinstance(value, str)
            made[_semconv.REQUEST_PREFIX + conventional] = [value] if stops else value
    for name, conventional in _EXTRA.items():
        if isinstance(extra.get(name), int | float):
            made[_semconv.REQUEST_PREFIX + conventional] = extra[name]
    output = "json" if structured else _output_type(extra)
    if output is not None:
        made[_semconv.OUTPUT_TYPE] = output
    if provider == _OPENAI and isinstance(params.get("service_tier"), str):
        made[_semconv.OPENAI_REQUEST_SERVICE_TIER] = params["service_tier"]
    return made


def _output_type(extra: Mapping[str, Any]) -> str | None:
    """Return the type of output that the request asks for, or None when it does not say."""
    form, modalities = extra.get("response_format"), extra.get("modalities")
    if isinstance(modalities, list | tuple) and "audio" in cast("Sequence[object]", modalities):
        return "speech"
    name = cast("Mapping[str, Any]", form).get("type") if isinstance(form, Mapping) else None
    return {"json_object": "json", "json_schema": "json", "text": "text"}.get(name) if isinstance(name, str) else None


def vendor_attributes(raw: Any, provider: str) -> dict[str, Any]:
    """Return what OpenAI's own answer, or a chunk of it, says about the serving system."""
    if provider != _OPENAI or raw is None:
        return {}
    attributes = {
        _semconv.OPENAI_SERVICE_TIER: getattr(raw, "service_tier", None),
        _semconv.OPENAI_FINGERPRINT: getattr(raw, "system_fingerprint", None),
    }
    return {name: value for name, value in attributes.items() if isinstance(value, str) and value}
