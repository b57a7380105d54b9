"""Find drift: in what users send, in how good the answers are, and in the provider's model."""

from typing import TYPE_CHECKING

from llmops_sdk._lazy import lazy_names

if TYPE_CHECKING:
    from llmops_sdk.drift._report import DriftReport, Feature

__getattr__, __dir__ = lazy_names(__name__, {"_report": "DriftReport Feature"})

__all__ = ["DriftReport", "Feature"]
