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
from llmops_sdk.config.loading._layers import Layer, Origin, anchored, place
from llmops_sdk.config.loading._problems import Problem, unknown, wrong

__all__ = ["CONFIG_FILE_VARIABLE", "NOT_SETTINGS", "PREFIX", "environment_layer", "header_pairs"]

PREFIX = "LLMOPS_"
CONFIG_FILE_VARIABLE = "LLMOPS_CONFIG_FILE"

NOT_SETTINGS = (CONFIG_FILE_VARIABLE, "LLMOPS_BENCH_*", "LLMOPS_TEST_*")
"""Variables with our prefix that are no settings; any other that names no key is an error."""


class _UnreadableError(ValueError):
    """A text that is not what the key takes."""


def environment_layer(
    environ: Mapping[str, str], folder: Path, names: Collection[tuple[str, str]] = ()
) -> tuple[Layer, list[Problem]]:
    """Read every variable that starts with `LLMOPS_`.

    An empty one counts as not set, as OpenTelemetry has it for its own.

    Args:
        environ: The environment.
        folder: What relative paths are relative to.
        names: Names in use elsewhere, as in ("models", "gpt-4.1"): LLMOPS_MODELS__GPT_4_1__MODEL means that one.

    Returns:
        The layer, and what is wrong.
    """
    spelt = {(section, _as_variable(name)): name for section, name in names}
    data: dict[str, Any] = {}
    origins: dict[KeyPath, Origin] = {}
    problems: list[Problem] = []
    # Shorter first: LLMOPS_RETRY__ATTEMPTS goes into what LLMOPS_RETRY has set.
    for variable in sorted(environ, key=lambda name: (name.count("__"), name)):
        text = environ[variable]
        if not variable.startswith(PREFIX) or not text or any(fnmatchcase(variable, item) for item in NOT_SETTINGS):
            continue
        path = tuple(part.lower() for part in variable.removeprefix(PREFIX).split("__"))
        if len(path) > 1:
            path = (path[0], spelt.get((path[0], _as_variable(path[1])), path[1]), *path[2:])
        key = lookup(path)
        if key is None or "" in path:
            problems.append(unknown(variable, path, text))
            continue
        try:
            value = _read(text, key, path)
        except _UnreadableError:
            problems.append(wrong(variable, path, text))
            continue
        place(data, path, value)
        origins[path] = Origin.variable(variable)
    return Layer(anchored(data, folder), Origin("environment", "environment"), origins), problems


def _as_variable(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "_", name.upper())


def _read(text: str, key: Key, path: KeyPath) -> Any:
    if key.kind == "table" and len(key.path) < len(path):
        return text if "headers" in path else _json_or_text(text)
    if key.kind != "value":
        return _table(text, pairs=path[-1] == "headers")
    if key.expected.startswith("a list"):
        return _list(text)
    try:
        return TypeAdapter(key.annotation).validate_python(text if key.annotation is str else text.strip())
    except ValidationError:
        raise _UnreadableError from None


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _list(text: str) -> list[Any]:
    """A JSON list, or names between commas."""
    if not text.lstrip().startswith("["):
        return [name.strip() for name in text.split(",") if name.strip()]
    value = _json_or_text(text)
    if not isinstance(value, list):
        raise _UnreadableError
    return value  # pyright: ignore[reportUnknownVariableType] - the models check what is in it


def _table(text: str, *, pairs: bool) -> dict[str, Any]:
    """A JSON object; for headers also `name=value,name=value`, as OpenTelemetry writes them."""
    if pairs and not text.lstrip().startswith("{") and (headers := header_pairs(text)):
        return dict(headers)
    value = _json_or_text(text)
    if not isinstance(value, dict):
        raise _UnreadableError
    return value  # pyright: ignore[reportUnknownVariableType] - the models check what is in it


def header_pairs(text: str) -> dict[str, str]:
    """Headers as `OTEL_EXPORTER_OTLP_HEADERS` has them: `name=value,name=value`, percent-encoded; others are left out.

    Example:
        >>> header_pairs("x-team=blue, x-note=a%20b")
        {'x-team': 'blue', 'x-note': 'a b'}
    """
    pairs = (item.partition("=") for item in text.split(",") if "=" in item)
    return {unquote(name).strip().lower(): unquote(value).strip() for name, _, value in pairs if name.strip()}
