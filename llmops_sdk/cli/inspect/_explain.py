"""`llmops doctor --explain MODEL`: every value that holds for calls to a model, and what sets it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from llmops_sdk.cli.output._formats import Format, write_rows

if TYPE_CHECKING:
    from llmops_sdk.config import ResolvedModel, Settings
    from llmops_sdk.config.sections._base import Section

__all__ = ["explain"]

_POLICIES = ("retry", "timeout", "fallback", "cache", "guardrails")


def explain(name: str, *, form: Format) -> None:
    """Write what holds for a model to stdout.

    Args:
        name: As a call names it; "" is the default model.
        form: How.

    Raises:
        ConfigError: It is no model.
    """
    from llmops_sdk.config import load, resolve_model

    settings = load()
    rows = list(_Explained(settings, resolve_model(settings, name or None)).rows())
    write_rows(form, ("what", "value", "set by", "source"), rows, sys.stdout)


class _Explained:
    def __init__(self, settings: Settings, resolved: ResolvedModel) -> None:
        from llmops_sdk.config.loading._resolve_model import model_chain

        self._settings = settings
        self._resolved = resolved
        self._names = model_chain(settings, resolved.name)
        """What the name leads over; the first that sets a value has its way."""

    def rows(self) -> Iterator[tuple[str, str, str, str]]:
        """What, value, key, source."""
        resolved = self._resolved
        if not self._names:
            asked = resolved.name == self._settings.model
            yield self._row("model", resolved.name, ("model",)) if asked else ("model", resolved.name, "the call", "")
        for name in self._names:
            yield self._row("model", self._settings.models[name].model, ("models", name, "model"))
        yield "provider", resolved.provider, "the model's name", ""
        yield self._server()
        yield self._key()
        yield from self._fallbacks()
        for policy in _POLICIES:
            section: Section = getattr(resolved, policy)
            for field in type(section).model_fields:
                yield self._row(f"{policy}.{field}", getattr(section, field), self._setter(policy, field))
        yield from self._options()
        yield self._price()

    def _row(self, what: str, value: Any, path: tuple[str, ...]) -> tuple[str, str, str, str]:
        from llmops_sdk.config._secrets import shown
        from llmops_sdk.config.loading._keys import dotted

        key = dotted(path)
        return what, shown(path, value), key, self._settings.sources.get(key, "default")

    def _setter(self, policy: str, field: str) -> tuple[str, ...]:
        """The key that decides: of the first named model that sets it, else of the general section."""
        for name in self._names:
            section = getattr(self._settings.models[name], policy)
            if section is not None and field in section.model_fields_set:
                return ("models", name, policy, field)
        return (policy, field)

    def _own(self, field: str) -> tuple[str, ...] | None:
        return next(
            (("models", n, field) for n in self._names if getattr(self._settings.models[n], field) is not None), None
        )

    def _server(self) -> tuple[str, str, str, str]:
        from llmops_sdk.providers.litellm._endpoint import base_variables

        if self._resolved.base_url is not None:
            path = self._own("base_url")
            if path is None:
                return "base_url", self._row("", self._resolved.base_url, ("base_url",))[1], "the model's URL", ""
            return self._row("base_url", self._resolved.base_url, path)
        for variable in base_variables(self._resolved):
            if address := os.environ.get(variable):
                return "base_url", self._row("", address, ("base_url",))[1], variable, f"environment: {variable}"
        return "base_url", "the provider's own", "", ""

    def _key(self) -> tuple[str, str, str, str]:
        from llmops_sdk.providers.litellm._endpoint import COMPATIBLE, key_variables

        if self._resolved.provider in {"offline", "cassette"}:
            return "key", "none is needed", "", ""
        names = key_variables(self._resolved)
        held = next((name for name in names if os.environ.get(name)), None)
        if held is not None:
            return "key", "set", held, f"environment: {held}"
        unset = "not set; many servers need none" if self._resolved.provider == COMPATIBLE else "NOT SET"
        return "key", unset if names else "found by litellm", " or ".join(names), ""

    def _fallbacks(self) -> Iterator[tuple[str, str, str, str]]:
        settings = self._settings
        setters = {name: ("models", name, "fallbacks") for name in self._names}
        path = next(
            (setters[n] for n in self._names if "fallbacks" in settings.models[n].model_fields_set), ("fallbacks",)
        )
        if not self._resolved.fallbacks:
            yield self._row("fallbacks", "none", path)
        for number, name in enumerate(self._resolved.fallbacks, 1):
            yield self._row(f"fallback {number}", name, path)

    def _options(self) -> Iterator[tuple[str, str, str, str]]:
        for option, value in self._resolved.options.items():
            path = next(
                (("models", n, "options", option) for n in self._names if option in self._settings.models[n].options),
                ("options", option),
            )
            yield self._row(f"options.{option}", value, path)

    def _price(self) -> tuple[str, str, str, str]:
        price, prices = self._resolved.price, self._settings.prices
        if price is None:
            if self._resolved.provider in {"offline", "cassette"}:
                return "price", "none", "", ""
            # The table bears no date of its own: that of the release which it came with says how old it is.
            return "price", f"the table of litellm {version('litellm')}, if it has the model", "", ""
        name = next(name for name, each in prices.items() if each is price)
        told = f"{price.input:g} in, {price.output:g} out, USD per million tokens"
        _, _, key, source = self._row("", "", ("prices", name, "input"))
        return "price", told, key.removesuffix(".input"), source
