"""A layer holds the values of one source, and where each of them comes from."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from llmops_sdk.config.loading._keys import KeyPath, lookup
from llmops_sdk.config.sections._base import SettingsSection

__all__ = [
    "ARGUMENTS",
    "DEFAULT",
    "Layer",
    "ValueSource",
    "arguments_layer",
    "leaves",
    "set_at",
    "source_of",
    "with_absolute_paths",
]

_SEPARATOR = re.compile(r"__|\.")


@dataclass(frozen=True, slots=True)
class ValueSource:
    """The source of a value.

    Attributes:
        label: For `Settings.source`: "llmops.toml: /srv/app/llmops.toml", "environment: LLMOPS_MODEL".
        location: For errors: the path, the variable, or "arguments".
    """

    label: str
    location: str

    @classmethod
    def file(cls, path: Path) -> ValueSource:
        """Return the source of values in a file."""
        return cls(f"{path.name}: {path}", str(path))

    @classmethod
    def variable(cls, name: str) -> ValueSource:
        """Return the source of a value in an environment variable."""
        return cls(f"environment: {name}", name)


ARGUMENTS = ValueSource("arguments", "arguments")
DEFAULT = ValueSource("default", "default")


@dataclass(frozen=True, slots=True)
class Layer:
    """The values of one source.

    Attributes:
        data: The values, nested like the sections.
        source: The source of all values that are not in `sources`.
        sources: The environment variable of each key, in the layers of variables.
    """

    data: dict[str, Any]
    source: ValueSource
    sources: Mapping[KeyPath, ValueSource] = field(default_factory=dict[KeyPath, ValueSource])

    def source_at(self, path: KeyPath) -> ValueSource:
        """Return the source of the value at a path."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.sources:
                return self.sources[path[:end]]
        below = (source for key, source in self.sources.items() if key[: len(path)] == path)
        return next(below, self.source)

    def has(self, path: KeyPath) -> bool:
        """Return whether the layer sets the key or a key below it."""
        node: Any = self.data
        for part in path:
            if isinstance(node, list | tuple):
                return True  # a layer sets a list as a whole
            if not isinstance(node, dict) or part not in node:
                return False
            node = cast("dict[str, Any]", node)[part]
        return True


def source_of(layers: Sequence[Layer], path: KeyPath) -> ValueSource:
    """Return the source of the value in force: that of the first layer that has the key."""
    return next((layer.source_at(path) for layer in layers if layer.has(path)), DEFAULT)


def leaves(data: Mapping[str, Any], prefix: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Yield each value with its path. An empty table counts as a value."""
    for name, value in data.items():
        path = (*prefix, str(name))
        if isinstance(value, Mapping) and value:
            yield from leaves(cast("Mapping[str, Any]", value), path)
        else:
            yield path, value


def set_at(data: dict[str, Any], path: KeyPath, value: Any) -> None:
    """Set the value at a path. A table is merged into the table that is already there."""
    node = data
    for part in path[:-1]:
        inner = node.get(part)
        if not isinstance(inner, dict):
            inner = node[part] = {}
        node = cast("dict[str, Any]", inner)
    if isinstance(value, dict) and isinstance(node.get(path[-1]), dict):
        for name, item in cast("dict[str, Any]", value).items():
            set_at(node, (path[-1], name), item)
    else:
        node[path[-1]] = value


def with_absolute_paths(data: dict[str, Any], folder: Path, prefix: KeyPath = ()) -> dict[str, Any]:
    """Return the values with `~` expanded and relative paths joined to the folder."""
    result: dict[str, Any] = {}
    for name, value in data.items():
        path = (*prefix, name)
        result[name] = value
        if isinstance(value, dict):
            result[name] = with_absolute_paths(cast("dict[str, Any]", value), folder, path)
        elif isinstance(value, str | Path) and (key := lookup(path)) and key.holds_path and str(value) != "none":
            result[name] = folder / os.path.expanduser(value)  # noqa: PTH111 - Path.expanduser raises for "~nobody"
    return result


def arguments_layer(overrides: Mapping[str, Any], folder: Path) -> Layer:
    """Return the layer of keyword arguments: tables, sections, `retry__attempts=5` and `{"retry.attempts": 5}`.

    Args:
        overrides: The arguments. If two set the same key, the later one wins.
        folder: The base of relative paths.
    """
    data: dict[str, Any] = {}
    for name, value in overrides.items():
        set_at(data, tuple(_SEPARATOR.split(name)), _plain(value))
    return Layer(with_absolute_paths(data, folder), ARGUMENTS)


def _plain(value: Any) -> Any:
    if isinstance(value, SettingsSection):
        # Take only the keys that the caller set; other sources decide the rest.
        return {
            field.alias or name: _plain(getattr(value, name))
            for name, field in type(value).model_fields.items()
            if name in value.model_fields_set
        }
    if isinstance(value, Mapping):
        entries = cast("Mapping[object, Any]", value)
        return {str(name): _plain(item) for name, item in entries.items()}
    if isinstance(value, list | tuple):
        items = cast("Sequence[Any]", value)
        return [_plain(item) for item in items] if any(isinstance(item, SettingsSection) for item in items) else items
    return value
