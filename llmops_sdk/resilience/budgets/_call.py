"""What budgets must know about a call: whose it is, and what it will probably cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from llmops_sdk.resilience.budgets._estimate import Estimate
from llmops_sdk.tracing import current_span
from llmops_sdk.tracing.records._records import Stamp
from llmops_sdk.tracing.spans import _active

__all__ = ["BudgetCall", "budget_call", "is_traced"]


@dataclass(slots=True, kw_only=True)  # a frozen one takes three times as long to make
class BudgetCall:
    """A call, as budgets see it.

    Attributes:
        models: The names of the model: first the deployment's name, which is the key of a budget for each model; then
            the others by which `[[budgets]] model` may mean it (the configured name, "provider/model").
        user_id: The end user, or None.
        session_id: The session, or None.
        tags: The tags.
        run: The trace id, 32 hex digits, or None.
        input_tokens: Estimated tokens of the prompt.
        output_tokens: Estimated tokens of the answer.
        usd: Estimated USD, or None when the price is unknown.
    """

    models: tuple[str, ...] = ()
    user_id: str | None = None
    session_id: str | None = None
    tags: tuple[str, ...] = ()
    run: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float | None = None


_NOBODY = Stamp()


def budget_call(models: tuple[str, ...], estimate: Estimate) -> BudgetCall:
    """Return the call that is about to be made here: the user, session, tags and trace are those of the context.

    Args:
        models: The names of the model, its deployment's first.
        estimate: What the call will probably use.
    """
    context = _active.get()
    stamp = cast("Stamp | None", _active.stamp_of(context)) or _NOBODY
    return BudgetCall(
        models=models,
        user_id=stamp.user_id,
        session_id=stamp.session_id,
        tags=stamp.tags,
        run=current_span().trace_id if _active.SPAN_KEY in context else None,
        input_tokens=estimate.input_tokens,
        output_tokens=estimate.output_tokens,
        usd=estimate.usd,
    )


def is_traced() -> bool:
    """Return whether the code that runs here is part of a trace."""
    return _active.SPAN_KEY in _active.get()
