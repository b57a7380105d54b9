"""Evaluate: run a task over a data set, score what it returns, and say whether a change made it better.

Importing this package imports neither numpy nor the client: each name loads its own module.
"""

from typing import TYPE_CHECKING

from llmops_sdk._lazy import lazy_names

if TYPE_CHECKING:
    from llmops_sdk.evals._experiment import Experiment
    from llmops_sdk.evals._types import Case, ItemResult, Score, Scorer, ScoreResult

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "_experiment": "Experiment",
        "_types": "Case ItemResult Score ScoreResult Scorer",
    },
)

__all__ = ["Case", "Experiment", "ItemResult", "Score", "ScoreResult", "Scorer"]
