"""Settings: their models, their sources, and the one object in force.

Doors for other packages: `_secrets`.
"""

from __future__ import annotations

from llmops_sdk.config._state import configure, current, reset, subscribe, tolerate_untrusted
from llmops_sdk.config.loading._keys import Key, known_keys
from llmops_sdk.config.loading._load import load
from llmops_sdk.config.loading._placed import placed
from llmops_sdk.config.loading._settings import DescribedValue, Settings, describe_settings, describe_value
from llmops_sdk.config.loading.models._resolve_model import ResolvedModel, resolve_deployments, resolve_model
from llmops_sdk.config.sections._caching import CacheSettings, CassetteSettings, SemanticSettings
from llmops_sdk.config.sections._calls import FallbackSettings, RetrySettings, Timeout
from llmops_sdk.config.sections._export import DestinationSettings, ExportFilter, ExportSettings
from llmops_sdk.config.sections._guardrails import ArgumentRule, GuardrailSettings, ToolRule
from llmops_sdk.config.sections._models import ModelSettings, PriceSettings, ProviderSettings
from llmops_sdk.config.sections._routing import RouterSettings, RouteRule
from llmops_sdk.config.sections._shared import SharedSettings
from llmops_sdk.config.sections._store import ColumnSettings, StoreSettings, ThinningSettings
from llmops_sdk.config.sections._tracing import CaptureSettings, RedactionSettings, TracingSettings
from llmops_sdk.config.sections._traffic import BreakerSettings, BudgetSettings, HedgeSettings, LimitSettings
from llmops_sdk.config.sections.analysis._drift import CanarySettings, DriftSettings
from llmops_sdk.config.sections.analysis._evaluation import EvaluatorSettings
from llmops_sdk.config.sections.analysis._monitoring import AlertSettings, NotifierSettings, SloSettings, WatchSettings
from llmops_sdk.config.sections.analysis._ui import UiSettings

__all__ = [
    "AlertSettings",
    "ArgumentRule",
    "BreakerSettings",
    "BudgetSettings",
    "CacheSettings",
    "CanarySettings",
    "CaptureSettings",
    "CassetteSettings",
    "ColumnSettings",
    "DescribedValue",
    "DestinationSettings",
    "DriftSettings",
    "EvaluatorSettings",
    "ExportFilter",
    "ExportSettings",
    "FallbackSettings",
    "GuardrailSettings",
    "HedgeSettings",
    "Key",
    "LimitSettings",
    "ModelSettings",
    "NotifierSettings",
    "PriceSettings",
    "ProviderSettings",
    "RedactionSettings",
    "ResolvedModel",
    "RetrySettings",
    "RouteRule",
    "RouterSettings",
    "SemanticSettings",
    "Settings",
    "SharedSettings",
    "SloSettings",
    "StoreSettings",
    "ThinningSettings",
    "Timeout",
    "ToolRule",
    "TracingSettings",
    "UiSettings",
    "WatchSettings",
    "configure",
    "current",
    "describe_settings",
    "describe_value",
    "known_keys",
    "load",
    "placed",
    "reset",
    "resolve_deployments",
    "resolve_model",
    "subscribe",
    "tolerate_untrusted",
]
