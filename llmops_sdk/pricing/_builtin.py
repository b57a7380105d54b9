"""Read the table of models that litellm brings along, without importing litellm: prices, and what models can take."""

from __future__ import annotations

import functools
import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import orjson
from pydantic import ValidationError

from llmops_sdk.config import PriceSettings
from llmops_sdk.pricing._cost import ModelPrice

__all__ = ["Abilities", "builtin_abilities", "builtin_price", "builtin_vendor"]

_FILE = "model_prices_and_context_window_backup.json"
_TIER = re.compile(r"input_cost_per_token_above_(\d+)k_tokens")
_KEYS = {
    "input": "input_cost_per_token",
    "output": "output_cost_per_token",
    "cache_read": "cache_read_input_token_cost",
    "cache_write": "cache_creation_input_token_cost",
}
_ABILITIES = {"tools": "supports_function_calling", "images": "supports_vision", "schema": "supports_response_schema"}
_WINDOW = ("max_input_tokens", "max_tokens")
_ENTRY = re.compile(
    f"litellm_provider|{'|'.join([*_ABILITIES.values(), *_WINDOW])}"
    f"|(?:{'|'.join(_KEYS.values())})(?:_above_\\d+k_tokens)?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What a model can take; None where nobody knows.

    Attributes:
        context_window: The most tokens of a prompt and its answer.
        tools: Whether it calls tools.
        images: Whether it sees images.
        schema: Whether its answers follow a JSON schema.
    """

    context_window: int | None = None
    tools: bool | None = None
    images: bool | None = None
    schema: bool | None = None


def builtin_abilities(name: str) -> Abilities:
    """Return what the table says about a model.

    The table names what models can do, seldom what they cannot: one that it knows for something else sees no images.

    Args:
        name: Provider and model, e.g. "openai/gpt-4.1-mini", or a name of the table.
    """
    table = _table()
    provider, _, bare = name.partition("/")
    entry = table.get(name) or (table.get(bare) if bare and builtin_vendor(bare).startswith(provider) else None) or {}
    window = next((entry[key] for key in _WINDOW if isinstance(entry.get(key), int)), None)
    said = {field: entry[key] for field, key in _ABILITIES.items() if isinstance(entry.get(key), bool)}
    if said:
        said.setdefault("images", False)
    return Abilities(context_window=window, **said)


def builtin_price(name: str) -> ModelPrice | None:
    """Return the price of a model of the table, or None.

    Args:
        name: A name of the table, e.g. "gpt-4.1-mini" or "gemini/gemini-2.5-pro".
    """
    entry = _table().get(name)
    if entry is None:
        return None
    try:
        tiers = [(-1, _price(entry, ""))]
        for key in entry:
            if match := _TIER.fullmatch(key):
                thousands = match[1]
                tiers.append((int(thousands) * 1000, _price(entry, f"_above_{thousands}k_tokens")))
    except (TypeError, KeyError, ValidationError):
        return None  # it is priced by seconds, images or not at all
    return ModelPrice(tuple(sorted(tiers, key=lambda tier: tier[0])))


def builtin_vendor(name: str) -> str:
    """Return the vendor of a model of the table in litellm's words, or an empty text."""
    vendor = _table().get(name, {}).get("litellm_provider")
    return vendor if isinstance(vendor, str) else ""


def _price(entry: Mapping[str, Any], suffix: str) -> PriceSettings:
    """Return one tier's price; a key that the tier lacks has the price of the first."""
    values = {field: entry.get(key + suffix, entry.get(key)) for field, key in _KEYS.items()}
    millions = {field: value * 1_000_000 for field, value in values.items() if value is not None}
    return PriceSettings(**millions)


@functools.cache
def _table() -> Mapping[str, dict[str, Any]]:
    """Return the table's entries with a price per token, by name; empty without litellm."""
    found = importlib.util.find_spec("litellm")
    if found is None or found.origin is None:
        return {}
    try:
        content: Any = orjson.loads((Path(found.origin).parent / _FILE).read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    entries = cast("dict[str, Any]", content if isinstance(content, dict) else {})
    models = {name: cast("dict[str, Any]", entry) for name, entry in entries.items() if isinstance(entry, dict)}
    return {
        name: {key: value for key, value in entry.items() if _ENTRY.fullmatch(key)}
        for name, entry in models.items()
        if _KEYS["input"] in entry and name != "sample_spec"
    }
