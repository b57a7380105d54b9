"""The price of a call."""

from __future__ import annotations

from llmops_sdk.config import PriceSettings
from llmops_sdk.pricing._cost import Tokens, token_cost
from llmops_sdk.providers._types import Usage

__all__ = ["cost_of"]


def cost_of(usage: Usage, price: PriceSettings) -> float:
    """Return the cost of a call in USD.

    Args:
        usage: Tokens of the call. The input tokens include those that the provider read from its cache or wrote to it.
        price: USD per million tokens.

    Example:
        >>> from llmops_sdk.config import PriceSettings
        >>> from llmops_sdk.providers import Usage, cost_of
        >>> cost_of(Usage(input_tokens=1_000_000, output_tokens=500_000), PriceSettings(input=2, output=8))
        6.0
    """
    tokens = Tokens(
        input=usage.input_tokens,
        output=usage.output_tokens,
        cache_read=usage.cache_read_tokens,
        cache_write=usage.cache_creation_tokens,
    )
    return token_cost(tokens, price)
