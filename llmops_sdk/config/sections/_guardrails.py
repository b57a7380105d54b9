"""The settings of guardrails."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

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
    tool_definitions: Names = ()
    """Guards on the definitions of tools, before those of `tool_results`."""
    restore_tools: Names = ()
    """The names of the tools whose arguments get the values that the action "mask" replaced."""
    speculative: bool = False
    """Run the guards on the prompt that keep the text beside the call; nothing of the answer leaves before them."""
    reasks: int = Field(default=1, ge=0, le=10)
    """How often the model is asked again after an answer that a guard refused with the action "reask"."""
    on_error: Literal["closed", "open"] = "closed"
    """What to do when a guard fails: "closed" blocks the call, "open" passes it and records the failure."""
    options: dict[str, dict[str, Any]] = {}
    """Options of named guards by kind, e.g. [guardrails.options.exfiltration] with allow_domains = ["example.org"].

    Each kind also takes on_error, timeout (seconds), sample (a share of the calls), fallback_answer, fallback_model."""
