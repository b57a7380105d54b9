"""Find a model's server and key in the configuration and the environment, without litellm."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

from llmops_sdk.config import ResolvedModel
from llmops_sdk.config.loading._environment import API_KEY_VARIABLE
from llmops_sdk.errors import AuthenticationError, BadRequestError

__all__ = [
    "COMPATIBLE",
    "Endpoint",
    "base_variables",
    "check_headers",
    "conventional_name",
    "endpoint_of",
    "identify",
    "key_variables",
    "server_of",
]

_log = logging.getLogger("llmops_sdk")
_warned: set[str] = set()
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

COMPATIBLE = "openai_compatible"
"""The provider of a model that is given by the URL of its server."""

# The variables that each vendor's own libraries read; the first one set counts.
_KEYS = {
    "openai": ("OPENAI_API_KEY",),
    "anthropic": ("ANTHROPIC_API_KEY",),
    "gemini": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    "azure": ("AZURE_API_KEY", "AZURE_OPENAI_API_KEY"),
    "mistral": ("MISTRAL_API_KEY",),
    "groq": ("GROQ_API_KEY",),
    "deepseek": ("DEEPSEEK_API_KEY",),
    "openrouter": ("OPENROUTER_API_KEY",),
    "xai": ("XAI_API_KEY",),
    "cohere": ("COHERE_API_KEY", "CO_API_KEY"),
}
# With one of these, litellm signs in itself and needs no key.
_SIGN_INS = {"azure": ("AZURE_AD_TOKEN", "AZURE_OPENAI_AD_TOKEN", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE")}
_KEY_ENDINGS = ("_KEY", "_TOKEN", "_KEY_ID")
_BASES = {
    "openai": ("OPENAI_BASE_URL", "OPENAI_API_BASE"),
    "anthropic": ("ANTHROPIC_BASE_URL", "ANTHROPIC_API_BASE"),
    "azure": ("AZURE_API_BASE",),
    "ollama": ("OLLAMA_API_BASE", "OLLAMA_HOST"),
}
# The server of each vendor's own API, for spans.
_HOSTS = {
    "openai": "api.openai.com",
    "anthropic": "api.anthropic.com",
    "gemini": "generativelanguage.googleapis.com",
    "mistral": "api.mistral.ai",
    "groq": "api.groq.com",
    "deepseek": "api.deepseek.com",
    "openrouter": "openrouter.ai",
    "xai": "api.x.ai",
    "cohere": "api.cohere.com",
}
# https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/ (gen_ai.provider.name)
_CONVENTIONAL = {
    "azure": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "moonshot": "moonshot_ai",
    "vertex_ai": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The server and key of a call.

    Attributes:
        vendor: The first part of the model's name, as in "ollama".
        model: The rest of it.
        api_key: The key, or None if litellm finds it in the environment.
        base_url: The server's base URL, or None for the vendor's own.
    """

    vendor: str
    model: str
    api_key: str | None
    base_url: str | None


def conventional_name(provider: str) -> str:
    """Return the name of a provider in OpenTelemetry's GenAI conventions."""
    return _CONVENTIONAL.get(provider, provider)


def endpoint_of(resolved: ResolvedModel) -> Endpoint:
    """Return the server and key of a model.

    Raises:
        AuthenticationError: No key is set. The message names the variable to set. No request was sent.
    """
    vendor, _, model = resolved.model.partition("/")
    return Endpoint(vendor, model, _key(resolved), _base(resolved, vendor))


def identify(resolved: ResolvedModel) -> tuple[str, tuple[str, int] | None] | None:
    """Return the name and the server of a model's provider without opening it, or None for one in this process."""
    if resolved.provider in {"offline", "cassette"}:
        return None
    return conventional_name(resolved.provider), server_of(resolved)


def server_of(resolved: ResolvedModel) -> tuple[str, int] | None:
    """Return the address and port of a model's server, or None if only litellm knows them."""
    vendor = resolved.model.partition("/")[0]
    base = _base(resolved, vendor) or ("http://127.0.0.1:11434" if vendor == "ollama" else None)
    if base is None:
        return (_HOSTS[vendor], 443) if vendor in _HOSTS else None
    try:
        parts = urlsplit(base)
        port = parts.port or (80 if parts.scheme == "http" else 443)
    except ValueError:
        return None
    return (parts.hostname, port) if parts.hostname else None


def key_variables(resolved: ResolvedModel) -> tuple[str, ...]:
    """Return the environment variables that may hold the key, first match first; empty if only litellm knows them."""
    if resolved.api_key_env is not None:
        return (resolved.api_key_env,)
    if resolved.provider == COMPATIBLE:
        # Never another vendor's key: the owner of that server would get it.
        return (API_KEY_VARIABLE,)
    return _KEYS.get(resolved.model.partition("/")[0], ())


def base_variables(resolved: ResolvedModel) -> tuple[str, ...]:
    """Return the environment variables that may hold the server's base URL if the configuration does not."""
    return _BASES.get(resolved.model.partition("/")[0], ())


def _key(resolved: ResolvedModel) -> str | None:
    names = key_variables(resolved)
    if resolved.api_key_env is None and resolved.provider == COMPATIBLE:
        return _first_key(resolved, names) or "none"  # many servers need no key
    vendor = resolved.model.partition("/")[0]
    if not names:
        _check_litellm_keys(resolved, vendor)
        return None
    if key := _first_key(resolved, names):
        return key
    hint = "as api_key_env says"
    if resolved.api_key_env is None:
        if any(_clean_key(resolved, name) for name in _SIGN_INS.get(vendor, ())):
            return None
        hint = 'or write model = "https://server/v1#model" for a server that needs no key'
    raise AuthenticationError(
        f"{resolved.model} needs a key: set the environment variable {' or '.join(names)}, {hint}",
        provider=conventional_name(resolved.provider),
        model=resolved.model,
    )


def _first_key(resolved: ResolvedModel, names: Iterable[str]) -> str | None:
    return next(filter(None, (_clean_key(resolved, name) for name in names)), None)


def _clean_key(resolved: ResolvedModel, name: str) -> str | None:
    """Return the key in a variable without white space around it, or None if there is none.

    Raises:
        AuthenticationError: The key cannot be a header's value. Libraries would show it in their own error.
    """
    value = os.environ.get(name)
    if value is None:
        return None
    key = value.strip()
    if not key.isascii() or not key.isprintable():
        raise AuthenticationError(
            f"{resolved.model}: the key in the environment variable {name} has a line break, a control character or a "
            "character outside ASCII. Copy the key again, without anything else",
            provider=conventional_name(resolved.provider),
            model=resolved.model,
        )
    if key != value and name not in _warned:
        _warned.add(name)
        _log.warning("llmops: %s has white space around the key; it is left out (logged once)", name)
    return key


def check_headers(resolved: ResolvedModel, options: Mapping[str, Any]) -> None:
    """Check the headers that options of a call add to its requests.

    Args:
        resolved: The model.
        options: litellm's arguments.

    Raises:
        BadRequestError: A header cannot be sent. The HTTP library would show its value, which is often a key, and
            litellm would call it a failed connection.
    """
    for option in ("extra_headers", "headers"):
        headers = options.get(option)
        if not isinstance(headers, Mapping):
            continue
        for name, value in cast("Mapping[object, object]", headers).items():
            text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
            if not (
                _HEADER_NAME.fullmatch(str(name)) and text.isascii() and text.isprintable() and text.strip() == text
            ):
                raise BadRequestError(
                    f"{resolved.model}: the header {str(name)!r} in {option} cannot be sent: its value or name has "
                    "a line break, a control character, a character outside ASCII, or spaces around it. A key that was "
                    "read from a file often ends in a line break: strip it",
                    provider=conventional_name(resolved.provider),
                    model=resolved.model,
                )


def _check_litellm_keys(resolved: ResolvedModel, vendor: str) -> None:
    """Check the keys that litellm reads itself: the variables that have the vendor's name."""
    prefix = {"bedrock": "AWS", "sagemaker": "AWS"}.get(vendor, vendor.upper().replace("_", ""))
    for name, value in os.environ.items():
        of_vendor = name.replace("_", "").startswith(prefix) and name.endswith(_KEY_ENDINGS)
        # A private key is text of several lines.
        if of_vendor and "PRIVATE" not in name and _clean_key(resolved, name) != value:
            raise AuthenticationError(
                f"{resolved.model}: the key in the variable {name} has white space around it; remove it",
                provider=conventional_name(resolved.provider),
                model=resolved.model,
            )


def _base(resolved: ResolvedModel, vendor: str) -> str | None:
    base = resolved.base_url or next(filter(None, map(os.environ.get, base_variables(resolved))), None)
    if not base:
        return None
    base = base.rstrip("/")
    if vendor == "anthropic":
        return base.removesuffix("/v1/messages").removesuffix("/v1")  # litellm appends the path
    if vendor == "ollama" and "://" not in base:  # OLLAMA_HOST may be an address to listen on
        host, colon, port = base.partition(":")
        return f"http://{'127.0.0.1' if host in {'', '0.0.0.0'} else host}:{port if colon else 11434}"  # noqa: S104
    return base
