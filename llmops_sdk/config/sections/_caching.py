"""The settings of stored responses: the cache and cassettes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveInt, field_validator

from llmops_sdk._util._public import public
from llmops_sdk.config.sections._base import (
    FolderPath,
    Names,
    OptionalPath,
    OptionalSeconds,
    OptionalText,
    SettingsSection,
)

__all__ = ["CacheSettings", "CassetteSettings", "SemanticSettings"]

_MOST_TAGS = 16
_LONGEST_TAG = 200


@public("llmops_sdk.config")
class SemanticSettings(SettingsSection):
    """The semantic tier of the cache: it returns the response of another question that asks for the same."""

    mode: Literal["off", "shadow", "serve"] = "off"
    """"shadow" returns nothing and records what "serve" would have returned."""
    embedder: str = "static"
    """"static" is in the package and needs no network; "litellm:MODEL"; or "sentence-transformers:FOLDER"."""
    max_error: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.01
    """The largest share of wrong responses among those it returns."""
    confidence: Annotated[float, Field(ge=0.5, lt=1.0)] = 0.95
    """The chance that `max_error` holds, at all times together."""
    judge: Literal["exact", "similar"] = "similar"
    """Says after a miss whether a stored response would have been right. "exact" compares the texts, "similar" also
    their vectors and words."""
    false_right: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """An upper limit of the share of wrong responses that the judge calls right."""
    false_wrong: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """A lower limit of the share of right responses that the judge calls wrong."""
    wording: bool = True
    """Return responses of questions that differ only in wording before there are labels. `max_error` does not bound
    these; false waits for labels for them, too."""
    audit: Annotated[float, Field(ge=0.0, le=1.0)] = 0.02
    """Share of the returned responses that a call in the background checks. Each costs a call."""
    history: Literal["exact", "facts"] = "exact"
    """"exact": earlier messages must be equal. "facts": what user and assistant said may be worded otherwise where it
    states the same facts, or where the question stands alone. It returns more, and can be wrong about what "it" is."""
    max_entries: Annotated[int, Field(ge=1, le=1_000_000)] = 100_000
    """The number of responses above which the least recently used are removed."""


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
    semantic: SemanticSettings = SemanticSettings()
    """The semantic tier."""

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
