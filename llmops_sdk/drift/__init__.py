"""Find drift: in what users send, in how good the answers are, and in the provider's model."""

from typing import TYPE_CHECKING

from llmops_sdk._lazy import lazy_names

if TYPE_CHECKING:
    from llmops_sdk.drift._report import DriftReport, Feature
    from llmops_sdk.drift.signals._check import Drift
    from llmops_sdk.drift.texts._data_drift import data_drift
    from llmops_sdk.drift.texts._profile import TextProfile

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "_report": "DriftReport Feature",
        "signals._check": "Drift",
        "texts._data_drift": "data_drift",
        "texts._profile": "TextProfile",
    },
)

__all__ = ["Drift", "DriftReport", "Feature", "TextProfile", "data_drift"]
