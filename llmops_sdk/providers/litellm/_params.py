"""Leave out the parameters that a model does not take, so that another model can be swapped in."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from llmops_sdk.providers.litellm._endpoint import Endpoint
from llmops_sdk.providers.litellm._library import Library

__all__ = ["supported_params", "takes_float_vectors"]

_log = logging.getLogger("llmops_sdk")
_warned: set[tuple[str, str]] = set()

# The answer would have another form or length without these: litellm's error is right.
_REQUIRED = frozenset({"max_tokens", "tool_choice", "response_format", "tools"})
# litellm refuses some values of these for some models.
_BY_VALUE = frozenset({"temperature", "service_tier", "reasoning_effort", "top_p", "stop"})
_MAX_KNOWN = 1_024
_refused: dict[tuple[str, str, str], frozenset[str]] = {}
_float_vectors: dict[tuple[str, str], bool] = {}


def supported_params(library: Library, endpoint: Endpoint, params: Mapping[str, Any], *, model: str) -> dict[str, Any]:
    """Return the parameters that the model takes, and tell each other one once."""
    if not params:
        return {}
    refused = _refused_params(library, endpoint, params)
    for name in sorted(refused):
        if (model, name) not in _warned:
            _warned.add((model, name))
            _log.warning(
                "llmops: %s does not take %s; left out (logged once). To send it all the same, use extra={'%s': ...}",
                model, name if name not in _BY_VALUE else f"{name}={params[name]!r}", name,
            )  # fmt: skip
    return {name: value for name, value in params.items() if name not in refused}


def _refused_params(library: Library, endpoint: Endpoint, params: Mapping[str, Any]) -> frozenset[str]:
    supported = library.litellm.get_supported_openai_params(model=endpoint.model, custom_llm_provider=endpoint.vendor)
    if supported is None:
        return frozenset()
    unknown = frozenset(params.keys() - set(supported) - _REQUIRED)
    valued = {name: params[name] for name in sorted(_BY_VALUE & params.keys() - unknown)}
    return unknown | _refused_values(library, endpoint, valued) if valued else unknown


def _refused_values(library: Library, endpoint: Endpoint, valued: Mapping[str, Any]) -> frozenset[str]:
    key = endpoint.vendor, endpoint.model, repr(valued)
    if (known := _refused.get(key)) is not None:
        return known
    found: set[str] = set()
    # Together first: gpt-5 takes a temperature with reasoning_effort="none".
    if not _accepts(library, endpoint, valued):
        found = {name for name in valued if not _accepts(library, endpoint, {name: valued[name]})}
        if not found:
            found = set(valued)
    if len(_refused) >= _MAX_KNOWN:
        _refused.clear()
    return _refused.setdefault(key, frozenset(found))


def _accepts(library: Library, endpoint: Endpoint, params: Mapping[str, Any]) -> bool:
    vendor = "ollama_chat" if endpoint.vendor == "ollama" else endpoint.vendor
    try:
        library.litellm.utils.get_optional_params(model=endpoint.model, custom_llm_provider=vendor, **params)
    except library.litellm.UnsupportedParamsError:
        return False
    except (*library.raised, TypeError, ValueError, KeyError, AttributeError):
        return True  # the call itself reports what else is wrong
    return True


def takes_float_vectors(library: Library, endpoint: Endpoint) -> bool:
    """Return whether litellm passes `encoding_format` on to the vendor; where it does not, it refuses the call."""
    key = endpoint.vendor, endpoint.model
    if (known := _float_vectors.get(key)) is not None:
        return known
    try:
        library.litellm.utils.get_optional_params_embeddings(
            model=endpoint.model, custom_llm_provider=endpoint.vendor, encoding_format="float"
        )
    except library.litellm.UnsupportedParamsError:
        found = False
    except (*library.raised, TypeError, ValueError, KeyError, AttributeError):
        found = True  # the call itself reports what else is wrong
    else:
        found = True
    if len(_float_vectors) >= _MAX_KNOWN:
        _float_vectors.clear()
    return _float_vectors.setdefault(key, found)
