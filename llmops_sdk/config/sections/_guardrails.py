"""The settings of guardrails."""

from __future__ import annotations

from typing import Any, Literal

from llmops_sdk._util._public import public
from llmops_sdk.config.sections._base import Names, SettingsSection

__all__ = ["GuardrailSettings"]


@public("llmops_sdk.config")
class GuardrailSettings(SettingsSection):
    """Checks of prompts and responses."""

    input: Names = ()
    """Guards on the prompt by name, e.g. ["cards"] or ["cards:block"]."""
    output: Names = ()
    """Guards on the response by name."""
    tool_arguments: Names = ()
    """Guards on the arguments of the tool calls in a response, after those of `output`."""
    tool_results: Names = ()
    """Guards on the results of tools in the prompt, before those of `input`."""
    on_error: Literal["closed", "open"] = "closed"
    """What to do when a guard fails: "closed" blocks the call, "open" passes it and records the failure."""
    options: dict[str, dict[str, Any]] = {}
    """Options of named guards by kind, e.g. [guardrails.options.exfiltration] with allow_domains = ["example.org"]."""
