"""The layer of the `LLMOPS_*` environment variables."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pydantic import TypeAdapter, ValidationError

from llmops_sdk.config.loading._keys import Key, KeyPath, lookup
from llmops_sdk.config.loading._layers import Layer, ValueSource, set_at, with_absolute_paths
from llmops_sdk.config.loading._problems import Problem, invalid_value, unknown_key

__all__ = ["API_KEY_VARIABLE", "CONFIG_FILE_VARIABLE", "NOT_SETTINGS", "PREFIX", "environment_layer", "header_pairs"]

PREFIX = "LLMOPS_"
CONFIG_FILE_VARIABLE = "LLMOPS_CONFIG_FILE"
API_KEY_VARIABLE = "LLMOPS_API_KEY"
"""The key of a server that is given by its URL. It stays in the environment: settings are shown, keys are not."""

NOT_SETTINGS = (API_KEY_VARIABLE, CONFIG_FILE_VARIABLE, "LLMOPS_BENCH_*", "LLMOPS_TEST_*")
"""Variables with our prefix that are not settings. Any other unknown variable is an error."""


class _UnreadableError(ValueError):
    """The text does not fit the key."""


def environment_layer(
    environ: Mapping[str, str], folder: Path, names: Collection[tuple[str, str]] = ()
) -> tuple[Layer, list[Problem]]:
    """Read every variable that starts with `LLMOPS_`; ignore empty ones, as OpenTelemetry does.

    Args:
        environ: The environment.
        folder: The base of relative paths.
        names: Names in other sources, e.g. ("models", "gpt-4.1"), which LLMOPS_MODELS__GPT_4_1__MODEL refers to.

    Returns:
        The layer, and its problems.
    """
    spelling = {(section, _as_variable(name)): name for section, name in names}
    data: dict[str, Any] = {}
    sources: dict[KeyPath, ValueSource] = {}
    problems: list[Problem] = []
    # Shorter names first: LLMOPS_RETRY__ATTEMPTS changes the table that LLMOPS_RETRY sets.
    for variable in sorted(environ, key=lambda name: (name.count("__"), name)):
        text = environ[variable]
        if not variable.startswith(PREFIX) or not text or any(fnmatchcase(variable, item) for item in NOT_SETTINGS):
            continue
        path = tuple(part.lower() for part in variable.removeprefix(PREFIX).split("__"))
        if len(path) > 1:
            path = (path[0], spelling.get((path[0], _as_variable(path[1])), path[1]), *path[2:])
        key = lookup(path)
        if key is not None and len(key.path) > 1 and key.variable == PREFIX + key.path[0].upper():
            key = None  # one variable sets a whole list of tables
        if key is None or "" in path:
            problems.append(unknown_key(variable, path, text))
            continue
        try:
            value = _read(text, key, path)
        except _UnreadableError:
            problems.append(invalid_value(variable, path, text))
            continue
        set_at(data, path, value)
        sources[path] = ValueSource.variable(variable)
    layer = Layer(with_absolute_paths(data, folder), ValueSource("environment", "environment"), sources)
    return layer, problems


def _as_variable(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "_", name.upper())


def _read(text: str, key: Key, path: KeyPath) -> Any:
    if key.key_type == "list":
        return _of_type(list, _json_or_text(text))
    if key.key_type == "table" and len(key.path) < len(path):
        return text if "headers" in path else _json_or_text(text)
    if key.key_type != "value":
        if path[-1] == "headers" and not text.lstrip().startswith("{") and (headers := header_pairs(text)):
            return headers
        return _of_type(dict, _json_or_text(text))
    if key.expected.startswith("a list"):
        is_json = text.lstrip().startswith("[")
        items = _of_type(list, _json_or_text(text)) if is_json else [s.strip() for s in text.split(",") if s.strip()]
        return [_number(item) for item in items] if "numbers" in key.expected else items
    try:
        return TypeAdapter(key.annotation).validate_python(text if key.annotation is str else text.strip())
    except ValidationError:
        raise _UnreadableError from None


def _number(item: Any) -> Any:
    try:
        return float(item) if isinstance(item, str) else item
    except ValueError:
        raise _UnreadableError from None


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _of_type(expected: type, value: Any) -> Any:
    if not isinstance(value, expected):
        raise _UnreadableError
    return value


def header_pairs(text: str) -> dict[str, str]:
    """Parse headers in the form of `OTEL_EXPORTER_OTLP_HEADERS`, percent-encoded; skip malformed ones.

    Example:
        >>> header_pairs("x-team=blue, x-note=a%20b")
        {'x-team': 'blue', 'x-note': 'a b'}
    """
    pairs = (item.partition("=") for item in text.split(",") if "=" in item)
    return {unquote(name).strip().lower(): unquote(value).strip() for name, _, value in pairs if name.strip()}
