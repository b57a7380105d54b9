"""A layer is what one source says: nested values, and for each of them the place that it comes from."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from llmops_sdk.config.loading._keys import KeyPath, lookup
from llmops_sdk.config.sections._models import Section

__all__ = ["ARGUMENTS", "DEFAULT", "Layer", "Origin", "anchored", "arguments_layer", "leaves", "origin_of", "place"]

_SEPARATOR = re.compile(r"__|\.")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from.

    Attributes:
        label: As `Settings.source` says it: "llmops.toml: /srv/app/llmops.toml", "environment: LLMOPS_MODEL".
        where: As an error says it: the path, the variable, or "arguments".
    """

    label: str
    where: str

    @classmethod
    def file(cls, path: Path) -> Origin:
        """A file."""
        return cls(f"{path.name}: {path}", str(path))

    @classmethod
    def variable(cls, name: str) -> Origin:
        """An environment variable."""
        return cls(f"environment: {name}", name)


ARGUMENTS = Origin("arguments", "arguments")
DEFAULT = Origin("default", "default")


def _no_origins() -> dict[KeyPath, Origin]:
    return {}


@dataclass(frozen=True, slots=True)
class Layer:
    """What one source says.

    Attributes:
        data: The values, nested as the sections are.
        origin: Where they come from, unless `origins` says it more exactly.
        origins: For the environment: the variable of each key.
    """

    data: dict[str, Any]
    origin: Origin
    origins: Mapping[KeyPath, Origin] = field(default_factory=_no_origins)

    def origin_at(self, path: KeyPath) -> Origin:
        """Where the value at a path comes from."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.origins:
                return self.origins[path[:end]]
        below = (origin for key, origin in self.origins.items() if key[: len(path)] == path)
        return next(below, self.origin)

    def has(self, path: KeyPath) -> bool:
        """Whether it says anything about the key or a key below it."""
        node: Any = self.data
        for part in path:
            if not isinstance(node, dict) or part not in node:
                return False
            node = cast("dict[str, Any]", node)[part]
        return True


def origin_of(layers: Sequence[Layer], path: KeyPath) -> Origin:
    """Where the value in force comes from: the first layer that has it."""
    return next((layer.origin_at(path) for layer in layers if layer.has(path)), DEFAULT)


def leaves(data: Mapping[str, Any], prefix: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Each value with its path; an empty table counts as a value."""
    for name, value in data.items():
        path = (*prefix, str(name))
        if isinstance(value, Mapping) and value:
            yield from leaves(cast("Mapping[str, Any]", value), path)
        else:
            yield path, value


def place(data: dict[str, Any], path: KeyPath, value: Any) -> None:
    """Put a value at a path; a table is merged into the one that stands there."""
    node = data
    for part in path[:-1]:
        inner = node.get(part)
        if not isinstance(inner, dict):
            inner = node[part] = {}
        node = cast("dict[str, Any]", inner)
    if isinstance(value, dict) and isinstance(node.get(path[-1]), dict):
        for name, item in cast("dict[str, Any]", value).items():
            place(node, (path[-1], name), item)
    else:
        node[path[-1]] = value


def anchored(data: dict[str, Any], folder: Path, prefix: KeyPath = ()) -> dict[str, Any]:
    """The same values, with `~` expanded and relative paths made absolute, below the folder."""
    result: dict[str, Any] = {}
    for name, value in data.items():
        path = (*prefix, name)
        result[name] = value
        if isinstance(value, dict):
            result[name] = anchored(cast("dict[str, Any]", value), folder, path)
        elif isinstance(value, str | Path) and (key := lookup(path)) and key.holds_path and str(value) != "none":
            result[name] = folder / os.path.expanduser(value)  # noqa: PTH111 - Path.expanduser raises for "~nobody"
    return result


def arguments_layer(overrides: Mapping[str, Any], folder: Path) -> Layer:
    """The layer of keyword arguments: nested tables, sections, `retry__attempts=5` and `{"retry.attempts": 5}`.

    Args:
        overrides: The arguments; of one that is given twice the later counts.
        folder: What relative paths are relative to.
    """
    data: dict[str, Any] = {}
    for name, value in overrides.items():
        place(data, tuple(_SEPARATOR.split(name)), _plain(value))
    return Layer(anchored(data, folder), ARGUMENTS)


def _plain(value: Any) -> Any:
    if isinstance(value, Section):
        # Only what the caller set: the other keys are left to the sources below.
        return {
            name: _plain(getattr(value, name)) for name in type(value).model_fields if name in value.model_fields_set
        }
    if isinstance(value, Mapping):
        entries = cast("Mapping[object, Any]", value)
        return {str(name): _plain(item) for name, item in entries.items()}
    return value
