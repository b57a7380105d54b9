"""The settings of stored responses: the cache and cassettes."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import PositiveInt, field_validator

from llmops_sdk._util._public import public
from llmops_sdk.config.sections._base import (
    FolderPath,
    Names,
    OptionalPath,
    OptionalSeconds,
    OptionalText,
    SettingsSection,
)

__all__ = ["CacheSettings", "CassetteSettings"]

_MOST_TAGS = 16
_LONGEST_TAG = 200


@public("llmops_sdk.config")
class CacheSettings(SettingsSection):
    """The response cache on this machine. It is off by default, as it carries state from one call to the next."""

    exact: bool = False
    """Return the stored response of an identical request."""
    path: OptionalPath = None
    """The folder. Default: `cache` inside the store's folder."""
    ttl: OptionalSeconds = 86_400.0
    """Seconds that a response stays valid. None means until it is evicted."""
    max_bytes: PositiveInt = 256 * 1024 * 1024
    """The size above which the least recently used responses are evicted."""
    namespace: str = ""
    """Responses are shared only within one namespace, e.g. a tenant's name."""
    sampled: bool = False
    """Also store responses of calls with a temperature above zero."""
    tool_calls: bool = False
    """Also store responses that call tools."""
    tags: Names = ()
    """Tags of new entries, at most 16 of 1 to 200 characters, for `llmops_sdk.caching.invalidate(tag=...)`."""
    stale_while_revalidate: OptionalSeconds = None
    """Seconds after `ttl` in which a response is still returned while a call in the background gets a new one."""
    negative_ttl: OptionalSeconds = None
    """Seconds for which an error is raised again, without a call, that the provider would repeat: an invalid request, a
    prompt that is too long, content that its filter refuses. None stores no errors."""

    @field_validator("tags")
    @classmethod
    def _check_tags(cls, tags: tuple[str, ...]) -> tuple[str, ...]:
        found = tuple(dict.fromkeys(tags))
        if len(found) > _MOST_TAGS or not all(0 < len(tag) <= _LONGEST_TAG for tag in found):
            raise ValueError(f"give at most {_MOST_TAGS} tags of 1 to {_LONGEST_TAG} characters")
        return found


@public("llmops_sdk.config")
class CassetteSettings(SettingsSection):
    """Recorded responses, for the models `cassette/NAME`."""

    folder: FolderPath = Path("cassettes")
    """The folder of the cassette files. A relative path is relative to the file that sets it, the default to the
    project's folder."""
    mode: Literal["replay", "new", "record"] = "replay"
    """"replay" never calls a model, and a missing recording is an error; "new" calls the model for missing recordings
    and records them; "record" records everything again."""
    records: OptionalText = None
    """The model to record from, unless the options of the cassette's model name one."""
