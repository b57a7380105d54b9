"""All settings in one model."""

from __future__ import annotations

from typing import Any

from llmops_sdk.config.sections._base import Names, OptionalText, SettingsSection
from llmops_sdk.config.sections._caching import CacheSettings, CassetteSettings
from llmops_sdk.config.sections._calls import FallbackSettings, RetrySettings, Timeout
from llmops_sdk.config.sections._export import ExportSettings
from llmops_sdk.config.sections._guardrails import GuardrailSettings
from llmops_sdk.config.sections._models import ModelSettings, PriceSettings, ProviderSettings
from llmops_sdk.config.sections._shared import SharedSettings
from llmops_sdk.config.sections._store import StoreSettings
from llmops_sdk.config.sections._tracing import CaptureSettings, RedactionSettings, TracingSettings
from llmops_sdk.config.sections._traffic import BreakerSettings, BudgetTables, HedgeSettings, LimitSettings
from llmops_sdk.config.sections.analysis._drift import CanaryTables, DriftSettings
from llmops_sdk.config.sections.analysis._evaluation import EvaluatorTables
from llmops_sdk.config.sections.analysis._monitoring import AlertTables, NotifierSettings, SloSettings, WatchSettings
from llmops_sdk.config.sections.analysis._ui import UiSettings

__all__ = ["SettingsFields"]


class SettingsFields(SettingsSection):
    """All settings. `Settings` adds their sources."""

    enabled: bool = True
    """False turns off tracing, the store of traces and export. Retries, guards and the cache stay on."""
    model: str = "offline/echo"
    """The default model: a name from `[models]`, "provider/model", or "https://server/v1#model"."""
    fallbacks: Names = ()
    """Models to fall back to when the default model fails, in order, unless its entry in `[models.*]` lists others."""
    service: OptionalText = None
    """The service name on every span. Default: `OTEL_SERVICE_NAME`, else the program's name."""
    models: dict[str, ModelSettings] = {}
    """Named models."""
    prices: dict[str, PriceSettings] = {}
    """Prices by model. They override the built-in table."""
    options: dict[str, Any] = {}
    """Options for the provider of the default model, like `[models.*] options`."""
    retry: RetrySettings = RetrySettings()
    fallback: FallbackSettings = FallbackSettings()
    timeout: Timeout = Timeout()
    limits: LimitSettings = LimitSettings()
    breaker: BreakerSettings = BreakerSettings()
    hedge: HedgeSettings = HedgeSettings()
    budgets: BudgetTables = ()
    """Budgets of money or tokens, each with its own name."""
    evaluators: EvaluatorTables = ()
    """Scorers of stored traces, each with its own name; `llmops eval online` runs them."""
    drift: DriftSettings = DriftSettings()
    canaries: CanaryTables = ()
    """Prompts that are sent again and again to see whether the provider's model changed, each with its own name."""
    alerts: AlertTables = ()
    """Rules on metrics and SQL, each with its own name; `llmops watch` evaluates them."""
    slo: dict[str, SloSettings] = {}
    """Service-level objectives by name."""
    notify: dict[str, NotifierSettings] = {}
    """Where alerts go, by name."""
    watch: WatchSettings = WatchSettings()
    ui: UiSettings = UiSettings()
    cache: CacheSettings = CacheSettings()
    shared: SharedSettings = SharedSettings()
    guardrails: GuardrailSettings = GuardrailSettings()
    capture: CaptureSettings = CaptureSettings()
    store: StoreSettings = StoreSettings()
    export: ExportSettings = ExportSettings()
    tracing: TracingSettings = TracingSettings()
    redaction: RedactionSettings = RedactionSettings()
    cassettes: CassetteSettings = CassetteSettings()
    providers: ProviderSettings = ProviderSettings()
