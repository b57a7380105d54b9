"""The policies of a call: its arguments over the configuration."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pydantic import ValidationError

from llmops_sdk.config import CacheSettings, GuardrailSettings, RetrySettings, SemanticSettings, Timeout, known_keys
from llmops_sdk.config._secrets import masked_repr
from llmops_sdk.errors import ConfigError
from llmops_sdk.guardrails._protocol import CALL_RAILS, Rail

if TYPE_CHECKING:
    from llmops_sdk.client._options import GuardSpecs
    from llmops_sdk.guardrails import Guard
    from llmops_sdk.providers import Response

__all__ = ["cache_admission", "cache_policy", "guard_specs", "retry_policy", "semantic_function", "timeout_policy"]

_Section = TypeVar("_Section", RetrySettings, CacheSettings, SemanticSettings, Timeout)


def _with_overrides(section: _Section, changes: Mapping[str, Any], name: str) -> _Section:
    """Return a section with some of its keys replaced."""
    for key in changes:
        if not isinstance(key, str):  # pyright: ignore[reportUnnecessaryIsInstance] - a program may pass anything
            raise TypeError(
                f"{name} has the key {key!r}: keys are names, such as {next(iter(type(section).model_fields))!r}"
            )
    try:
        return type(section).model_validate({**dict(section), **changes})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
    loc = [str(part) for part in first["loc"]]
    known = type(section).model_fields
    key = loc[0] if loc[0] in known else ".".join(loc)  # without the place in a list
    if key in known:
        # Our own validators say what is valid.
        own = str(first.get("ctx", {}).get("error")) if first["type"] == "value_error" else None
        problem, near = own or f"it must be {known_keys()[f'{name}.{key}'].expected}", []
    else:
        near = difflib.get_close_matches(key, known, n=1)
        problem = f"there is no such key; did you mean {near[0]!r}?" if near else f"the keys are {', '.join(known)}"
    raise ConfigError(
        f"{name}={{{key!r}: {masked_repr((name, key), first['input'])}}}: {problem}",
        source="arguments",
        key=f"{name}.{key}",
        value=first["input"],
        nearest=near[0] if near else None,
    )


def _section(default: _Section, given: object, name: str, expected: str) -> _Section:
    """Return the section that an argument asks for: None for the default, a dict of changes, or the whole section."""
    if given is None:
        return default
    if isinstance(given, type(default)):
        return given
    if isinstance(given, Mapping):
        return _with_overrides(default, cast("Mapping[str, Any]", given), name)
    raise TypeError(f"{name} must be {expected}, a dict or {type(default).__name__}, not {given!r}")


def retry_policy(default: RetrySettings, given: object) -> RetrySettings:
    """Return the retry policy of a call: True is the default, False one attempt, an int the number of attempts.

    Raises:
        ConfigError: A key or a value is not valid.
        TypeError: `given` has another type.
    """
    if isinstance(given, bool):
        return default if given else default.model_copy(update={"attempts": 1})
    changes = {"attempts": given} if isinstance(given, int) else given
    return _section(default, changes, "retry", "a bool, a number of attempts")


def timeout_policy(default: Timeout, given: object) -> Timeout:
    """Return the time bounds of a call; a number is the total seconds.

    Raises:
        ConfigError: A key or a value is not valid.
        TypeError: `given` has another type.
    """
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    return _section(default, {"total": given} if is_number else given, "timeout", "a number of seconds")


def cache_policy(default: CacheSettings, given: object) -> CacheSettings | None:
    """Return the cache settings of a call, or None for no cache; True and a dict turn the exact tier on.

    In a dict, `semantic` is a mode ("serve", "shadow", "off") or a dict of changes to the semantic tier.

    Raises:
        ConfigError: A key or a value is not valid.
        TypeError: `given` has another type.
    """
    if isinstance(given, bool):
        # A call around the cache (False) still passes through the stage, which records the bypass.
        given = {"exact": True} if given else None
    elif isinstance(given, Mapping):
        given = {"exact": True, **cast("Mapping[str, Any]", given)}
        given.pop(_ADMIT, None)
        if "semantic" in given:
            asked = given["semantic"]
            changes: object = {"mode": asked} if isinstance(asked, str) else asked
            if isinstance(changes, Mapping):
                named = cast("Mapping[str, Any]", changes)
                changes = {name: value for name, value in named.items() if not callable(value)}
            given["semantic"] = _section(default.semantic, changes, "cache.semantic", "a mode")
    settings = _section(default, given, "cache", "a bool")
    return settings if settings.exact or settings.semantic.mode != "off" else None


_ADMIT = "admit"


def cache_admission(given: object) -> Callable[[Response], bool] | None:
    """Return the function in `cache={"admit": ...}` that says which answers are stored, or None.

    Raises:
        TypeError: It is no function.
    """
    admit = cast("Mapping[str, Any]", given).get(_ADMIT) if isinstance(given, Mapping) else None
    if admit is not None and not callable(admit):
        raise TypeError(f"cache={{'admit': {admit!r}}}: give a function of the answer that returns whether to store it")
    return cast("Callable[[Response], bool] | None", admit)


def semantic_function(given: object, name: str) -> Callable[..., Any] | None:
    """Return the function in `cache={"semantic": {"embedder": ..., "judge": ...}}`; None where a name is given.

    Args:
        given: The argument `cache` of a call.
        name: "embedder" or "judge".
    """
    semantic = cast("Mapping[str, Any]", given).get("semantic") if isinstance(given, Mapping) else None
    value = cast("Mapping[str, Any]", semantic).get(name) if isinstance(semantic, Mapping) else None
    return value if callable(value) else None


_Specs = tuple["str | Guard", ...]


def guard_specs(default: GuardrailSettings, given: GuardSpecs | None) -> dict[Rail, _Specs]:
    """Return the guards of a call by rail.

    Args:
        default: The guards of the configuration.
        given: None for the default; a list for input and output, or an empty one for no guards on any rail; or a
            mapping of rails. A rail that is not given keeps the default.

    Raises:
        TypeError: `given` is a bare string, or a rail is unknown.
    """
    configured: dict[Rail, _Specs] = {rail: getattr(default, rail) for rail in CALL_RAILS}
    if given is None:
        return configured
    if isinstance(given, Mapping):
        if unknown := set(given) - set(CALL_RAILS):
            name = min(map(repr, unknown))
            raise TypeError(f"guards takes the rails {', '.join(CALL_RAILS)}, not {name}: remove or rename it")
        given_rails: dict[Rail, _Specs] = {rail: _specs(given[rail]) for rail in CALL_RAILS if rail in given}
        return configured | given_rails
    both = _specs(given)
    replaced: tuple[Rail, ...] = ("input", "output") if both else CALL_RAILS
    return configured | dict.fromkeys(replaced, both)


def _specs(given: object) -> _Specs:
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise TypeError(f"guards must be a list of names or guards, as in ['cards'], not {given!r}")
    return tuple(cast("Sequence[str | Guard]", given))
