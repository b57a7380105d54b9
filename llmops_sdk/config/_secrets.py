"""Mask secrets: values whose key names a secret, and credentials inside URLs.

The names of secrets stand only here. The configuration, its errors and the cassettes ask `is_secret_name`; redaction
takes the names that are certain.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

__all__ = [
    "CERTAIN_WORDS",
    "HIDDEN",
    "PLAIN_OPTIONS",
    "QUALIFIED_WORDS",
    "SECRET_WORDS",
    "is_secret",
    "is_secret_name",
    "masked",
    "masked_repr",
    "without_url_secrets",
]

HIDDEN = "***"
_MAX_CHARACTERS = 200

CERTAIN_WORDS = (
    "authorization", "cookie", "credentials", "credential", "passcode", "passphrase", "passwd", "password", "pwd",
    "secret",
)  # fmt: skip
"""Words that name a secret in any text. The longer of two with the same beginning stands first."""

QUALIFIED_WORDS = {
    "key": ("access", "account", "api", "encryption", "private", "secret", "secret access", "signing"),
    "string": ("connection",),
    "token": ("access", "api", "auth", "bearer", "id", "personal access", "refresh", "security", "session"),
}
"""Words that name a secret behind one of these."""

SECRET_WORDS = frozenset({
    *CERTAIN_WORDS,
    "apikey", "auth", "bearer", "cookies", "cred", "creds", "jwt", "key", "otp", "pass", "pat", "pin", "sas", "secrets",
    "sig", "signature", "token",
})  # fmt: skip
"""Words that name a secret among settings and parameters. In other texts some of them have another meaning."""
# Names that are written without a separator, as in `clientsecret` and `X-ApiKey2`.
_SECRET_PARTS = re.compile(
    "|".join(
        (
            *("secret", "passw", "passphrase", "credential", "authorization"),
            *(f"{first}{word}".replace(" ", "") for word, firsts in QUALIFIED_WORDS.items() for first in firsts),
        )
    )
)
_HARMLESS = frozenset({"first_token", "prompt_cache_key"})  # a number of seconds; a name that groups requests
# Parameters of models that count or number tokens, as in `stop_token_ids` and `thinking_token_budget`.
_TOKEN_COUNT = re.compile(r"token_(?:ids?|budget|count|limit|type|types)$")
_CAMEL_CASE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

PLAIN_OPTIONS = frozenset({
    # of the offline models and of cassettes
    "answers", "dimensions", "failures", "first_token", "latency", "realtime", "seed", "tokens_per_second",
    # of a provider
    "frequency_penalty", "logit_bias", "logprobs", "max_completion_tokens", "max_output_tokens", "max_tokens", "n",
    "parallel_tool_calls", "presence_penalty", "reasoning_effort", "service_tier", "stop", "temperature", "top_k",
    "top_logprobs", "top_p", "verbosity",
})  # fmt: skip
"""Options of a model that are neither a secret nor an address. A vendor may name its secrets in any way."""

_TABLES = {(name,) for name in ("alerts", "budgets", "canaries", "evaluators", "notify", "slo")}
"""Tables whose names are the user's choice."""

_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
_CREDENTIALS_IN_URL = re.compile(r"(://)[^/@\s]*@")
_QUERY_IN_URL = re.compile(r"(://[^\s?'\"#]*)\?[^\s'\"#]+")


def is_secret(path: tuple[str, ...]) -> bool:
    """Return whether the value at this path must be hidden: headers, and keys such as `api_key` or `client-secret`.

    Example:
        >>> is_secret(("export", "headers", "x-team")), is_secret(("options", "api_key")), is_secret(("retry", "base"))
        (True, True, False)
    """
    if any(name.lower().endswith(("headers", "cookies")) for name in path[:-1]):
        return True
    if path == ("shared", "url"):
        return True  # it may hold a password in any form
    # The name of a model, a price or a table of a list is the user's choice; it says nothing about the values below it.
    is_named = path[:1] in {("models",), ("prices",)} or (path[:1] in _TABLES and len(path) > 2)
    names = path[2:] if is_named else path
    if names[:1] == ("options",) and len(names) > 1:
        options = names[2:] if names[1] == "extra" else names[1:]
        if options and options[0] not in PLAIN_OPTIONS:
            return True
    return any(map(is_secret_name, names))


def is_secret_name(name: str) -> bool:
    """Return whether a key, parameter or variable of this name holds a secret.

    Example:
        >>> [is_secret_name(name) for name in ("aws_session_token", "clientSecret", "max_tokens", "stop_token_ids")]
        [True, True, False, False]
    """
    words = re.sub(r"[^a-z0-9]+", "_", _CAMEL_CASE.sub("_", name).lower())
    if words in _HARMLESS or _TOKEN_COUNT.search(words):
        return False
    return not SECRET_WORDS.isdisjoint(words.split("_")) or bool(_SECRET_PARTS.search(words.replace("_", "")))


def without_url_secrets(text: str) -> str:
    """Return a text with the user information and the queries of its URLs replaced.

    Example:
        >>> without_url_secrets("http://ada:pass@host/v1?sig=x#model")
        'http://***@host/v1?***#model'
    """
    return _QUERY_IN_URL.sub(rf"\1?{HIDDEN}", _CREDENTIALS_IN_URL.sub(rf"\1{HIDDEN}@", text))


def masked(path: tuple[str, ...], value: Any) -> Any:
    """Return the value with every secret in it replaced, at any depth."""
    if isinstance(value, Mapping):
        entries = cast("Mapping[object, Any]", value)
        return {key: masked((*path, str(key)), item) for key, item in entries.items()}
    if isinstance(value, list | tuple):
        items = cast("list[Any] | tuple[Any, ...]", value)
        return type(items)([masked(path, item) for item in items])
    if value is not None and not isinstance(value, bool) and is_secret(path):
        # `api_key_env` holds the name of a variable. A real key that was put there by mistake does not look like one.
        is_variable = path[-1].endswith("_env") and isinstance(value, str) and _VARIABLE.fullmatch(value)
        return value if is_variable else HIDDEN
    return without_url_secrets(value) if isinstance(value, str) else value


def masked_repr(path: tuple[str, ...], value: object) -> str:
    """Return the value for an error or a log: without secrets, and cut at 200 characters."""
    text = repr(str(value) if isinstance(value, Path) else masked(path, value))
    return text if len(text) <= _MAX_CHARACTERS else text[: _MAX_CHARACTERS - 1] + "…"
