"""The settings of evaluators, which score stored traces. There are none by default."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field, NonNegativeFloat, PositiveInt

from llmops_sdk._util._public import public
from llmops_sdk.config.sections._base import OptionalText, OrNone
from llmops_sdk.config.sections._named_table import NamedTable, distinct_names

__all__ = ["EvaluatorSettings", "EvaluatorTables"]


@public("llmops_sdk.config")
class EvaluatorSettings(NamedTable):
    """A scorer of stored traces: one table of `[[evaluators]]`, which `llmops eval online` runs."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    """The evaluator's name. Its scores have the source `evaluator:NAME`."""
    scorer: Annotated[str, Field(min_length=1, max_length=500)]
    """What scores: a named scorer such as "groundedness" or "judge", or "module:name" of the application."""
    sample: Annotated[float, Field(gt=0, le=1)] = 0.1
    """The share of the matching traces to score. Each trace is in the sample or not, whenever it is asked."""
    span: OptionalText = None
    """Score the spans of this name. Default: the root span of each trace."""
    where: OptionalText = None
    """A further condition in SQL over the columns of the view `spans`, e.g. "kind = 'agent'"."""
    budget_usd: Annotated[NonNegativeFloat | None, OrNone] = None
    """USD that its calls to models may cost in a UTC day. Default: no bound."""
    max_traces: PositiveInt = 1_000
    """The most spans that one run scores."""
    attempts: PositiveInt = 3
    """How often a span is tried whose score fails."""


EvaluatorTables: TypeAlias = Annotated[
    tuple[EvaluatorSettings, ...], Field(strict=False), AfterValidator(distinct_names)
]
