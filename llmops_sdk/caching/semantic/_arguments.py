"""Check what users give to `SemanticCache`, and turn its values into bytes and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from llmops_sdk.caching.semantic._bound import JudgeError
from llmops_sdk.caching.semantic._neighbours import MOST_ENTRIES
from llmops_sdk.caching.semantic._store import MAX_VALUE, is_encodable
from llmops_sdk.errors import ConfigError

__all__ = ["check_settings", "check_top", "from_bytes", "tags_of", "to_bytes"]

_MAX_TAGS = 32
_MAX_TAG = 200
_SHOWN = 300  # characters of an error


def check_settings(ttl: object, max_entries: object, judge_error: object, wording: object) -> None:
    """Raise for a setting that is out of its range."""
    if ttl is not None and (isinstance(ttl, bool) or not isinstance(ttl, (int, float)) or not ttl > 0):
        raise ConfigError(f"ttl={ttl!r}: give seconds above zero, or None for no limit", key="ttl", value=ttl)
    if isinstance(max_entries, bool) or not isinstance(max_entries, int) or not 1 <= max_entries <= MOST_ENTRIES:
        text = f"max_entries={max_entries!r}: give a whole number from 1 to {MOST_ENTRIES}"
        raise ConfigError(text, key="max_entries", value=max_entries)
    if not isinstance(judge_error, JudgeError):
        text = f"judge_error={judge_error!r}: give a JudgeError, such as JudgeError(false_right=0.05)"
        raise ConfigError(text, key="judge_error", value=judge_error)
    if not isinstance(wording, bool):
        raise ConfigError(f"wording={wording!r}: give True or False", key="wording", value=wording)


def check_top(top: object) -> None:
    """Raise for a number of candidates that is none."""
    if isinstance(top, bool) or not isinstance(top, int):
        raise TypeError(f"top must be a whole number, not {type(top).__name__}")
    if top < 1:
        raise ValueError(f"top={top}: give at least 1")


def tags_of(tags: Sequence[str]) -> tuple[str, ...]:
    """Return the tags without repetitions; raise for what are none."""
    if isinstance(tags, str) or not isinstance(tags, Sequence) or not all(isinstance(one, str) for one in tags):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"tags must be a list of strings, as in tags=['prices'], not {tags!r}"[:_SHOWN])
    names = tuple(dict.fromkeys(tags))
    if len(names) > _MAX_TAGS or not all(0 < len(one) <= _MAX_TAG and is_encodable(one) for one in names):
        raise ValueError(f"give at most {_MAX_TAGS} tags of 1 to {_MAX_TAG} characters")
    return names


def from_bytes(value: bytes) -> list[Any] | None:
    """Return a stored value in a list of one, since None is a value too; None for bytes that are not JSON."""
    try:
        return [orjson.loads(value)]
    except orjson.JSONDecodeError:
        return None


def to_bytes(value: Any) -> bytes:
    """Return a value as JSON; raise for one that is not, or is too large."""
    try:
        data = orjson.dumps(value, option=orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_PASSTHROUGH_DATETIME)
    except orjson.JSONEncodeError as error:
        raise TypeError(f"the value is not JSON: {error}") from error
    if orjson.loads(data) != value:  # NaN becomes null, and a tuple a list
        raise TypeError("the value is not JSON: it has a NaN, an infinity or a tuple")
    if len(data) > MAX_VALUE:
        raise ValueError(f"the value has {len(data):,} bytes as JSON: store at most {MAX_VALUE:,}, or where it is")
    return data
