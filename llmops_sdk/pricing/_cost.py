"""Compute the cost of a call from its tokens."""

from __future__ import annotations

from dataclasses import dataclass

from llmops_sdk.config import PriceSettings

__all__ = ["ModelPrice", "Tokens", "token_cost"]


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a call.

    Attributes:
        input: Tokens of the prompt.
        output: Tokens of the answer, reasoning included.
        cache_read: Of the input, those that the provider read from its cache.
        cache_write: Of the input, those that the provider wrote to its cache.
    """

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """The price of a model, which may be higher for long prompts.

    Attributes:
        tiers: Pairs of a number of input tokens and the price of calls with more tokens than that, in ascending order.
            The first number is -1.
    """

    tiers: tuple[tuple[int, PriceSettings], ...]

    def cost(self, tokens: Tokens) -> float:
        """Return the cost of a call in USD."""
        price = next(price for over, price in reversed(self.tiers) if tokens.input > over)
        return token_cost(tokens, price)


def token_cost(tokens: Tokens, price: PriceSettings) -> float:
    """Return the cost of a call in USD.

    Args:
        tokens: The tokens. Where the tokens of the provider's cache exceed the input, they count as if they came on top
            of it: some libraries report the input without them.
        price: USD per million tokens.

    Example:
        >>> from llmops_sdk.config import PriceSettings
        >>> price = PriceSettings(input=3, output=15, cache_read=0.3, cache_write=3.75)
        >>> token_cost(Tokens(input=1_000_000, cache_read=500_000, cache_write=100_000), price)
        1.725
    """
    cached = tokens.cache_read + tokens.cache_write
    plain = tokens.input - cached if cached <= tokens.input else tokens.input
    read = price.input if price.cache_read is None else price.cache_read
    write = price.input if price.cache_write is None else price.cache_write
    total = plain * price.input + tokens.cache_read * read + tokens.cache_write * write + tokens.output * price.output
    return total / 1_000_000
