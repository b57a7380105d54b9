"""The settings of guardrails."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt

from llmops_sdk._util._public import public
from llmops_sdk.config.sections._base import Names, OptionalText, OrNone, SettingsSection

__all__ = ["ArgumentRule", "GuardrailSettings", "ToolRule"]


@public("llmops_sdk.config")
class ArgumentRule(SettingsSection):
    """What one argument of a tool must be like. A list satisfies a rule if each of its items does."""

    enum: Names = ()
    """The allowed values, as text; any value if empty."""
    minimum: Annotated[float | None, OrNone] = None
    """The smallest number allowed."""
    maximum: Annotated[float | None, OrNone] = None
    """The largest number allowed."""
    max_length: Annotated[NonNegativeInt | None, OrNone] = None
    """The longest text allowed, in characters."""
    pattern: OptionalText = None
    """A regular expression of google-re2 that the whole text must match (needs `llmops-sdk[guards]`)."""


@public("llmops_sdk.config")
class ToolRule(SettingsSection):
    """What a model's calls of one tool must satisfy. `[guardrails.tools."*"]` is for tools without a table.

    Example:
        >>> from llmops_sdk.guardrails import ToolRule
        >>> ToolRule(untainted=["to"], approval="tainted").allow_domains
        ()
    """

    untainted: Names = ()
    """Arguments that must not come from untrusted content, e.g. ["to", "message.link"]; ["*"] means all."""
    allow_domains: Names = ()
    """The hosts to which URLs and e-mail addresses in the arguments may lead, with those below them; all if empty."""
    arguments: dict[str, ArgumentRule] = {}
    """What arguments must be like, by name or path, e.g. [guardrails.tools.pay.arguments.amount]."""
    approval: Literal["never", "tainted", "always"] = "never"
    """When a person must approve a call: "tainted" asks where `untainted` alone would block it."""
    deny: bool = False
    """Whether to block every call of the tool."""
    trust_results: bool = False
    """Whether what the tool returns counts as trusted, e.g. the user's own address book."""


@public("llmops_sdk.config")
class GuardrailSettings(SettingsSection):
    """Checks of prompts and responses."""

    input: Names = ()
    """Guards on the prompt by name, e.g. ["cards"], ["cards:block"] or, in your code, ["shop.guards:Orders"]."""
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
    tools: dict[str, ToolRule] = {}
    """What calls of tools must satisfy, by the tool's name; see docs/tool-policy.md."""
