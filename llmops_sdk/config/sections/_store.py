"""The settings of the local store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, NonNegativeFloat, PositiveFloat, PositiveInt

from llmops_sdk._util._public import public
from llmops_sdk.config.sections._base import FolderPath, OptionalSeconds, OrNone, SettingsSection
from llmops_sdk.config.sections._value_types import ColumnName

__all__ = ["ColumnSettings", "StoreSettings", "ThinningSettings"]


def _attribute(value: object) -> object:
    return {"attribute": value} if isinstance(value, str) else value


@public("llmops_sdk.config")
class ColumnSettings(SettingsSection):
    """A column that holds an attribute."""

    attribute: Annotated[str, Field(min_length=1)]
    """The attribute's name, or a metadata key of `llmops.context`."""
    type: Literal["VARCHAR", "BIGINT", "DOUBLE", "BOOLEAN", "TIMESTAMP", "JSON"] = "VARCHAR"
    """The DuckDB type. Values of other types become NULL."""


@public("llmops_sdk.config")
class ThinningSettings(SettingsSection):
    """Sampling of old traces: compaction keeps a share of those without errors, scores or other notable values."""

    share: Annotated[float, Field(ge=0, le=1)] = 1.0
    """The share of old traces to keep. The column `weight` of their spans says how many spans each stands for."""
    after_days: PositiveFloat = 7.0
    """Days after which a trace is old."""
    keep_errors: bool = True
    """Keep every trace with an error."""
    keep_scored: bool = True
    """Keep every trace with a score."""
    keep_slower_than: OptionalSeconds = None
    """Seconds: keep every trace with a slower span."""
    keep_costlier_than: Annotated[NonNegativeFloat | None, OrNone] = None
    """USD: keep every trace that costs more."""


@public("llmops_sdk.config")
class StoreSettings(SettingsSection):
    """The local store of traces."""

    enabled: bool = True
    """Store traces on this machine."""
    path: FolderPath = Path(".llmops")
    """The folder. A relative path is relative to the file that sets it, the default to the project's folder."""
    max_bytes: PositiveInt = 10 * 1024 * 1024 * 1024
    """The size of the store above which the oldest files are deleted and counted."""
    retention_days: OptionalSeconds = 90.0
    """Days that a span is kept. None means without limit."""
    segment_bytes: PositiveInt = 16 * 1024 * 1024
    """The size after which a new write-ahead file starts."""
    segment_seconds: PositiveFloat = 60.0
    """The age after which a new write-ahead file starts."""
    fsync: bool = False
    """Force each flush to the disk, to survive a power cut and not only a killed process."""
    columns: dict[ColumnName, Annotated[ColumnSettings, BeforeValidator(_attribute)]] = {}
    """Your own columns in `spans`, `llm_calls` and `traces`: an attribute's name, e.g. `tenant = "app.tenant"`, or
    `{ attribute = "app.tenant", type = "BIGINT" }`."""
    compaction: Literal["auto", "manual"] = "auto"
    """How to compact write-ahead files to Parquet, a tenth of the size: "auto" in a background process when there are
    enough, "manual" only with `llmops compact`."""
    thinning: ThinningSettings = ThinningSettings()
    """Sampling of old traces."""
    network: Literal["refuse", "allow"] = "refuse"
    """Whether the folder may be on a network file system, where locks do not reliably show which processes write."""
