"""Settings: the models of their sections, the sources they come from, and the one object in force.

Doors for other packages: `_secrets`.
"""

from __future__ import annotations

from llmops_sdk.config._state import configure, current, reset, subscribe
from llmops_sdk.config.loading._keys import Key, known_keys
from llmops_sdk.config.loading._load import load
from llmops_sdk.config.loading._resolve_model import ResolvedModel, resolve_model
from llmops_sdk.config.loading._settings import Settings
from llmops_sdk.config.sections._models import (
    CacheSettings,
    CaptureSettings,
    CassetteSettings,
    ColumnSettings,
    DestinationSettings,
    ExportFilter,
    ExportSettings,
    FallbackSettings,
    GuardrailSettings,
    ModelSettings,
    PriceSettings,
    RedactionSettings,
    RetrySettings,
    StoreSettings,
    ThinningSettings,
    Timeout,
    TracingSettings,
)

__all__ = [
    "CacheSettings",
    "CaptureSettings",
    "CassetteSettings",
    "ColumnSettings",
    "DestinationSettings",
    "ExportFilter",
    "ExportSettings",
    "FallbackSettings",
    "GuardrailSettings",
    "Key",
    "ModelSettings",
    "PriceSettings",
    "RedactionSettings",
    "ResolvedModel",
    "RetrySettings",
    "Settings",
    "StoreSettings",
    "ThinningSettings",
    "Timeout",
    "TracingSettings",
    "configure",
    "current",
    "known_keys",
    "load",
    "reset",
    "resolve_model",
    "subscribe",
]
