"""Find the price of a model: as `[prices]` says, else in the table that litellm brings along."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Iterable, Mapping

from llmops_sdk.config import current
from llmops_sdk.config.loading._prices import configured_price
from llmops_sdk.pricing._builtin import builtin_price, builtin_vendor
from llmops_sdk.pricing._cost import ModelPrice

__all__ = ["find_price"]

# Names of the GenAI conventions, and litellm's for the same vendor.
_VENDORS: Mapping[str, tuple[str, ...]] = {
    "aws.bedrock": ("bedrock", "bedrock_converse"),
    "azure.ai.inference": ("azure_ai",),
    "azure.ai.openai": ("azure",),
    "gcp.gemini": ("gemini",),
    "gcp.gen_ai": ("gemini", "vertex_ai"),
    "gcp.vertex_ai": ("vertex_ai",),
    "ibm.watsonx.ai": ("watsonx",),
    "mistral_ai": ("mistral",),
    "moonshot_ai": ("moonshot",),
    "x_ai": ("xai",),
}
_LONGEST_NAME = 256  # characters
_MOST_NAMES = 1_024


def find_price(
    provider: str | None, models: Iterable[str], server: str | None = None, *, builtin: bool = True
) -> ModelPrice | None:
    """Return the price of a call that another library made, or None if it is not known.

    Args:
        provider: The provider's name in the GenAI conventions, e.g. "gcp.gemini".
        models: Names of the model, the one that served first.
        server: The server's host. The built-in table does not apply to a server on this machine or in a private
            network, which may give its model any name.
        builtin: Whether to look into the table if `[prices]` does not have the model.
    """
    vendors = _VENDORS.get(provider or "", (provider,) if provider else ())
    names = [model for model in models if 0 < len(model) <= _LONGEST_NAME]
    prices = current().prices
    if prices:
        qualified = [f"{vendor}/{name}" for name in names for vendor in vendors]
        if (price := configured_price(prices, [*qualified, *names])) is not None:
            return ModelPrice(((-1, price),))
    if not builtin or (server is not None and _is_private(server)):
        return None
    return next((found for name in names if (found := _from_table(vendors, name)) is not None), None)


@functools.lru_cache(_MOST_NAMES)
def _from_table(vendors: tuple[str, ...], name: str) -> ModelPrice | None:
    for vendor in vendors:
        if (price := builtin_price(f"{vendor}/{name}")) is not None:
            return price
    # The table has most models of the large vendors by their bare names.
    if vendors and not builtin_vendor(name).startswith(vendors):
        return None
    return builtin_price(name)


def _is_private(server: str) -> bool:
    host = server.strip("[]").lower()
    if host == "localhost" or host.endswith((".localhost", ".local", ".internal")):
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host  # the name of a machine or container
