"""Guards by name."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence

from llmops_sdk.errors import ConfigError
from llmops_sdk.guardrails._protocol import Guard
from llmops_sdk.guardrails.detectors._cards import CardGuard

__all__ = ["policy_version", "resolve"]

_NAMED: Mapping[str, Callable[[], Guard]] = {
    "cards": CardGuard,
    "cards:redact": CardGuard,
    "cards:keep_last4": lambda: CardGuard(keep_last4=True),
    "cards:block": lambda: CardGuard("block"),
}


def resolve(specs: Sequence[str | Guard]) -> tuple[Guard, ...]:
    """Return the guards that names and objects stand for, in the same order.

    Args:
        specs: Names, as in "cards" or "cards:block", and guards.

    Raises:
        ConfigError: A name is unknown, or an item is neither a name nor a guard.

    Example:
        >>> from llmops_sdk.guardrails import resolve
        >>> [guard.version for guard in resolve(["cards", "cards:block"])]
        ['1:redact', '1:block']
    """
    if isinstance(specs, str):
        raise ConfigError(f"guards must be a list, as in [{specs!r}], not a bare string", value=specs)
    return tuple(_named(spec) if isinstance(spec, str) else _checked(spec) for spec in specs)


def _named(name: str) -> Guard:
    if name in _NAMED:
        return _NAMED[name]()
    near = next(iter(difflib.get_close_matches(name, _NAMED, n=1, cutoff=0.4)), None)
    known = ", ".join(_NAMED)
    raise ConfigError(
        f"there is no guard {name!r}: "
        + (f"did you mean {near!r}? " if near else "")
        + f"The known guards are {known}.",
        value=name,
        nearest=near,
    )


def _checked(guard: object) -> Guard:
    if isinstance(guard, type) or not isinstance(guard, Guard):
        raise ConfigError(
            f"{guard!r} is not a guard: pass an object with a name, a version and a check method", value=guard
        )
    return guard


def policy_version(guards: Sequence[Guard], on_error: str = "closed") -> str:
    """Return a digest of the guards in force, for the cache's key; "" without guards.

    Args:
        guards: The guards of every rail.
        on_error: What happens when a guard fails.
    """
    if not guards:
        return ""
    named = [on_error, *([guard.name, guard.version] for guard in guards)]
    return hashlib.blake2b(json.dumps(named).encode(), digest_size=16).hexdigest()
