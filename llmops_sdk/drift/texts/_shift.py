"""The shift of the whole distribution of texts: maximum mean discrepancy, and the shares of clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from llmops_sdk.drift.texts._permutation import numpy

if TYPE_CHECKING:
    import numpy as np  # noqa: TID251 - for types only
    from numpy.typing import NDArray  # noqa: TID251 - for types only

__all__ = ["Clusters", "cluster", "cluster_features", "kernel_features", "psi"]

_FREQUENCIES = 256
_BANDWIDTH_ROWS = 500
_STEPS = 12


def kernel_features(vectors: NDArray[np.float32], seed: int = 0) -> NDArray[np.float32]:
    """Return features whose inner products approximate a Gaussian kernel with half the median distance as its width.

    The squared distance of two windows' mean features is then the maximum mean discrepancy.

    Source: A. Rahimi and B. Recht, "Random features for large-scale kernel machines", NeurIPS 2007; A. Gretton and
    others, "A kernel two-sample test", JMLR 13 (2012).
    """
    np = numpy()
    generator = np.random.default_rng(seed)
    some = vectors[generator.permutation(len(vectors))[:_BANDWIDTH_ROWS]]
    squares = np.maximum(0.0, 2.0 - 2.0 * (some @ some.T))[np.triu_indices(len(some), 1)]
    width = max(0.5 * float(np.median(np.sqrt(squares))), 1e-3) if len(squares) else 1.0
    frequencies = generator.standard_normal((vectors.shape[1], _FREQUENCIES)).astype("float32") / np.float32(width)
    angles = vectors @ frequencies
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=1) / np.float32(_FREQUENCIES**0.5)


class Clusters(NamedTuple):
    """Texts in groups."""

    labels: NDArray[np.intp]
    """The cluster of each text."""
    centres: NDArray[np.float32]
    """One row of unit length for each cluster."""


def cluster(vectors: NDArray[np.float32], count: int, seed: int = 0) -> Clusters:
    """Return clusters by spherical k-means with k-means++ as its begin.

    Args:
        vectors: One row of unit length for each text, of both windows: the clusters must not know the windows.
        count: The most clusters.
        seed: The same seed gives the same clusters.
    """
    np = numpy()
    generator = np.random.default_rng(seed)
    centres = vectors[generator.integers(len(vectors))][None]
    distance = np.maximum(0.0, 1.0 - vectors @ centres[0])
    while len(centres) < min(count, len(vectors)) and (total := float(distance.sum())) > 1e-6:
        place = int(np.searchsorted(np.cumsum(distance), generator.random() * total))
        centres = np.concatenate([centres, vectors[min(place, len(vectors) - 1)][None]])
        distance = np.minimum(distance, np.maximum(0.0, 1.0 - vectors @ centres[-1]))
    labels = np.argmax(vectors @ centres.T, axis=1)
    for _ in range(_STEPS):
        sums = (labels[None] == np.arange(len(centres))[:, None]).astype("float32") @ vectors
        lengths = np.sqrt((sums * sums).sum(axis=1, keepdims=True))
        centres = np.where(lengths > 1e-6, sums / np.maximum(lengths, 1e-6), centres)
        new = np.argmax(vectors @ centres.T, axis=1)
        if (new == labels).all():
            break
        labels = new
    return Clusters(labels, centres)


def cluster_features(clusters: Clusters) -> NDArray[np.float64]:
    """Return one column for each cluster, scaled so that the squared distance of two means is a chi-square."""
    np = numpy()
    count = len(clusters.centres)
    shares = np.bincount(clusters.labels, minlength=count) / len(clusters.labels)
    used = np.flatnonzero(shares)
    return (clusters.labels[:, None] == used[None]) / np.sqrt(shares[used])


def psi(labels: NDArray[np.intp], is_current: NDArray[np.bool_], count: int) -> tuple[float, float]:
    """Return the population stability index of the clusters, and its mean where nothing changed.

    The second depends on the sizes of the windows: a fixed threshold such as 0.1 alarms always in small ones.
    """
    np = numpy()
    new = np.bincount(labels[is_current], minlength=count) + 0.5
    old = np.bincount(labels[~is_current], minlength=count) + 0.5
    new, old = new / new.sum(), old / old.sum()
    sizes = int(is_current.sum()), int((~is_current).sum())
    return float(((new - old) * np.log(new / old)).sum()), (count - 1) * (1 / sizes[0] + 1 / sizes[1])
