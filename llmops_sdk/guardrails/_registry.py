"""Guards by name: "kind" or "kind:action"."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from pkgutil import resolve_name
from typing import Any, Literal, NamedTuple, cast

from llmops_sdk.config.loading._guard_options import is_import_path
from llmops_sdk.errors import ConfigError
from llmops_sdk.guardrails import detectors
from llmops_sdk.guardrails._detector_guard import DetectorGuard
from llmops_sdk.guardrails._protocol import RAILS, Action, Guard, Rail
from llmops_sdk.guardrails.detectors._cards import CardGuard
from llmops_sdk.guardrails.running._imported import import_guard
from llmops_sdk.guardrails.running._names import unknown
from llmops_sdk.guardrails.running._options import OPTION_NAMES, ConfiguredGuard, GuardOptions, split_options

__all__ = ["ASKING", "KINDS", "PACKS", "RAILS_OF", "Kind", "check_names", "policy_version", "resolve"]


class Kind(NamedTuple):
    """A kind of guard that has a name."""

    does: str
    """What it finds, for `llmops guard list`."""
    default: Action
    actions: tuple[Action, ...]
    detector: str
    """The class in `detectors`, which takes the options of the guard."""
    fits: tuple[Rail, ...] = RAILS
    """The rails on which it makes sense."""


_WHOLE: tuple[Action, ...] = ("flag", "reask", "fallback", "block")
_PLACES: tuple[Action, ...] = ("flag", "redact", "mask", "reask", "fallback", "block")
_MENDED: tuple[Action, ...] = ("flag", "fix", "reask", "fallback", "block")
_SAID: tuple[Rail, ...] = ("input", "output")
_GIVEN: tuple[Rail, ...] = ("input", "documents", "tool_definitions", "tool_results")
_LINKED: tuple[Rail, ...] = ("documents", "tool_arguments", "tool_results", "output")
_MADE: tuple[Rail, ...] = ("tool_arguments", "output")
KINDS: Mapping[str, Kind] = {
    "cards": Kind("payment card numbers", "redact", _PLACES, "CardDetector"),
    "pii": Kind("personal data: addresses, numbers and dates of people", "redact", _PLACES, "PiiDetector"),
    "secrets": Kind("keys, tokens and passwords", "redact", _PLACES, "SecretsDetector"),
    "injection": Kind("wording of prompt injections and jailbreaks", "flag", _PLACES, "InjectionDetector", _GIVEN),
    "exfiltration": Kind(
        "links, images and scripts that carry data away", "redact", _PLACES, "ExfiltrationDetector", _LINKED
    ),
    "canary": Kind("tokens of the system prompt", "block", _PLACES, "CanaryDetector", _MADE),
    "topics": Kind("words and phrases that you deny", "block", _PLACES, "TopicsDetector"),
    "profanity": Kind("words of a list; a list is not toxicity", "flag", _PLACES, "ProfanityDetector"),
    "language": Kind("texts in a language that is not allowed", "block", _WHOLE, "LanguageDetector", _SAID),
    "length": Kind("texts that are too long or too short", "block", _MENDED, "LengthDetector", _SAID),
    "json": Kind("texts that are not JSON, and mended JSON", "fix", _MENDED, "JsonDetector", _MADE),
    "grounded": Kind("sentences that the documents do not contain", "flag", _PLACES, "GroundedDetector", ("output",)),
    "judge": Kind("texts that break a policy in words, by a model", "block", _WHOLE, "JudgeDetector", _SAID),
    "toxicity": Kind("insults, threats and hatred, by a model", "flag", _WHOLE, "ToxicityDetector", _SAID),
    "classifier": Kind("what a classifier in a local folder recognises", "flag", _PLACES, "ClassifierDetector"),
    "presidio": Kind("personal data, by Presidio's recognisers", "redact", _PLACES, "PresidioDetector"),
}
ASKING = ("judge", "toxicity")
"""The kinds that ask a model."""
PACKS: Mapping[str, tuple[str, ...]] = {
    "default": ("pii", "secrets", "injection", "exfiltration"),
    "private": ("pii", "secrets"),
    "untrusted": ("injection", "exfiltration"),
}
"""Names for several guards at once."""
_CARD_GUARDS: Mapping[str, tuple[Literal["redact", "block"], bool]] = {
    "redact": ("redact", False),
    "block": ("block", False),
    "keep_last4": ("redact", True),
}
_ASKING_AGAIN = ("reask", "fallback")
RAILS_OF: Mapping[str, tuple[Rail, ...]] = {
    "mask": ("input", "documents", "tool_results"),
    "reask": ("output", "tool_arguments"),
    "fallback": ("input", "tool_definitions", "tool_results", "output", "tool_arguments"),
}
"""The rails of actions that do not work on every rail: placeholders are restored in answers, and a model answers."""


def resolve(
    specs: Sequence[str | Guard],
    options: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    rail: Rail | None = None,
    without: Sequence[Action] = (),
) -> tuple[Guard, ...]:
    """Return the guards that names and objects stand for, in the same order.

    Args:
        specs: Names, as in "cards" or "cards:block", names of packs, places in code, as in "shop.guards:Orders", and
            guards. Code is imported here.
        options: The options of named guards, by kind or place, e.g. `{"topics": {"deny": ["lottery"]}}`.
        rail: The rail that they are for, or None to take every action.
        without: Actions that the caller cannot take.

    Raises:
        ConfigError: A kind, an action or an option is unknown, an action does not work on the rail, an item is neither
            a name nor a guard, or a guard in code cannot be imported.

    Example:
        >>> from llmops_sdk.guardrails import resolve
        >>> [guard.version for guard in resolve(["cards", "cards:block"])]
        ['1:redact', '1:block']
    """
    given = options or {}
    for kind in given:
        if kind not in KINDS and not is_import_path(kind):
            raise unknown("guard", kind, kind, KINDS)
    items = list(_found(specs, rail, without))
    return tuple(_resolved(found, given, items[place + 1 :]) for place, found in enumerate(items))


def check_names(specs: Sequence[str | Guard], *, rail: Rail, without: Sequence[Action] = ()) -> bool:
    """Return whether there are names among the guards; the guards are not made, so no option is read.

    Raises:
        ConfigError: As `resolve`, but not for options.
    """
    named = [isinstance(found, _Named) for found in _found(specs, rail, without)]  # all of them, for their errors
    return any(named)


class _Named(NamedTuple):
    name: str
    kind: str
    action: str
    """Empty for a guard in the application's code, whose kind is its place."""


def _resolved(
    found: Guard | _Named, options: Mapping[str, Mapping[str, Any]], later: Sequence[Guard | _Named]
) -> Guard:
    if not isinstance(found, _Named):
        return found
    given = options.get(found.kind, {})
    if not found.action:
        return import_guard(found.name, given)
    # "json:fix" leaves what it cannot mend to a "json:reask" behind it.
    asks = any(isinstance(one, _Named) and one.kind == found.kind and one.action in _ASKING_AGAIN for one in later)
    return _made(*found, given, leaves=asks and found.action == "fix")


def _found(specs: Sequence[str | Guard], rail: Rail | None, without: Sequence[Action]) -> Iterator[Guard | _Named]:
    if isinstance(specs, str):
        raise ConfigError(f"guards must be a list, as in [{specs!r}], not a bare string", value=specs)
    for spec in specs:
        if not isinstance(spec, str):
            yield _checked(spec)
            continue
        if is_import_path(spec):
            yield _Named(spec, spec, "")
            continue
        for name in PACKS.get(spec, (spec,)):
            kind, action = _kind_and_action(name)
            _check_action(name, action, rail, without)
            yield _Named(name, kind, action)


def _kind_and_action(name: str) -> tuple[str, str]:
    kind, _, action = name.partition(":")
    known = KINDS.get(kind)
    if known is None:
        raise unknown("guard", name, kind, [*KINDS, *PACKS])
    actions = [*known.actions, "keep_last4"] if kind == "cards" else known.actions
    if action and action not in actions:
        raise unknown("action", name, action, actions, of=f"the guard {kind!r}")
    return kind, action or known.default


def _check_action(name: str, action: str, rail: Rail | None, without: Sequence[Action]) -> None:
    rails = RAILS_OF.get(action)
    if action in without:
        raise ConfigError(f"{name!r}: the action {action!r} works in calls to models only: use block", value=name)
    if rail is not None and rails is not None and rail not in rails:
        raise ConfigError(
            f"{name!r} does not work on the rail {rail}, only on {', '.join(rails)}: in a call, a list of guards is "
            f'for input and output, so give them by rail, as in guards={{"{rails[0]}": [{name!r}]}}',
            value=name,
        )


def _made(name: str, kind: str, action: str, given: Mapping[str, Any], *, leaves: bool) -> Guard:
    common, own = split_options(given)
    try:
        guard = _bare(kind, action, own, leaves=leaves)
        options = GuardOptions(**common)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"the options of the guard {kind!r} are not valid: {error}", value=dict(given)) from error
    if action == "fallback" and options.fallback_answer is None and options.fallback_model is None:
        raise ConfigError(
            f"{name!r} has nothing to fall back to: set fallback_answer or fallback_model in "
            f"[guardrails.options.{kind}]",
            value=name,
        )
    return ConfiguredGuard(guard, options) if common else guard


def _bare(kind: str, action: str, options: Mapping[str, Any], *, leaves: bool) -> Guard:
    known = KINDS[kind]
    detector: Any = getattr(detectors, known.detector)
    names = [*inspect.signature(detector).parameters, *(["hashed"] if "redact" in known.actions else [])]
    for option in options:
        if option not in names:
            raise unknown("option", option, option, [*names, *OPTION_NAMES], of=f"the guard {kind!r}")
    own = {name: value for name, value in options.items() if name != "hashed"}
    if kind in ASKING and not {"provider", "classifier"} & own.keys() and isinstance(own.get("model"), str):
        # By name: the package with the models of calls is above this one.
        own["provider"], own["model"] = resolve_name("llmops_sdk.client._judged:late_judge")(own["model"])
    hashed = options.get("hashed", False)
    if not isinstance(hashed, bool):
        raise ConfigError(f"hashed is {hashed!r}: use true or false", value=hashed)
    if kind == "cards" and action in _CARD_GUARDS and not hashed:
        own_action, keep_last4 = _CARD_GUARDS[action]
        return CardGuard(own_action, keep_last4=keep_last4)
    if action == "keep_last4":
        raise ConfigError("cards:keep_last4 has no hash: use cards:redact with hashed, or remove hashed")
    unfixed = "flag" if leaves else "block"
    return DetectorGuard(detector(**own), cast("Action", action), hashed=hashed, unfixed=unfixed)


def _checked(guard: object) -> Guard:
    if isinstance(guard, DetectorGuard | CardGuard | ConfiguredGuard):
        return guard  # to look at the protocol takes longer than most guards
    if isinstance(guard, type) or not isinstance(guard, Guard):
        raise ConfigError(
            f"{guard!r} is not a guard: pass an object with a name, a version and a check method", value=guard
        )
    return guard


def policy_version(guards: Sequence[Guard], on_error: str = "closed", *, rail: str = "") -> str:
    """Return a digest of the guards in force, for the cache's key; "" without guards.

    Args:
        guards: The guards.
        on_error: What happens when a guard fails.
        rail: The rail that they are on. The same guards on another rail leave other answers.
    """
    if not guards:
        return ""
    named = [rail, on_error, *([guard.name, guard.version] for guard in guards)]
    return hashlib.blake2b(json.dumps(named).encode(), digest_size=16).hexdigest()
