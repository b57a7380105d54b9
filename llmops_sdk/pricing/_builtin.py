"""Read the table of prices that litellm brings along, without importing litellm, which takes seconds."""

from __future__ import annotations

import functools
import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import orjson
from pydantic import ValidationError

from llmops_sdk.config import PriceSettings
from llmops_sdk.pricing._cost import ModelPrice

__all__ = ["builtin_price", "builtin_vendor"]

_FILE = "model_prices_and_context_window_backup.json"
_TIER = re.compile(r"input_cost_per_token_above_(\d+)k_tokens")
_KEYS = {
    "input": "input_cost_per_token",
    "output": "output_cost_per_token",
    "cache_read": "cache_read_input_token_cost",
    "cache_write": "cache_creation_input_token_cost",
}
_ENTRY = re.compile(f"litellm_provider|(?:{'|'.join(_KEYS.values())})(?:_above_\\d+k_tokens)?")


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
