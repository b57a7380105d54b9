"""The policies of a call: its arguments over the configuration."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pydantic import ValidationError

from llmops_sdk.config import CacheSettings, GuardrailSettings, RetrySettings, Timeout
from llmops_sdk.errors import ConfigError

if TYPE_CHECKING:
    from llmops_sdk.client._options import GuardSpecs
    from llmops_sdk.guardrails import Guard

__all__ = ["cache_policy", "guard_specs", "retry_policy", "timeout_policy"]

_Section = TypeVar("_Section", RetrySettings, CacheSettings, Timeout)


def _with_overrides(section: _Section, changes: Mapping[str, Any], name: str) -> _Section:
    """Return a section with some of its keys replaced."""
    try:
        return type(section).model_validate({**section.model_dump(), **changes})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
    key = ".".join(map(str, first["loc"]))
    known = key in type(section).model_fields  # then its value is wrong, not its name
    near = [] if known else difflib.get_close_matches(key, type(section).model_fields, n=1)
    raise ConfigError(
        f"{name}={{{key!r}: {first['input']!r}}}: {first['msg']}" + (f"; did you mean {near[0]!r}?" if near else ""),
        source="arguments",
        key=f"{name}.{key}",
        value=first["input"],
        nearest=near[0] if near else None,
    )


def retry_policy(default: RetrySettings, given: object) -> RetrySettings:
    """Return the retry policy of a call.

    Args:
        default: The policy of the configuration.
        given: None or True for the default, False for one attempt, a number of attempts, a dict of changes, a policy.

    Raises:
        ConfigError: A key or a value is not valid.
        TypeError: `given` has another type.
    """
    match given:
        case None | True:
            return default
        case False:
            return default.model_copy(update={"attempts": 1})
        case int():
            return _with_overrides(default, {"attempts": given}, "retry")
        case RetrySettings():
            return given
        case Mapping():
            return _with_overrides(default, cast("Mapping[str, Any]", given), "retry")
        case _:
            raise TypeError(f"retry must be a bool, a number of attempts, a dict or RetrySettings, not {given!r}")


def timeout_policy(default: Timeout, given: object) -> Timeout:
    """Return the time bounds of a call: `given` is the total seconds, a dict of changes, a `Timeout`, or None.

    Raises:
        ConfigError: A key or a value is not valid.
        TypeError: `given` has another type.
    """
    match given:
        case None:
            return default
        case bool():
            raise TypeError("timeout must be a number of seconds or a Timeout, not a bool")
        case int() | float():
            return _with_overrides(default, {"total": given}, "timeout")
        case Timeout():
            return given
        case Mapping():
            return _with_overrides(default, cast("Mapping[str, Any]", given), "timeout")
        case _:
            raise TypeError(f"timeout must be a number of seconds, a dict or a Timeout, not {given!r}")


def cache_policy(default: CacheSettings, given: object) -> CacheSettings | None:
    """Return the cache settings of a call, or None for no cache; a dict turns the exact tier on by default.

    Raises:
        ConfigError: A key or a value is not valid.
        TypeError: `given` has another type.
    """
    match given:
        case None | False:
            # A call around the cache still passes through the stage, which records the bypass.
            chosen = default
        case True:
            chosen = default.model_copy(update={"exact": True})
        case CacheSettings():
            chosen = given
        case Mapping():
            chosen = _with_overrides(default, {"exact": True, **cast("Mapping[str, Any]", given)}, "cache")
        case _:
            raise TypeError(f"cache must be a bool, a dict or CacheSettings, not {given!r}")
    return chosen if chosen.exact else None


_Specs = tuple["str | Guard", ...]


def guard_specs(default: GuardrailSettings, given: GuardSpecs | None) -> tuple[_Specs, _Specs]:
    """Return the guards of a call on its input and on its output.

    Args:
        default: The guards of the configuration.
        given: None for the default; a list for both rails (an empty one for no guards); or a mapping with "input" and
            "output", where a missing rail keeps the default.

    Raises:
        TypeError: `given` is a bare string, or a rail is unknown.
    """
    if given is None:
        return default.input, default.output
    if isinstance(given, Mapping):
        if unknown := set(given) - {"input", "output"}:
            raise TypeError(f'guards has the rails "input" and "output", not {min(map(repr, unknown))}')
        return _specs(given.get("input", default.input)), _specs(given.get("output", default.output))
    both = _specs(given)
    return both, both


def _specs(given: object) -> _Specs:
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise TypeError(f"guards must be a list of names or guards, as in ['cards'], not {given!r}")
    return tuple(cast("Sequence[str | Guard]", given))
