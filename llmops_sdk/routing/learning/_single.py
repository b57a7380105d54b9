"""Predict for one prompt, fast: the numbers of `QualityModel.predict`, from weights that are folded together once."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from llmops_sdk.embeddings._vectors import numpy
from llmops_sdk.routing.features._read import Features
from llmops_sdk.routing.features._terms import BUCKETS
from llmops_sdk.routing.learning._neighbours import Neighbours
from llmops_sdk.routing.learning._predictor import LARGEST_FORM, LARGEST_LENGTH, NEIGHBOURS, WEIGHTS
from llmops_sdk.routing.learning._quality import NEAREST_DOUBTS, Part, QualityModel

if TYPE_CHECKING:
    import numpy as np  # noqa: TID251 - for types only
    from numpy.typing import NDArray  # noqa: TID251 - for types only

__all__ = ["SinglePrediction", "SinglePredictor"]

_SAMPLE_STEP = 8
_ENOUGH_ROWS = 4_000
_MARGIN = 2.0
_BLOCK = 256


class SinglePrediction:
    """The prediction for one prompt.

    Args:
        quality: The score of each model; None for one of which too little is known.
        familiarity: The cosine to the most similar scored prompt.
        doubt: The share of the nearest prompts whose scores are not believed.
    """

    __slots__ = ("doubt", "familiarity", "quality")

    def __init__(self, quality: list[float | None], familiarity: float, doubt: float) -> None:
        self.quality, self.familiarity, self.doubt = quality, familiarity, doubt


class SinglePredictor:
    """Predicts for one prompt.

    Args:
        model: The fitted predictors.
        believed: Which scored prompts count.
    """

    def __init__(self, model: QualityModel, believed: NDArray[np.bool_]) -> None:
        np = numpy()
        self._model = model
        self._parts = [_FoldedPart(part) for part in model.parts]
        self._neighbours = _Nearest(model.neighbours)
        self._believed = None if bool(believed.all()) else believed
        # The linear models of all parts in one matrix, in the order of the parts.
        self._vector: Any = np.concatenate([part.vector for part in self._parts], axis=1)
        self._offsets: Any = np.concatenate([part.offsets for part in self._parts])
        # Each part scales the form by its own prompts: one row of scales and of weights an output.
        scales = [(part.predictor.form_scale, len(part.models)) for part in model.parts]
        self._form_mean: Any = np.concatenate([np.tile(scale[0], (count, 1)) for scale, count in scales])
        self._form_factor: Any = np.concatenate([np.tile(1 / scale[1], (count, 1)) for scale, count in scales])
        self._form: Any = np.concatenate([part.form for part in self._parts], axis=1).T

    def predict(self, features: Features) -> SinglePrediction:
        """Return the prediction.

        Args:
            features: Of one prompt.
        """
        near, cosines, largest = self._neighbours.find(features.vectors[0])
        scaled = (features.forms - self._form_mean) * self._form_factor
        limited = scaled.clip(-LARGEST_FORM, LARGEST_FORM)
        linear = (features.vectors[0] @ self._vector + (limited * self._form).sum(axis=1) + self._offsets).tolist()
        lengths: list[float] = limited[:, 0].tolist()
        found: list[float | None] = [None] * self._model.models
        relative: set[int] = set()
        at = 0
        for part in self._parts:
            values = part.add(linear[at : at + part.count], features, near, lengths[at])
            at += part.count
            for model, value in zip(part.models, values, strict=True):
                found[model] = value
                if part.differences and model != self._model.strongest:
                    relative.add(model)
        doubt = self._doubt(near, cosines)
        strong = found[self._model.strongest]
        assert strong is not None  # the strongest model has a part
        for model, value in enumerate(found):
            if value is not None:
                found[model] = strong + (value if model in relative else value - strong) * (1 - doubt)
        return SinglePrediction(found, largest, doubt)

    def _doubt(self, near: NDArray[np.intp], cosines: NDArray[np.float32]) -> float:
        if self._believed is None:
            return 0.0
        order = numpy().argsort(-cosines)[:NEAREST_DOUBTS]
        return 1 - float(self._believed[near[order]].mean())


class _FoldedPart:
    """One part with its scales and offsets folded into few arrays."""

    def __init__(self, part: Part) -> None:
        np = numpy()
        predictor = part.predictor
        self.models, self.differences, self.count = part.models, part.differences, predictor.outputs.shape[1]
        self.form: Any = predictor.form[:-1] * WEIGHTS["form"]
        self.vector: Any = predictor.vector[:-1] * WEIGHTS["vector"]
        self.offsets: Any = (
            predictor.form[-1] * WEIGHTS["form"]
            + predictor.vector[-1] * WEIGHTS["vector"]
            + predictor.term[-1] * WEIGHTS["term"]
        )
        # An array is faster than the dictionary for all the buckets of a prompt at once.
        self._columns: Any = np.full(BUCKETS, -1, dtype=np.int32)
        self._columns[list(predictor.terms.columns)] = list(predictor.terms.columns.values())
        self._term_weights: Any = predictor.terms.weights
        self._terms: Any = predictor.terms.weights[:, None] * predictor.term[:-1] * WEIGHTS["term"]
        weights = predictor.row_weights[:, None]
        self._outputs: Any = np.concatenate([predictor.outputs * weights, weights], axis=1)
        self._mean: list[float] = predictor.mean.tolist()
        self._slope: list[float] = predictor.slope.tolist()

    def add(self, linear: list[float], features: Features, near: NDArray[np.intp], length: float) -> list[float]:
        """Return the outputs.

        Args:
            linear: What the linear models of form and vector give.
            features: Of the prompt.
            near: Its nearest scored prompts.
            length: Its logarithmic length, in standard deviations from the mean.
        """
        np = numpy()
        *outputs, total = np.add.reduce(self._outputs.take(near, axis=0)).tolist()
        terms = self._of_terms(features.buckets[0], len(linear))
        longer = min(max(length, -LARGEST_LENGTH), LARGEST_LENGTH)
        share = WEIGHTS["neighbours"]
        return [
            value + term + share * (output / total if total > 0 else middle) + slope * longer
            for value, term, output, middle, slope in zip(linear, terms, outputs, self._mean, self._slope, strict=True)
        ]

    def _of_terms(self, buckets: Counter[int], count: int) -> list[float]:
        np = numpy()
        columns = self._columns[np.fromiter(buckets, dtype=np.intp, count=len(buckets))]
        known = columns >= 0
        places = columns[known]
        if not len(places):
            return [0.0] * count
        sizes = self._term_weights.take(places)
        if buckets.total() == len(buckets):  # no word comes twice, as in most short prompts
            found, norm = np.add.reduce(self._terms.take(places, axis=0)), math.sqrt(float(sizes @ sizes))
        else:
            times = np.fromiter(buckets.values(), dtype=np.float64, count=len(buckets))[known]
            times = 1 + np.log(times)
            sizes = sizes * times
            found, norm = times @ self._terms.take(places, axis=0), math.sqrt(float(sizes @ sizes))
        return (found / (norm or 1.0)).tolist()


class _Nearest:
    """Finds the nearest prompts of one vector."""

    def __init__(self, neighbours: Neighbours) -> None:
        np = numpy()
        # One product for each block of rows: of a large one BLAS makes a task for several threads, which wait for each
        # other for milliseconds whenever the machine is busy.
        rows, wide = neighbours.rows.shape
        padded = np.zeros((-(-rows // _BLOCK) * _BLOCK, wide), "float32")
        padded[:rows] = neighbours.rows
        self._blocks: Any = np.ascontiguousarray(padded.reshape(-1, _BLOCK, wide).transpose(0, 2, 1))
        self._rows = rows
        self._directions = neighbours.directions
        self._center: Any = neighbours.center @ neighbours.directions
        self._count = min(NEIGHBOURS, len(neighbours.rows))
        # The sample is expected to have this many of the nearest ones, with a margin.
        self._rank = int(self._count / _SAMPLE_STEP * _MARGIN) + 8

    def find(self, vector: NDArray[np.float32]) -> tuple[NDArray[np.intp], NDArray[np.float32], float]:
        """Return the numbers of the nearest prompts in no order, their cosines, and the largest cosine.

        Args:
            vector: Of the prompt.
        """
        np = numpy()
        asked = np.einsum("i,ij->j", vector, self._directions) - self._center
        length = np.float32(max(math.sqrt(float(asked @ asked)), 1e-9))
        cosines = np.matmul(asked / length, self._blocks).ravel()[: self._rows]
        among: Any = None
        if len(cosines) >= _ENOUGH_ROWS:
            # A bound from a sample leaves a few hundred rows, almost always the nearest ones with them.
            sample = cosines[::_SAMPLE_STEP]
            bound = np.partition(sample, len(sample) - self._rank)[len(sample) - self._rank]
            among = np.flatnonzero(cosines >= bound)
        if among is None or len(among) < self._count:
            chosen = np.argpartition(cosines, -self._count)[-self._count :]
        else:
            some = cosines[among]
            chosen = among[np.argpartition(some, -self._count)[-self._count :]]
        nearest = cosines[chosen]
        return chosen, nearest, float(nearest.max())
