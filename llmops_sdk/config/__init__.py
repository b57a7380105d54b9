"""Settings: where they come from, what they mean, and the one object in force."""

from __future__ import annotations

from llmops_sdk.config._keys import Key, known_keys
from llmops_sdk.config._load import load
from llmops_sdk.config._models import (
    CacheSettings,
    CaptureSettings,
    ExportSettings,
    GuardrailSettings,
    ModelSettings,
    PriceSettings,
    RetrySettings,
    RedactionSettings,
    StoreSettings,
    Timeout,
    TracingSettings,
)
from llmops_sdk.config._resolve import ResolvedModel, resolve_model
from llmops_sdk.config._settings import Settings
from llmops_sdk.config._state import configure, current, reset, subscribe

__all__ = [
    "CacheSettings",
    "CaptureSettings",
    "ExportSettings",
    "GuardrailSettings",
    "Key",
    "ModelSettings",
    "PriceSettings",
    "ResolvedModel",
    "RetrySettings",
    "RedactionSettings",
    "Settings",
    "StoreSettings",
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
