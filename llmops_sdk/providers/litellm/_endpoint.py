"""Find a model's server and key in the configuration and the environment, without litellm."""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from llmops_sdk.config import ResolvedModel
from llmops_sdk.config.loading._environment import API_KEY_VARIABLE
from llmops_sdk.errors import AuthenticationError

__all__ = [
    "COMPATIBLE",
    "Endpoint",
    "base_variables",
    "conventional_name",
    "endpoint_of",
    "key_variables",
    "server_of",
]

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
        return os.environ.get(names[0]) or "none"  # many servers need no key
    if not names:
        return None
    if key := next(filter(None, map(os.environ.get, names)), None):
        return key
    hint = "as api_key_env says"
    if resolved.api_key_env is None:
        if any(map(os.environ.get, _SIGN_INS.get(resolved.model.partition("/")[0], ()))):
            return None
        hint = 'or write model = "https://server/v1#model" for a server that needs no key'
    raise AuthenticationError(
        f"{resolved.model} needs a key: set the environment variable {' or '.join(names)}, {hint}",
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
