"""The settings of stored responses: the cache and cassettes."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import PositiveInt

from llmops_sdk._util._public import public
from llmops_sdk.config.sections._base import FolderPath, OptionalPath, OptionalSeconds, OptionalText, SettingsSection

__all__ = ["CacheSettings", "CassetteSettings"]


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
