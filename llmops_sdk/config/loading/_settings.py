"""The settings in force, with the source of each value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, cast

from pydantic import PrivateAttr

from llmops_sdk._util._public import public
from llmops_sdk.config._secrets import masked_repr
from llmops_sdk.config.loading._keys import KeyPath, dotted, lookup, nearest_key
from llmops_sdk.config.loading._layers import DEFAULT, leaves
from llmops_sdk.config.sections._base import SettingsSection
from llmops_sdk.config.sections._fields import SettingsFields
from llmops_sdk.config.sections._models import ModelSettings, PriceSettings
from llmops_sdk.config.sections._named_table import NamedTable
from llmops_sdk.errors import ConfigError

__all__ = ["DescribedValue", "Settings", "describe_settings", "describe_value", "setting_values"]


@public("llmops_sdk")
class Settings(SettingsFields):
    """All settings, frozen, and the source of each. Two are equal if their values are.

    Example:
        >>> import llmops_sdk as llmops
        >>> settings = llmops.settings()
        >>> settings.retry.attempts, settings.source("retry.attempts")
        (3, 'default')
    """

    _sources: dict[str, str] = PrivateAttr(default_factory=dict[str, str])

    @classmethod
    def from_sources(cls, fields: SettingsFields, sources: Mapping[str, str]) -> Settings:
        """Return the same values with the source of each by its dotted key."""
        # They are valid, so nothing has to validate them again.
        settings = cls.model_construct(**{name: getattr(fields, name) for name in SettingsFields.model_fields})
        settings._sources = dict(sources)
        return settings

    @property
    def sources(self) -> Mapping[str, str]:
        """Return the source of every value in force, by its dotted key."""
        keys = (dotted(path) for path in setting_values(self))
        return MappingProxyType({key: self._sources.get(key, DEFAULT.label) for key in keys})

    def source(self, key: str) -> str:
        """Return the source of a value.

        Args:
            key: The dotted key, e.g. "retry.attempts"; for a section, the sources of its values.

        Returns:
            "arguments", "environment: LLMOPS_MODEL", "llmops.toml: /srv/app/llmops.toml" or "default".

        Raises:
            ConfigError: The key does not exist.
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
        message = f"unknown setting {key}; the nearest known key is {nearest}."
        raise ConfigError(message, source="Settings.source", key=key, nearest=nearest)

    def __eq__(self, other: object) -> bool:
        """Compare the values, not their sources."""
        if not isinstance(other, Settings):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in SettingsFields.model_fields)

    __hash__ = None  # some values are tables


def setting_values(settings: SettingsFields) -> dict[KeyPath, Any]:
    """Return every value in force by its path; of models, prices and lists of tables only the keys that are set."""
    data = {name: _plain(getattr(settings, name)) for name in SettingsFields.model_fields}
    return dict(leaves(data))


def _plain(value: Any) -> Any:
    if isinstance(value, SettingsSection):
        return value.model_dump(
            by_alias=True, exclude_unset=isinstance(value, ModelSettings | PriceSettings | NamedTable)
        )
    if isinstance(value, dict):
        named = cast("dict[str, Any]", value)
        return {name: _plain(item) for name, item in named.items()}
    if isinstance(value, tuple):
        items = cast("tuple[Any, ...]", value)
        tables = {item.name: _plain(item) for item in items if isinstance(item, NamedTable)}
        return tables or items
    return value


@public("llmops_sdk.config")
@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedValue:
    """A setting as text for a report.

    Attributes:
        key: The dotted key.
        text: The value, without secrets.
        source: The source, as `Settings.source` returns it.
    """

    key: str
    text: str
    source: str


def describe_value(settings: Settings, path: tuple[str, ...], value: object) -> DescribedValue:
    """Describe a value of the settings.

    Args:
        settings: The settings.
        path: The parts of the key.
        value: The value to show.

    Example:
        >>> from llmops_sdk import config
        >>> config.describe_value(config.Settings(), ("options", "api_key"), "sk-1").text
        "'***'"
    """
    return _described(path, value, settings.sources)


def describe_settings(settings: Settings) -> list[DescribedValue]:
    """Describe every value in force.

    Example:
        >>> from llmops_sdk import config
        >>> config.describe_settings(config.Settings())[0]
        DescribedValue(key='enabled', text='True', source='default')
    """
    sources = settings.sources
    return [_described(path, value, sources) for path, value in setting_values(settings).items()]


def _described(path: KeyPath, value: object, sources: Mapping[str, str]) -> DescribedValue:
    key = dotted(path)
    return DescribedValue(key=key, text=masked_repr(path, value), source=sources.get(key, DEFAULT.label))
