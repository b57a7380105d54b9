"""Look into `[prices]`: the price of a model, and entries that no configured model uses."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping

from llmops_sdk.config.loading._keys import dotted
from llmops_sdk.config.loading._settings import Settings
from llmops_sdk.config.sections._models import PriceSettings

__all__ = ["configured_price", "unused_prices", "warn_of_misspelt_prices"]

_log = logging.getLogger("llmops_sdk.config")


def configured_price(prices: Mapping[str, PriceSettings], names: Iterable[str]) -> PriceSettings | None:
    """Return the price that `[prices]` gives the first of the names that it has, or None.

    Args:
        prices: The section.
        names: Names of one model, the most specific one first: "provider/model" also stands for "model".
    """
    for name in names:
        for key in (name, name.partition("/")[2]):
            if key and (price := prices.get(key)) is not None:
                return price
    return None


def unused_prices(settings: Settings) -> Iterator[tuple[str, str | None]]:
    """Yield the key of each price that no configured model uses, and the model that it probably means, or None.

    An unused entry is no mistake by itself: a call may name the model, and other libraries may call it.
    """
    names = [settings.model, *settings.fallbacks, *settings.models]
    names += [
        name for entry in settings.models.values() for name in (entry.model, *entry.fallbacks, *entry.deployments)
    ]
    known = [one for name in names for one in (name, name.partition("/")[2], name.rpartition("#")[2]) if one]
    by_letters = {_letters(name): name for name in known}
    for name in settings.prices:
        if name not in known:
            yield (
                dotted(("prices", name)),
                by_letters.get(_letters(name)) or by_letters.get(_letters(name.partition("/")[2])),
            )


def warn_of_misspelt_prices(settings: Settings) -> None:
    """Log a warning for each price whose name differs from a configured model's by punctuation, case or provider."""
    for key, meant in unused_prices(settings) if settings.prices else ():
        if meant is not None:
            where = settings.source(key)
            _log.warning('llmops: %s is the price of no configured model: did you mean "%s"? (%s)', key, meant, where)


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name)).lower()
