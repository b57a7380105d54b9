"""Predict several numbers of a prompt from its features: a weighted mean of four simple models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmops_sdk.embeddings._vectors import numpy
from llmops_sdk.routing.features._read import Features
from llmops_sdk.routing.features._terms import Terms
from llmops_sdk.routing.learning._ridge import SparseRows, fit_dense, fit_sparse

if TYPE_CHECKING:
    import numpy as np  # noqa: TID251 - for types only
    from numpy.typing import NDArray  # noqa: TID251 - for types only

__all__ = ["LARGEST_FORM", "LARGEST_LENGTH", "NEIGHBOURS", "WEIGHTS", "Predictor"]

NEIGHBOURS = 100
WEIGHTS = {"form": 0.25, "vector": 0.25, "term": 0.375, "neighbours": 0.125}
"""The weight of each model. The nearest prompts say least: nothing of a new kind, and of a seen one hardly more than
the vector does."""
LARGEST_FORM = 4.0
"""Numbers of the form count up to so many standard deviations."""
LARGEST_LENGTH = 3.0
"""The same for the length, in the prior below."""
_FORM_PENALTY = 100.0
_VECTOR_PENALTY = 20.0
_TERM_PENALTY = 20.0
_LENGTH_PRIOR = 0.1
"""The share of the mean by which a difference grows for a prompt whose log length is one standard deviation above the
mean: where nothing is known of a kind, longer prompts need the stronger model more often."""


@dataclass(slots=True)
class Predictor:
    """Four models of the same outputs: ridge on the form, on the vector and on the terms, and the nearest prompts.

    Attributes:
        outputs: Of the scored prompts, their outputs (prompts x outputs); rows that must not count have weight 0.
        row_weights: The weight of each prompt.
        terms: The words that count.
        form_scale: Mean and standard deviation of each number of the form (2 x numbers).
        form: Coefficients and, in the last row, intercepts.
        vector: Likewise.
        term: Likewise.
        mean: The mean of each output.
        slope: How much each output changes for a prompt whose log length is one standard deviation above the mean.
    """

    outputs: NDArray[np.float64]
    row_weights: NDArray[np.float64]
    terms: Terms
    form_scale: NDArray[np.float64]
    form: NDArray[np.float64]
    vector: NDArray[np.float64]
    term: NDArray[np.float64]
    mean: NDArray[np.float64]
    slope: NDArray[np.float64]

    @classmethod
    def fit(
        cls,
        features: Features,
        outputs: NDArray[np.float64],
        weights: NDArray[np.float64],
        baseline: NDArray[np.float64],
    ) -> Predictor:
        """Fit the four models.

        Args:
            features: Of the prompts.
            outputs: Prompts x outputs.
            weights: The weight of each prompt; 0 keeps it among the neighbours, without its outputs.
            baseline: The mean of each output for a model like the strongest one.
        """
        np = numpy()
        counted = np.flatnonzero(weights > 0)
        part, targets, share = features.take(counted), outputs[counted], weights[counted]
        scale = np.stack([part.forms.mean(axis=0), part.forms.std(axis=0) + 1e-6])
        terms = Terms.fit(part.buckets, len(part))
        form = fit_dense(_scaled(part.forms, scale), targets, _FORM_PENALTY, share)
        vector = fit_dense(part.vectors.astype("float64"), targets, _VECTOR_PENALTY, share)
        term = fit_sparse(_sparse(terms, part), targets, _TERM_PENALTY, share)
        mean = share @ targets / share.sum()
        return cls(
            outputs=outputs,
            row_weights=weights,
            terms=terms,
            form_scale=scale,
            form=np.vstack(form),
            vector=np.vstack(vector),
            term=np.vstack(term),
            mean=mean,
            slope=_LENGTH_PRIOR * (mean - baseline),
        )

    def predict(self, features: Features, near: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the predictions (prompts x outputs).

        Args:
            features: Of the prompts.
            near: The nearest scored prompts of each.
        """
        np = numpy()
        scaled = _scaled(features.forms, self.form_scale)
        weights = self.row_weights[near]
        total = weights.sum(axis=1, keepdims=True)
        from_neighbours = np.where(
            total > 0,
            np.einsum("ij,ijk->ik", weights, self.outputs[near]) / np.maximum(total, 1e-9),
            self.mean,
        )
        found = WEIGHTS["form"] * (scaled @ self.form[:-1] + self.form[-1])
        found += WEIGHTS["vector"] * (features.vectors @ self.vector[:-1] + self.vector[-1])
        for row, buckets in enumerate(features.buckets):
            columns, values = self.terms.row(buckets)
            found[row] += WEIGHTS["term"] * (values @ self.term[columns] + self.term[-1])
        found += WEIGHTS["neighbours"] * from_neighbours
        found += self.slope * np.clip(scaled[:, :1], -LARGEST_LENGTH, LARGEST_LENGTH)
        return found


def _scaled(forms: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    return numpy().clip((forms - scale[0]) / scale[1], -LARGEST_FORM, LARGEST_FORM)


def _sparse(terms: Terms, features: Features) -> SparseRows:
    np = numpy()
    read = [terms.row(buckets) for buckets in features.buckets]
    return SparseRows(
        np.repeat(np.arange(len(read)), [len(columns) for columns, _ in read]),
        np.concatenate([columns for columns, _ in read]),
        np.concatenate([values for _, values in read]),
        (len(read), len(terms.weights)),
    )
