"""Name the file and the key of a setting that another part of the SDK finds invalid when it is first used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from llmops_sdk.config.loading._keys import KeyPath, dotted
from llmops_sdk.config.loading._settings import Settings, setting_values
from llmops_sdk.errors import ConfigError

__all__ = ["placed"]


def placed(error: ConfigError, settings: Settings, *keys: str) -> ConfigError:
    """Return the error with the file and the whole key of the setting that holds its value, if one does.

    Args:
        error: An error with a value.
        settings: The settings in force.
        keys: How the dotted key ends, as in "options.latency"; by default the error's own key.
    """
    wanted = [tuple(key.split(".")) for key in keys or (error.key or "",)]
    for path, value in setting_values(settings).items():
        if not any(_ends(path, key) for key in wanted) or not _holds(value, error.value):
            continue
        key = dotted(path)
        source = settings.sources[key]
        if source == "default":
            continue
        place = source.partition(": ")[2] or source
        return ConfigError(f"{place}: {key}: {error}", source=place, key=key, value=error.value, nearest=error.nearest)
    return error


def _ends(path: KeyPath, key: KeyPath) -> bool:
    # The error may name a part of a list: options.answers.0.text
    return any(path[-end:] == key[:end] for end in range(len(key), 1, -1))


def _holds(value: Any, part: object) -> bool:
    if value == part:
        return True
    if isinstance(value, dict):
        return any(_holds(item, part) for item in cast("dict[str, Any]", value).values())
    return isinstance(value, list | tuple) and any(_holds(item, part) for item in cast("Sequence[Any]", value))
