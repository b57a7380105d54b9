"""The options of a cassette: frozen, and an unknown one is an error."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["CassetteOptions"]


class CassetteOptions(BaseModel):
    """`options` of a model `cassette/NAME`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    records: str | None = None
    """The model to record from; by default that of `[cassettes]`."""
    realtime: bool = False
    """Whether answers and their pieces come as late as they were recorded, in place of at once."""
