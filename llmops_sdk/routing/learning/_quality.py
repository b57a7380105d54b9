"""Predict the score of every model on a prompt: the strongest model's, and how far each other one is from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmops_sdk.embeddings._vectors import numpy
from llmops_sdk.routing.features._read import Features
from llmops_sdk.routing.learning._neighbours import Neighbours
from llmops_sdk.routing.learning._predictor import NEIGHBOURS, Predictor
from llmops_sdk.routing.learning._scores import ScoreTable

if TYPE_CHECKING:
    import numpy as np  # noqa: TID251 - for types only
    from numpy.typing import NDArray  # noqa: TID251 - for types only

__all__ = ["NEAREST_DOUBTS", "Part", "Prediction", "QualityModel", "strongest_of"]

_LEAST_SCORES = 30
"""Fewer scores than this say nothing about single prompts."""
_LEAST_PROPENSITY = 0.02
NEAREST_DOUBTS = 30


@dataclass(frozen=True, slots=True)
class Part:
    """A predictor, and the models whose numbers it predicts, in order.

    Attributes:
        predictor: Predicts one number for each model.
        models: Numbers of the models.
        differences: Whether the numbers are differences to the strongest model.
    """

    predictor: Predictor
    models: tuple[int, ...]
    differences: bool


@dataclass(frozen=True, slots=True)
class Prediction:
    """Predictions for some prompts.

    Attributes:
        quality: Scores (prompts x models); NaN for a model of which too little is known.
        familiarity: The cosine of each prompt to the most similar scored prompt.
        doubt: The share of its nearest prompts whose scores are not believed.
        near: The numbers of the nearest scored prompts, in no order.
    """

    quality: NDArray[np.float64]
    familiarity: NDArray[np.float64]
    doubt: NDArray[np.float64]
    near: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class QualityModel:
    """Predictors of all models' scores.

    Attributes:
        neighbours: The scored prompts.
        parts: The predictors; together they have every model of which enough is known.
        strongest: The number of the strongest model.
        models: How many models there are.
    """

    neighbours: Neighbours
    parts: tuple[Part, ...]
    strongest: int
    models: int

    @classmethod
    def fit(
        cls, features: Features, table: ScoreTable, believed: NDArray[np.bool_], propensities: NDArray[np.float64]
    ) -> QualityModel:
        """Fit the predictors.

        Args:
            features: Of the prompts.
            table: Their scores.
            believed: Which prompts' scores count.
            propensities: The probability with which each score was observed (prompts x models).

        Raises:
            ValueError: Too few scores of the strongest model are known.
        """
        np = numpy()
        known = ~np.isnan(table.scores) & believed[:, None]
        if not known.any():
            raise ValueError(f"there are no scores: a router needs {_LEAST_SCORES} or more of the strongest model")
        strongest = strongest_of(table)
        if known[:, strongest].sum() < _LEAST_SCORES:
            raise ValueError(
                f"there are {int(known[:, strongest].sum())} scores of {table.models[strongest]}: a router needs "
                f"{_LEAST_SCORES} or more of the model that it compares with"
            )
        weights = 1 / np.clip(propensities, _LEAST_PROPENSITY, 1)
        neighbours = Neighbours.fit(features.vectors)
        complete = known.all(axis=1)
        if complete.sum() >= _LEAST_SCORES and complete.sum() == known.any(axis=1).sum():
            outputs = np.where(complete[:, None], table.scores, 0)
            is_strongest = np.arange(known.shape[1]) == strongest
            outputs = outputs - outputs[:, [strongest]] * ~is_strongest
            baseline = np.where(is_strongest, table.scores[complete, strongest].mean(), 0)
            part = Predictor.fit(features, outputs, complete.astype("float64"), baseline)
            parts = (Part(part, tuple(range(known.shape[1])), differences=True),)
            return cls(neighbours, parts, strongest, known.shape[1])
        listed: list[Part] = []
        means = table.means
        for model in range(known.shape[1]):
            both = known[:, model] & known[:, strongest]
            paired = model != strongest and int(both.sum()) >= _LEAST_SCORES
            rows = both if paired else known[:, model]
            if rows.sum() < _LEAST_SCORES:
                continue
            target = table.scores[:, model] - (table.scores[:, strongest] if paired else 0)
            share = np.where(rows, weights[:, model], 0.0)
            baseline = np.array([0.0 if paired else means[strongest]])
            part = Predictor.fit(features, np.where(rows, target, 0)[:, None], share, baseline)
            listed.append(Part(part, (model,), differences=paired))
        return cls(neighbours, tuple(listed), strongest, known.shape[1])

    def predict(self, features: Features, believed: NDArray[np.bool_]) -> Prediction:
        """Return the predictions for prompts.

        Args:
            features: Of the prompts.
            believed: Which scored prompts count, by their numbers.
        """
        np = numpy()
        quality = np.full((len(features), self.models), np.nan)
        relative = np.zeros(self.models, dtype=bool)
        near, cosines = self.neighbours.nearest(features.vectors, NEIGHBOURS)
        for part in self.parts:
            found = part.predictor.predict(features, near)
            for column, model in enumerate(part.models):
                quality[:, model] = found[:, column]
                relative[model] = part.differences and model != self.strongest
        strong = quality[:, [self.strongest]]
        differences = np.where(relative, quality, quality - strong)
        order = np.argsort(-cosines, axis=1)[:, :NEAREST_DOUBTS]
        doubt = 1 - believed[np.take_along_axis(near, order, axis=1)].mean(axis=1)
        # Where scores are not believed, nothing is known of a difference.
        quality = strong + differences * (1 - doubt)[:, None]
        return Prediction(quality, cosines.max(axis=1), doubt, near)


def strongest_of(table: ScoreTable) -> int:
    """Return the number of the model with the highest mean score.

    Args:
        table: The scores.
    """
    np = numpy()
    means = table.means
    return int(np.nanargmax(means))
