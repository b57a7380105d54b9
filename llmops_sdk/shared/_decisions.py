"""Record what traffic control decided as events of the current span: the view `traffic` reads them."""

from __future__ import annotations

from typing import Literal, TypeAlias

from llmops_sdk._util._guard import guarded
from llmops_sdk.tracing import current_span
from llmops_sdk.tracing.records import _semconv as sc

__all__ = ["Policy", "record_decision"]

Policy: TypeAlias = Literal["limit", "breaker", "cooldown", "budget", "hedge", "balance", "shared"]


def record_decision(
    policy: Policy,
    decision: str,
    *,
    deployment: str | None = None,
    subject: str | None = None,
    reason: str | None = None,
    wait_ms: float | None = None,
    value: float | None = None,
    limit: float | None = None,
    cost: float | None = None,
) -> None:
    """Record a decision that is worth a row in the view `traffic`; a call that just passes is not.

    Args:
        policy: What decided.
        decision: What was done: waited, refused, cancelled, opened, half_open, closed, paused, lowered, raised, hedged,
            won, lost, exceeded, corrected, away or back.
        deployment: The deployment of the model, or the name of a decorated function's policy.
        subject: Whose limit or budget it is: the budget's name, the user, and so on.
        reason: Why.
        wait_ms: Milliseconds that the call waited.
        value: The amount that mattered: calls, tokens, USD, failures.
        limit: Its limit.
        cost: USD that the decision cost, e.g. of a hedge that lost.
    """
    fields = {
        "policy": policy,
        "decision": decision,
        "deployment": deployment,
        "subject": subject,
        "reason": reason,
        "wait_ms": wait_ms,
        "value": value,
        "limit": limit,
        "cost": cost,
    }
    known = {name: field for name, field in fields.items() if field is not None}
    guarded("record a traffic decision", None, lambda: current_span().add_event(sc.EVENT_TRAFFIC, known))
