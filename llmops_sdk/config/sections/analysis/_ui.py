"""The settings of the local page."""

from __future__ import annotations

from pydantic import PositiveFloat

from llmops_sdk._util._public import public
from llmops_sdk.config.sections._base import SettingsSection

__all__ = ["UiSettings"]


@public("llmops_sdk.config")
class UiSettings(SettingsSection):
    """The local page, `llmops ui`."""

    replay: bool = False
    """Let the page send a stored call again, to the same model or another one. That costs money and sends content."""
    max_cost: PositiveFloat = 0.10
    """USD that one replay may cost at most, by its estimate. One of unknown price is refused."""
