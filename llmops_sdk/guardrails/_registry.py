"""Guards by name: "kind" or "kind:action"."""

from __future__ import annotations

import difflib
import hashlib
import inspect
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from llmops_sdk.errors import ConfigError
from llmops_sdk.guardrails import detectors
from llmops_sdk.guardrails._detector_guard import DetectorGuard
from llmops_sdk.guardrails._protocol import Action, Guard
from llmops_sdk.guardrails.detectors._cards import CardGuard

__all__ = ["KINDS", "Kind", "nearest", "policy_version", "resolve"]


class Kind(NamedTuple):
    """A kind of guard that has a name."""

    does: str
    """What it finds, for `llmops guard list`."""
    default: Action
    actions: tuple[Action, ...]
    detector: str
    """The class in `detectors`, which takes the options of the guard; empty for `cards`."""
    whole: bool = False
    """Whether it must read whole texts. Calls hand guards the strings inside JSON, one by one."""


_PLACES: tuple[Action, ...] = ("flag", "redact", "block")
_MENDED: tuple[Action, ...] = ("flag", "fix", "block")
KINDS: Mapping[str, Kind] = {
    "cards": Kind("payment card numbers", "redact", ("redact", "block"), ""),
    "pii": Kind("personal data: addresses, numbers and dates of people", "redact", _PLACES, "PiiDetector"),
    "secrets": Kind("keys, tokens and passwords", "redact", _PLACES, "SecretsDetector"),
    "injection": Kind(
        "wording of prompt injections and jailbreaks", "flag", ("flag", "redact", "block"), "InjectionDetector"
    ),
    "exfiltration": Kind("links, images and scripts that carry data away", "redact", _PLACES, "ExfiltrationDetector"),
    "canary": Kind("tokens of the system prompt", "block", _PLACES, "CanaryDetector"),
    "topics": Kind("words and phrases that you deny", "block", _PLACES, "TopicsDetector"),
    "profanity": Kind("words of a list; a list is not toxicity", "flag", _PLACES, "ProfanityDetector"),
    "language": Kind(
        "texts in a language that is not allowed", "block", ("flag", "block"), "LanguageDetector", whole=True
    ),
    "length": Kind(
        "texts that are too long or too short", "block", ("flag", "fix", "block"), "LengthDetector", whole=True
    ),
    "json": Kind(
        "texts that are not JSON, and mended JSON", "fix", ("flag", "fix", "block"), "JsonDetector", whole=True
    ),
    "grounded": Kind("sentences that the documents do not contain", "flag", _PLACES, "GroundedDetector", True),
    "judge": Kind("texts that break a policy in words, by a model", "block", ("flag", "block"), "JudgeDetector"),
    "toxicity": Kind("insults, threats and hatred, by a model", "flag", ("flag", "block"), "ToxicityDetector"),
    "classifier": Kind("what a classifier in a local folder recognises", "flag", _PLACES, "ClassifierDetector"),
    "presidio": Kind("personal data, by Presidio's recognisers", "redact", _PLACES, "PresidioDetector"),
}


def resolve(
    specs: Sequence[str | Guard],
    options: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    in_calls: bool = True,
) -> tuple[Guard, ...]:
    """Return the guards that names and objects stand for, in the same order.

    Args:
        specs: Names, as in "cards" or "cards:block", and guards.
        options: The options of named guards, by kind, e.g. `{"topics": {"deny": ["lottery"]}}`.
        in_calls: False for guards that get whole texts, as `check` gives them.

    Raises:
        ConfigError: A kind, an action or an option is unknown, or an item is neither a name nor a guard.

    Example:
        >>> from llmops_sdk.guardrails import resolve
        >>> [guard.version for guard in resolve(["cards", "cards:block"])]
        ['1:redact', '1:block']
    """
    if isinstance(specs, str):
        raise ConfigError(f"guards must be a list, as in [{specs!r}], not a bare string", value=specs)
    for kind in options or ():
        if kind not in KINDS:
            raise _unknown("guard", kind, kind, KINDS)
    for spec in specs if in_calls else ():
        kind = spec.partition(":")[0] if isinstance(spec, str) else ""
        if kind in KINDS and KINDS[kind].whole:
            raise ConfigError(
                f"the guard {kind!r} must read whole texts, and a call hands guards the strings inside JSON one by "
                "one: check the answer with llmops_sdk.guardrails.check",
                value=spec,
            )
    return tuple(_named(spec, options or {}) if isinstance(spec, str) else _checked(spec) for spec in specs)


def _named(name: str, options: Mapping[str, Mapping[str, Any]]) -> Guard:
    kind, _, action = name.partition(":")
    known = KINDS.get(kind)
    if known is None:
        raise _unknown("guard", name, kind, KINDS)
    if kind == "cards":
        return _card_guard(name, action, options.get(kind, {}))
    if action and action not in known.actions:
        raise _unknown(f"action of the guard {kind!r}", name, action, known.actions)
    chosen = known.default
    for one in known.actions:
        chosen = one if one == action else chosen
    detector: Any = getattr(detectors, known.detector)
    given = options.get(kind, {})
    names = list(inspect.signature(detector).parameters)
    for option in given:
        if option not in names:
            raise _unknown(f"option of the guard {kind!r}", option, option, names)
    try:
        return DetectorGuard(detector(**given), chosen)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"the options of the guard {kind!r} are not valid: {error}", value=given) from error


def _card_guard(name: str, action: str, options: Mapping[str, Any]) -> Guard:
    # A guard of its own: it may keep digits, and its finding is needed without the extra `guards`.
    if options:
        option = next(iter(options))
        raise ConfigError(f'the guard "cards" has no option {option!r}: remove it', value=option)
    actions = {
        "": CardGuard(),
        "redact": CardGuard(),
        "block": CardGuard("block"),
        "keep_last4": CardGuard(keep_last4=True),
    }
    if action not in actions:
        raise _unknown("action of the guard 'cards'", name, action, [known for known in actions if known])
    return actions[action]


def _unknown(what: str, name: str, part: str, known: Sequence[str] | Mapping[str, Any]) -> ConfigError:
    near = nearest(part, known)
    whole = near if near is None or part == name else name.replace(part, near)
    hint = f"did you mean {whole!r}? " if whole else ""
    return ConfigError(
        f"there is no {what} {part!r}"
        + ("" if part == name else f" ({name!r})")
        + f": {hint}The known ones are {', '.join(known)}.",
        value=name,
        nearest=whole,
    )


def nearest(name: str, known: Sequence[str] | Mapping[str, Any]) -> str | None:
    """Return the most similar of the known names, or None if none is similar."""
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.4)), None)


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
