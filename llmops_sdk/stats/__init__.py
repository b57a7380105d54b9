"""Statistics that evaluation, drift, monitoring, routing and the command line share.

Pure functions and small objects: no I/O, no clock. `bootstrap_mean`, `sign_flip_test` and `permutation_test` need
numpy, which the extra `stats` installs; the rest is plain Python.
"""

from llmops_sdk.stats._binomial import binomial_tail, clopper_pearson, mcnemar
from llmops_sdk.stats._charts import CusumChart, CusumPoint, EwmaChart, EwmaPoint
from llmops_sdk.stats._intervals import Interval, normal_quantile, wilson_interval
from llmops_sdk.stats._multiplicity import benjamini_hochberg, holm
from llmops_sdk.stats._resampling import (
    BootstrapInterval,
    PermutationTest,
    bootstrap_mean,
    permutation_test,
    sign_flip_test,
)
from llmops_sdk.stats._robust import Baseline, robust_baseline
from llmops_sdk.stats._sequential import RateEProcess, log_rate_e_value
from llmops_sdk.stats._standard_error import MeanEstimate, mean_estimate

__all__ = [
    "Baseline",
    "BootstrapInterval",
    "CusumChart",
    "CusumPoint",
    "EwmaChart",
    "EwmaPoint",
    "Interval",
    "MeanEstimate",
    "PermutationTest",
    "RateEProcess",
    "benjamini_hochberg",
    "binomial_tail",
    "bootstrap_mean",
    "clopper_pearson",
    "holm",
    "log_rate_e_value",
    "mcnemar",
    "mean_estimate",
    "normal_quantile",
    "permutation_test",
    "robust_baseline",
    "sign_flip_test",
    "wilson_interval",
]
