"""The settings in force, with the source of each value."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, cast

from pydantic import PrivateAttr

from llmops_sdk._util._public import public
from llmops_sdk.config.loading._keys import KeyPath, dotted, lookup, nearest_key
from llmops_sdk.config.loading._layers import DEFAULT, leaves
from llmops_sdk.config.sections._models import ModelSettings, PriceSettings, Section, SettingsFields
from llmops_sdk.errors import ConfigError

__all__ = ["Settings", "values"]


def _no_sources() -> dict[str, str]:
    return {}


@public("llmops_sdk")
class Settings(SettingsFields):
    """Every setting, frozen, and where each came from; two are equal when their values are.

    Example:
        >>> import llmops_sdk as llmops
        >>> settings = llmops.settings()
        >>> settings.retry.attempts, settings.source("retry.attempts")
        (3, 'default')
    """

    _sources: dict[str, str] = PrivateAttr(default_factory=_no_sources)

    @classmethod
    def from_sources(cls, fields: SettingsFields, sources: Mapping[str, str]) -> Settings:
        """The same values, with the source of each by its dotted key."""
        settings = cls(**{name: getattr(fields, name) for name in SettingsFields.model_fields})
        settings._sources = dict(sources)
        return settings

    @property
    def sources(self) -> Mapping[str, str]:
        """The source of every value in force, by its dotted key."""
        keys = (dotted(path) for path in values(self))
        return MappingProxyType({key: self._sources.get(key, DEFAULT.label) for key in keys})

    def source(self, key: str) -> str:
        """Where a value comes from.

        Args:
            key: The dotted key, as in "retry.attempts"; for a section, the sources of its values.

        Returns:
            "arguments", "environment: LLMOPS_MODEL", "llmops.toml: /srv/app/llmops.toml" or "default".

        Raises:
            ConfigError: There is no such key.
        """
        sources = self.sources
        if key in sources:
            return sources[key]
        if below := dict.fromkeys(source for name, source in sources.items() if name.startswith(f"{key}.")):
            return ", ".join(below)
        path = tuple(part.strip('"') for part in key.split("."))
        if lookup(path):
            return DEFAULT.label
        nearest = nearest_key(path)
        message = f"there is no setting {key}; the nearest known key is {nearest}."
        raise ConfigError(message, source="Settings.source", key=key, nearest=nearest)

    def __eq__(self, other: object) -> bool:
        """Whether the values are equal, wherever they came from."""
        if not isinstance(other, Settings):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in SettingsFields.model_fields)

    __hash__ = None  # tables are among the values


def values(settings: SettingsFields) -> dict[KeyPath, Any]:
    """Every value in force by its path; of named models and prices the keys that were set."""
    data = {name: _plain(getattr(settings, name)) for name in SettingsFields.model_fields}
    return dict(leaves(data))


def _plain(value: Any) -> Any:
    if isinstance(value, Section):
        return value.model_dump(exclude_unset=isinstance(value, ModelSettings | PriceSettings))
    if isinstance(value, dict):
        tables = cast("dict[str, Any]", value)
        return {name: _plain(item) for name, item in tables.items()}
    return value
