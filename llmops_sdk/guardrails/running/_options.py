"""The options that every guard takes: what happens when it fails, its time, its share of the calls, its fallback."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from llmops_sdk._util._public import public
from llmops_sdk.errors import ConfigError
from llmops_sdk.guardrails._protocol import Guard, GuardContext, OnError, Verdict
from llmops_sdk.guardrails.running._names import unknown

__all__ = [
    "NO_OPTIONS",
    "OPTION_NAMES",
    "ConfiguredGuard",
    "GuardOptions",
    "configure",
    "options_of",
    "split_options",
]


@public("llmops_sdk.guardrails")
@dataclass(frozen=True, slots=True, kw_only=True)
class GuardOptions:
    """The options that every guard takes.

    Attributes:
        on_error: What happens when the guard fails: "closed" blocks, "open" passes. None is the setting of the rail.
        timeout: The seconds that the guard may take for all texts of one rail of a call. Later it counts as failed.
            None is no bound.
        sample: The share of calls in which the guard runs, above 0 and at most 1.
        fallback_answer: The answer that the action "fallback" gives instead.
        fallback_model: The model that the action "fallback" asks instead.

    Raises:
        ConfigError: A value is out of its range, or there are both a fallback answer and a fallback model.
    """

    on_error: OnError | None = None
    timeout: float | None = None
    sample: float = 1.0
    fallback_answer: str | None = None
    fallback_model: str | None = None

    def __post_init__(self) -> None:
        if self.on_error not in (None, "closed", "open"):
            raise ConfigError(f'on_error is {self.on_error!r}: use "closed" or "open"', value=self.on_error)
        if self.timeout is not None and not (_is_number(self.timeout) and 0 < self.timeout < math.inf):
            raise ConfigError(f"timeout is {self.timeout!r}: give seconds above 0, as in 0.05", value=self.timeout)
        if not (_is_number(self.sample) and 0 < self.sample <= 1):
            raise ConfigError(f"sample is {self.sample!r}: give a share above 0 and at most 1", value=self.sample)
        for name in ("fallback_answer", "fallback_model"):
            if not isinstance(getattr(self, name), str | None):
                raise ConfigError(f"{name} must be a string", value=getattr(self, name))
        if self.fallback_answer is not None and self.fallback_model is not None:
            raise ConfigError("give fallback_answer or fallback_model, not both")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


NO_OPTIONS = GuardOptions()
OPTION_NAMES = tuple(field.name for field in fields(GuardOptions))


@public("llmops_sdk.guardrails")
class ConfiguredGuard:
    """A guard with options; everything else is the guard's own.

    Args:
        guard: The guard.
        options: Its options.
    """

    def __init__(self, guard: Guard, options: GuardOptions) -> None:
        self.guard = guard
        self.options = options
        self.name = guard.name
        given = {name: value for name, value in asdict(options).items() if value != getattr(NO_OPTIONS, name)}
        digest = hashlib.blake2b(json.dumps(given, sort_keys=True).encode(), digest_size=6).hexdigest()
        self.version = f"{guard.version}+{digest}" if given else guard.version

    def check(self, text: str, context: GuardContext) -> Verdict:
        """Return the guard's verdict on a text."""
        return self.guard.check(text, context)

    def __getattr__(self, name: str) -> Any:
        # The optional methods of the guard: `acheck`, `settled` and others.
        if name == "guard":  # not set yet, while it is copied or unpickled
            raise AttributeError(name)
        return getattr(self.guard, name)


def configure(guard: Guard, **options: Any) -> ConfiguredGuard:
    """Return a guard with options, for code; in the configuration they stand in `[guardrails.options.KIND]`.

    Args:
        guard: The guard.
        options: The fields of `GuardOptions`.

    Raises:
        ConfigError: An option is unknown or not valid.

    Example:
        >>> from llmops_sdk.guardrails import CardGuard, configure
        >>> configure(CardGuard(), on_error="open", timeout=0.05).options.timeout
        0.05
    """
    for name in options:
        if name not in OPTION_NAMES:
            raise unknown("option", name, name, OPTION_NAMES, of="guards")
    return ConfiguredGuard(guard, GuardOptions(**options))


def options_of(guard: Guard) -> GuardOptions:
    """Return the options of a guard; those of a guard without any are the defaults."""
    found = getattr(guard, "options", None)
    return found if isinstance(found, GuardOptions) else NO_OPTIONS


def split_options(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the options that every guard takes, and the others."""
    common = {name: value for name, value in given.items() if name in OPTION_NAMES}
    return common, {name: value for name, value in given.items() if name not in common}
