"""Statistics that evaluation, drift, monitoring, routing and the command line share.

Pure functions and small objects: no I/O, no clock. `bootstrap_mean`, `sign_flip_test`, `permutation_test` and the
resampling methods of `paired_difference` need numpy, which the extra `stats` installs; the rest is plain Python.

Doors for other packages: `_inputs`.
"""

from llmops_sdk.stats._betting import EProcess
from llmops_sdk.stats._binomial import binomial_tail, clopper_pearson, mcnemar
from llmops_sdk.stats._charts import CusumChart, CusumPoint, EwmaChart, EwmaPoint
from llmops_sdk.stats._intervals import Interval, normal_quantile, wilson_interval
from llmops_sdk.stats._multiplicity import benjamini_hochberg, holm
from llmops_sdk.stats._paired import PairedDifference, PairedMethod, paired_difference
from llmops_sdk.stats._power import minimum_detectable_effect, required_n
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
from llmops_sdk.stats._student import student_quantile, student_tail

__all__ = [
    "Baseline",
    "BootstrapInterval",
    "CusumChart",
    "CusumPoint",
    "EProcess",
    "EwmaChart",
    "EwmaPoint",
    "Interval",
    "MeanEstimate",
    "PairedDifference",
    "PairedMethod",
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
    "minimum_detectable_effect",
    "normal_quantile",
    "paired_difference",
    "permutation_test",
    "required_n",
    "robust_baseline",
    "sign_flip_test",
    "student_quantile",
    "student_tail",
    "wilson_interval",
]
