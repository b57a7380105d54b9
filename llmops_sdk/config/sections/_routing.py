"""The settings of routed models: which models a route chooses among, and by what."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, model_validator

from llmops_sdk._util._public import public
from llmops_sdk.config.sections._base import Names, OptionalPath, OptionalText, OrNone, SettingsSection

__all__ = ["RouteRule", "RouterSettings", "RoutingPolicy"]

RoutingPolicy: TypeAlias = Literal["rules", "cascade", "learned", "online"]


@public("llmops_sdk.config")
class RouteRule(SettingsSection):
    """A rule of a routed model: calls that meet all its conditions go to its model, or to one of its models."""

    model: OptionalText = None
    """The candidate to choose. The first rule with a model whose conditions are met decides."""
    only: Names = ()
    """Instead of `model`: the candidates that may take such calls, e.g. those in one region. Later rules and the policy
    choose among them; fallbacks to other models are left out."""
    tags: Names = ()
    """The call's tags (`llmops.context(tags=...)`) must have all of these."""
    prompt_names: Names = ()
    """The prompt's name must be one of these."""
    tools: Annotated[bool | None, OrNone] = None
    """Whether the call must have tools."""
    images: Annotated[bool | None, OrNone] = None
    """Whether the prompt must have images."""
    longer_than: Annotated[NonNegativeInt | None, OrNone] = None
    """The characters that all texts of the prompt must have more than."""

    @model_validator(mode="after")
    def _check_choice(self) -> RouteRule:
        if (self.model is None) == (not self.only):
            raise ValueError("a table with either the key model or the key only")
        return self


@public("llmops_sdk.config")
class RouterSettings(SettingsSection):
    """How a routed model chooses among the models of its `route`."""

    policy: RoutingPolicy = "learned"
    """"rules" applies the rules, else takes the default; "learned" asks the trained router; "online" takes the
    cheapest model whose latest scores are good enough, and tries others within `regret`; "cascade" asks the cheapest
    model first, and the next one if the answer does not pass `verify`."""
    quality: Annotated[float, Field(ge=0, le=1)] = 0.95
    """The share of the strongest model's mean score to keep."""
    max_cost: Annotated[PositiveFloat | None, OrNone] = None
    """Instead of `quality`: USD that a call may cost on average."""
    mode: Literal["serve", "shadow"] = "serve"
    """"shadow" records the decision, and makes the call with the default."""
    default: OptionalText = None
    """The candidate for calls of which too little is known. Default: the last one of the route."""
    pin: OptionalText = None
    """A kill switch: the model that gets all calls, whatever the policy says. Only rules with `only` stay in force."""
    path: OptionalPath = None
    """The file of the trained router. Default: `routers/NAME.npz` in the store's folder; `NAME.json` for "online"."""
    score: OptionalText = None
    """The name of the scores to learn from, for `llmops route train`."""
    explore: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """The share of calls whose model is drawn at random, to learn; 0 for none. Only calls of scored kinds explore."""
    regret: NonNegativeFloat = 5.0
    """The score that exploring may lose in a UTC day, in each process: 1 is one answer wrong that would be right. With
    "online": in about 1,000 calls, and 0 tries nothing."""
    rules: dict[str, RouteRule] = {}
    """Rules by name, in order."""
    verify: OptionalText = None
    """For a cascade: `module:name` of a function of the prompt's messages and the response that says whether the answer
    is good enough. Default: it ended by itself, is not empty and no refusal, and fits `response_model`."""

    @model_validator(mode="after")
    def _check_bounds(self) -> RouterSettings:
        if self.max_cost is not None and "quality" in self.model_fields_set:
            raise ValueError("a table with quality or max_cost, not both")
        if self.verify is not None and ":" not in self.verify:
            raise ValueError('a table whose verify is "module:name"')
        return self
