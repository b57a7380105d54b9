"""The settings of drift checks and canaries. Nothing runs by itself: `llmops drift` and `llmops watch` use them."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field, NonNegativeFloat, PositiveInt, model_validator

from llmops_sdk._util._public import public
from llmops_sdk.config.sections._base import Names, OptionalText, OrNone, SettingsSection
from llmops_sdk.config.sections._named_table import NamedTable, distinct_names
from llmops_sdk.config.sections._value_types import Duration

__all__ = ["CanarySettings", "CanaryTables", "DriftSettings"]


@public("llmops_sdk.config")
class DriftSettings(SettingsSection):
    """Checks of the stored traces for drift: what is compared, and the chance of a false alarm."""

    window: Annotated[Duration, Field(gt=0)] = 7 * 86_400.0
    """The traffic to check: what ended within this time before now."""
    reference: Annotated[Duration, Field(gt=0)] = 28 * 86_400.0
    """The traffic to compare it with: this much time before the window."""
    period: Annotated[Annotated[Duration, Field(gt=0)] | None, OrNone] = None
    """How long it takes until traffic repeats, e.g. "7d" for weekdays and weekends: windows are compared hour by hour
    of it. Default: no such season."""
    by: Names = ("prompt_name", "model")
    """The columns of `llm_calls` whose values are slices: each is checked by itself beside all of the traffic."""
    where: OptionalText = None
    """A condition in SQL over the columns of `llm_calls`. Default: every call that is not simulated."""
    max_slices: Annotated[int, Field(ge=0, le=1_000)] = 20
    """The most slices, those with most calls first."""
    embedder: str = "static"
    """What turns texts into vectors: "static", "litellm:MODEL" or "sentence-transformers:PATH"."""
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """The share of false alarms among all alarms of a check (the false discovery rate)."""
    min_n: Annotated[int, Field(ge=10, le=1_000_000)] = 50
    """Fewer independent values than this in a window are "not enough data"."""
    max_texts: Annotated[int, Field(ge=100, le=1_000_000)] = 5_000
    """The most texts of a window that are turned into vectors, taken at random, the same ones each time."""
    every: Annotated[Annotated[Duration, Field(ge=60)] | None, OrNone] = None
    """How often `llmops watch` makes a check. Default: never."""
    notify: Names = ()
    """Who is told of drift: names of `[notify.*]`."""


@public("llmops_sdk.config")
class CanarySettings(NamedTable):
    """A canary: one table of `[[canaries]]`. It finds out that a model behind the same name has changed."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    """The canary's name."""
    kind: Literal["identity", "quality"] = "identity"
    """"identity" compares the distribution of one-token answers; "quality" compares scores on the items of a data
    set."""
    model: OptionalText = None
    """The model to ask: its name in `[models]`, or "provider/model". Default: the default model."""
    prompts: Names = ()
    """For identity: the prompts. Default: a set that comes with the package."""
    samples: Annotated[int, Field(ge=2, le=1_000)] = 10
    """For identity: how often each prompt is asked in a run."""
    dataset: OptionalText = None
    """For quality: the data set's name."""
    scorer: OptionalText = None
    """For quality: what scores, such as "exact_match", or "module:name" of the application."""
    items: Annotated[PositiveInt | None, OrNone] = None
    """For quality: the most items of a run, shuffled. Default: all."""
    every: Annotated[Annotated[Duration, Field(ge=60)] | None, OrNone] = 86_400.0
    """How often `llmops watch` runs it; "none" for only by hand."""
    budget_usd: Annotated[NonNegativeFloat | None, OrNone] = 1.0
    """USD that its calls may cost in a UTC day; "none" for no bound."""
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.01
    """The chance of a false alarm, over all looks together."""
    notify: Names = ()
    """Who is told: names of `[notify.*]`."""

    @model_validator(mode="after")
    def _check_kind(self) -> CanarySettings:
        if self.kind == "quality" and (self.dataset is None or self.scorer is None):
            raise ValueError('a table with dataset and scorer where kind is "quality"')
        if self.kind == "identity" and (self.dataset is not None or self.scorer is not None):
            raise ValueError('a table without dataset and scorer, or with kind = "quality"')
        return self


CanaryTables: TypeAlias = Annotated[tuple[CanarySettings, ...], Field(strict=False), AfterValidator(distinct_names)]
