"""Find drift: in what users send, in how good the answers are, and in the provider's model."""

from typing import TYPE_CHECKING

from llmops_sdk._lazy import lazy_names

if TYPE_CHECKING:
    from llmops_sdk.drift._report import DriftReport, Feature
    from llmops_sdk.drift.canaries._canary import Canary
    from llmops_sdk.drift.canaries._runner import CanaryRun
    from llmops_sdk.drift.signals._check import Drift
    from llmops_sdk.drift.streams._concept import concept_drift
    from llmops_sdk.drift.streams._monitor import ConceptMonitor
    from llmops_sdk.drift.texts._data_drift import data_drift
    from llmops_sdk.drift.texts._profile import TextProfile

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "_report": "DriftReport Feature",
        "canaries._canary": "Canary",
        "canaries._runner": "CanaryRun",
        "signals._check": "Drift",
        "streams._concept": "concept_drift",
        "streams._monitor": "ConceptMonitor",
        "texts._data_drift": "data_drift",
        "texts._profile": "TextProfile",
    },
)

__all__ = [
    "Canary",
    "CanaryRun",
    "ConceptMonitor",
    "Drift",
    "DriftReport",
    "Feature",
    "TextProfile",
    "concept_drift",
    "data_drift",
]
