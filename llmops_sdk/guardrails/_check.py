"""`check`: run guards over one text, outside a call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmops_sdk._util._public import public
from llmops_sdk.config import current
from llmops_sdk.errors import ConfigError, GuardrailViolation
from llmops_sdk.guardrails._protocol import RAILS, Action, Guard, GuardContext, OnError, Rail, Verdict, strongest
from llmops_sdk.guardrails._registry import resolve
from llmops_sdk.guardrails.masking._masks import Masks, masks_of_call
from llmops_sdk.guardrails.running._names import nearest
from llmops_sdk.guardrails.running._runner import GuardRun

__all__ = ["Checked", "check"]


@public("llmops_sdk.guardrails")
@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What guards decided about a text.

    Attributes:
        action: The strongest action taken.
        text: What goes on: the text as the guards leave it, or "" if they refuse it.
        verdicts: A verdict for each guard that ran, in order. Guards after one that refuses the text do not run.
        masks: The placeholders that "mask" put into the text; `masks.restore(answer)` puts the values back.
    """

    action: Action
    text: str
    verdicts: tuple[Verdict, ...]
    masks: Masks


def check(
    text: str,
    guards: Sequence[str | Guard],
    *,
    rail: Rail = "input",
    documents: Sequence[str] = (),
    on_error: OnError = "closed",
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> Checked:
    """Check one text, without a call to a model.

    Args:
        text: The text.
        guards: Guards by name or as objects, in order; each sees what the one before left.
        rail: What the text is: "input", "documents", "tool_arguments", "tool_results" or "output".
        documents: The texts that an answer should be grounded in, for the guard `grounded`.
        on_error: What happens when a guard fails: "closed" blocks the text, "open" lets it pass.
        options: The options of named guards, by kind, or None for those of the configuration.

    Returns:
        The action, the text that goes on, and the verdicts. It does not raise when a guard blocks.

    Raises:
        ConfigError: A guard, the rail or `on_error` is unknown.
        MissingDependencyError: A guard's library is not installed.

    Example:
        >>> from llmops_sdk.guardrails import check
        >>> found = check("My card is 4111" + " 1111" * 3, ["cards"])
        >>> found.action, found.text
        ('redact', 'My card is [CARD]')
    """
    if rail not in RAILS:
        raise ConfigError(
            f"there is no rail {rail!r}: use one of {', '.join(RAILS)}", value=rail, nearest=nearest(rail, RAILS)
        )
    if on_error not in ("closed", "open"):
        raise ConfigError(f'on_error={on_error!r}: use "closed" or "open"', key="on_error", value=on_error)
    masks = masks_of_call()
    context = GuardContext(rail=rail, documents=tuple(documents), masks=masks)
    verdicts: list[Verdict] = []
    for guard in resolve(guards, current().guardrails.options if options is None else options):
        try:
            with GuardRun(guard, context, on_error, verdicts=verdicts) as run:
                text = run.check(text)
        except GuardrailViolation:
            text = ""
            break
    return Checked(action=strongest(one.action for one in verdicts), text=text, verdicts=tuple(verdicts), masks=masks)
