"""What a canary asks: its items, and the digest of everything of ours that its answers depend on."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import orjson

from llmops_sdk.config import CanarySettings, Settings, resolve_model
from llmops_sdk.drift.canaries._prompts import PROMPTS
from llmops_sdk.errors import ConfigError

__all__ = ["CanaryItem", "Plan", "Scorer", "make_plan", "named_scorer"]

Scorer: TypeAlias = Callable[[Any, Any], float]
_SHUFFLE_SEED = 0


@dataclass(frozen=True, slots=True)
class CanaryItem:
    """One prompt, and what it should be answered with."""

    id: str
    prompt: Any
    expected: Any = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run asks.

    Attributes:
        items: The prompts, in the order in which they are asked.
        repeats: How often each is asked.
        options: The options of each call.
        configuration: The configured model, "#", and a digest of its options, the items and the options of the calls.
    """

    items: tuple[CanaryItem, ...]
    repeats: int
    options: dict[str, Any]
    configuration: str


def make_plan(canary: CanarySettings, settings: Settings) -> Plan:
    """Return what a run of a canary asks.

    Args:
        canary: The canary.
        settings: The settings in force.

    Raises:
        ConfigError: The model is unknown.
        DatasetError: The data set is unknown.
    """
    version = ""
    if canary.kind == "identity":
        prompts = tuple(dict.fromkeys(canary.prompts or PROMPTS))
        items = tuple(CanaryItem(_digest(prompt), prompt) for prompt in prompts)
        repeats, options = canary.samples, {"temperature": 1.0, "max_tokens": 1, "cache": False}
    else:
        items, version = _items_of(canary, settings)
        repeats, options = 1, {"cache": False}
    model = resolve_model(settings, canary.model)
    # The values of options may be secrets: only the digest leaves this function.
    parts = [
        model.model, model.base_url, list(model.fallbacks),
        sorted((key, repr(one)) for key, one in model.options.items()),
        model.guardrails.model_dump(mode="json"), [one.id for one in items], version, canary.scorer,
        sorted((key, repr(one)) for key, one in options.items()),
    ]  # fmt: skip
    return Plan(items, repeats, {**options, "model": canary.model}, f"{model.model}#{_digest(parts)}")


def _items_of(canary: CanarySettings, settings: Settings) -> tuple[tuple[CanaryItem, ...], str]:
    from llmops_sdk.datasets import Dataset

    dataset = Dataset.load(str(canary.dataset), path=settings.store.path)
    items = [CanaryItem(one.id, one.input, one.expected) for one in dataset]
    # The same items in each run: a sample with a seed of its own, which does not depend on the order of the file.
    items.sort(key=lambda one: one.id)
    random.Random(_SHUFFLE_SEED).shuffle(items)  # noqa: S311 - a permutation
    return tuple(items[: canary.items]), dataset.version


def _digest(value: Any) -> str:
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS, default=repr)).hexdigest()[:16]


def _exact_match(output: Any, expected: Any) -> float:
    return float(str(output).strip() == str(expected).strip())


def _contains(output: Any, expected: Any) -> float:
    return float(str(expected).strip() in str(output))


_SCORERS: dict[str, Scorer] = {"exact_match": _exact_match, "contains": _contains}


def named_scorer(name: str) -> Scorer:
    """Return the scorer of a name: "exact_match", "contains", or "module:function" of the application.

    Args:
        name: The name.

    Raises:
        ConfigError: There is no such scorer.
        ImportError: The module cannot be imported.
    """
    if name in _SCORERS:
        return _SCORERS[name]
    module, colon, attribute = name.partition(":")
    if not (colon and all(part.isidentifier() for part in (*module.split("."), attribute))):
        raise ConfigError(
            f'scorer = "{name[:200]}" is unknown: give {", ".join(map(repr, _SCORERS))} or "module:function" that '
            "returns a number for an output and what is expected",
            key="scorer", value=name,
        )  # fmt: skip
    from importlib import import_module

    found = getattr(import_module(module), attribute, None)
    if not callable(found):
        raise ConfigError(f'scorer = "{name}": there is no function "{attribute}" in it', key="scorer", value=name)
    return cast("Scorer", found)
