"""The price of a call."""

from __future__ import annotations

from llmops_sdk.config import PriceSettings
from llmops_sdk.providers._types import Usage

__all__ = ["cost_of"]


def cost_of(usage: Usage, price: PriceSettings) -> float:
    """Return the cost of a call in USD.

    Args:
        usage: Tokens of the call. The input tokens include those that the provider read from its cache.
        price: USD per million tokens.

    Example:
        >>> from llmops_sdk.config import PriceSettings
        >>> from llmops_sdk.providers import Usage, cost_of
        >>> cost_of(Usage(input_tokens=1_000_000, output_tokens=500_000), PriceSettings(input=2, output=8))
        6.0
    """
    cached = min(usage.cache_read_tokens, usage.input_tokens)
    cached_price = price.input if price.cache_read is None else price.cache_read
    total = (usage.input_tokens - cached) * price.input + cached * cached_price + usage.output_tokens * price.output
    return total / 1_000_000
