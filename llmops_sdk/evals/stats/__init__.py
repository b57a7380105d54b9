"""Statistics of evaluations: paired comparisons, corrected judges, rankings, agreement, gates and sample sizes.

Pure functions and small objects: no I/O, no clock. What other packages use too is in `llmops_sdk.stats` and comes from
there. `bootstrap_mean`, `permutation_test`, `sign_flip_test` and the resampling methods of `paired_difference` need
numpy, which the extra `stats` installs; the rest is plain Python.
"""

from llmops_sdk.evals.stats._agreement import Agreement, agreement
from llmops_sdk.evals.stats._bradley_terry import Ranking, Rating, bradley_terry
from llmops_sdk.evals.stats._ppi import PPIEstimate, ppi
from llmops_sdk.evals.stats._rogan_gladen import CorrectedRate, rogan_gladen
from llmops_sdk.stats import (
    BootstrapInterval,
    EProcess,
    Interval,
    MeanEstimate,
    PairedDifference,
    PermutationTest,
    benjamini_hochberg,
    bootstrap_mean,
    clopper_pearson,
    holm,
    mcnemar,
    mean_estimate,
    minimum_detectable_effect,
    paired_difference,
    permutation_test,
    required_n,
    sign_flip_test,
    wilson_interval,
)

__all__ = [
    "Agreement",
    "BootstrapInterval",
    "CorrectedRate",
    "EProcess",
    "Interval",
    "MeanEstimate",
    "PPIEstimate",
    "PairedDifference",
    "PermutationTest",
    "Ranking",
    "Rating",
    "agreement",
    "benjamini_hochberg",
    "bootstrap_mean",
    "bradley_terry",
    "clopper_pearson",
    "holm",
    "mcnemar",
    "mean_estimate",
    "minimum_detectable_effect",
    "paired_difference",
    "permutation_test",
    "ppi",
    "required_n",
    "rogan_gladen",
    "sign_flip_test",
    "wilson_interval",
]
