"""The options of a cassette. They are frozen, and unknown options are errors."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["CassetteOptions"]


class CassetteOptions(BaseModel):
    """`options` of a model `cassette/NAME`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    records: str | None = None
    """The model to record from; None uses `[cassettes] records`."""
    realtime: bool = False
    """Replay answers and chunks with their recorded delays instead of at once."""
