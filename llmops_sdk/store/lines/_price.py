"""Compute the cost of a call whose span has tokens and no cost: another library's, or one that the user records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmops_sdk.pricing._cost import Tokens
from llmops_sdk.pricing._find import find_price

__all__ = ["PRICED_KINDS", "add_cost"]

PRICED_KINDS = frozenset({"llm", "embedding"})
"""The kinds of spans that are calls. An agent's span repeats the tokens of its calls."""


def add_cost(row: dict[str, Any], attributes: Mapping[str, Any]) -> None:
    """Add the cost to a call's row if its model has a known price.

    Our client's calls have `attempts`; it has looked for a price already, and knows more about the server.

    Args:
        row: The columns.
        attributes: The attributes that fill no column.
    """
    if "cost" in row or "attempts" in row or "cache" in row or row.get("simulated"):
        return
    models = [name for name in (row.get("model"), row.get("request_model")) if name]
    if not models or not ("input_tokens" in row or "output_tokens" in row):
        return
    server = attributes.get("server.address")
    price = find_price(row.get("provider"), models, server if isinstance(server, str) else None)
    if price is not None:
        counts = (row.get(f"{name}_tokens") or 0 for name in ("input", "output", "cache_read", "cache_write"))
        tokens = Tokens(*(max(count, 0) for count in counts))
        row["cost"] = price.cost(tokens)
