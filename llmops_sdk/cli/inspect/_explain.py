"""`llmops doctor --explain MODEL`: every setting of calls to a model, and the key that sets it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeAlias

from llmops_sdk.cli.output._formats import Format, write_rows

if TYPE_CHECKING:
    from pydantic import BaseModel

    from llmops_sdk.config import ResolvedModel, Settings

__all__ = ["explain_model"]

Row: TypeAlias = tuple[str, str, str, str]
"""What, value, key, source."""

_POLICIES = ("retry", "timeout", "fallback", "limits", "breaker", "hedge", "cache", "guardrails")


def explain_model(name: str, *, form: Format) -> None:
    """Write the settings of a model to stdout; "" is the default model.

    Raises:
        ConfigError: `name` is not a model.
    """
    from llmops_sdk.config import resolve_model
    from llmops_sdk.config.loading._load import load_for_project

    settings = load_for_project()
    rows = list(_Explanation(settings, resolve_model(settings, name or None)).rows())
    write_rows(form, ("what", "value", "set by", "source"), rows, sys.stdout)


class _Explanation:
    def __init__(self, settings: Settings, resolved: ResolvedModel) -> None:
        self._settings = settings
        self._resolved = resolved

    def rows(self) -> Iterator[Row]:
        resolved = self._resolved
        if not self._resolved.names:
            is_default = resolved.name == self._settings.model
            yield self._row("model", resolved.name, "model") if is_default else ("model", resolved.name, "the call", "")
        for name in self._resolved.names:
            if self._settings.models[name].model:
                yield self._row("model", self._settings.models[name].model, "models", name, "model")
        yield from self._deployments()
        yield "provider", resolved.provider, "the model's name", ""
        yield self._server()
        yield self._key()
        yield from self._fallbacks()
        for policy in _POLICIES:
            section: BaseModel = getattr(resolved, policy)
            for field in type(section).model_fields:
                yield self._row(f"{policy}.{field}", getattr(section, field), *self._deciding_key(policy, field))
        yield from self._options()
        yield self._price()

    def _row(self, what: str, value: Any, *path: str) -> Row:
        from llmops_sdk.config import describe_value

        described = describe_value(self._settings, path, value)
        return what, described.text, described.key, described.source

    def _deciding_key(self, policy: str, field: str) -> tuple[str, ...]:
        """Return the key in the first named model that sets it, else in the general section."""
        for name in self._resolved.names:
            section = getattr(self._settings.models[name], policy)
            if section is not None and field in section.model_fields_set:
                return ("models", name, policy, field)
        return (policy, field)

    def _server(self) -> Row:
        from llmops_sdk.providers.litellm._endpoint import base_variables

        if self._resolved.base_url is not None:
            for name in self._resolved.names:
                if self._settings.models[name].base_url is not None:
                    return self._row("base_url", self._resolved.base_url, "models", name, "base_url")
            return "base_url", self._row("", self._resolved.base_url, "base_url")[1], "the model's URL", ""
        for variable in base_variables(self._resolved):
            if address := os.environ.get(variable):
                return "base_url", self._row("", address, "base_url")[1], variable, f"environment: {variable}"
        return "base_url", "the provider's own", "", ""

    def _key(self) -> Row:
        from llmops_sdk.providers.litellm._endpoint import COMPATIBLE, key_variables

        if self._resolved.provider in {"offline", "cassette"}:
            return "key", "not needed", "", ""
        names = key_variables(self._resolved)
        variable = next((name for name in names if os.environ.get(name)), None)
        if variable is not None:
            return "key", "set", variable, f"environment: {variable}"
        unset = "not set; many servers need no key" if self._resolved.provider == COMPATIBLE else "NOT SET"
        return "key", unset if names else "found by litellm", " or ".join(names), ""

    def _deployments(self) -> Iterator[Row]:
        if not self._resolved.deployments:
            yield "deployment", self._resolved.deployment, "the model's name", ""
            return
        models = self._settings.models
        owner = next(name for name in self._resolved.names if models[name].deployments)
        weights = self._resolved.weights or (1.0,) * len(self._resolved.deployments)
        for name, weight in zip(self._resolved.deployments, weights, strict=True):
            yield self._row("deployment", f"{name} (weight {weight:g})", "models", owner, "deployments")
        setters = [name for name in self._resolved.names if models[name].balance is not None]
        yield self._row("balance", self._resolved.balance, "models", next(iter(setters), owner), "balance")

    def _fallbacks(self) -> Iterator[Row]:
        models = self._settings.models
        setters = [("models", name) for name in self._resolved.names if "fallbacks" in models[name].model_fields_set]
        path = (*next(iter(setters), ()), "fallbacks")
        if not self._resolved.fallbacks:
            yield self._row("fallbacks", "none", *path)
        for number, name in enumerate(self._resolved.fallbacks, 1):
            yield self._row(f"fallback {number}", name, *path)

    def _options(self) -> Iterator[Row]:
        for option, value in self._resolved.options.items():
            setters = [
                ("models", name) for name in self._resolved.names if option in self._settings.models[name].options
            ]
            yield self._row(f"options.{option}", value, *next(iter(setters), ()), "options", option)

    def _price(self) -> Row:
        price, prices = self._resolved.price, self._settings.prices
        if price is None:
            if self._resolved.provider in {"offline", "cassette"}:
                return "price", "none", "", ""
            # The table has no date; the release that contains it shows its age.
            return "price", f"the table of litellm {version('litellm')}, if it has the model", "", ""
        name = next(name for name, each in prices.items() if each is price)
        text = f"{price.input:g} in, {price.output:g} out, USD per million tokens"
        _, _, key, source = self._row("", "", "prices", name, "input")
        return "price", text, key.removesuffix(".input"), source
