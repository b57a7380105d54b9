"""The view `traffic`: who waited how long for what, what was refused, each change of a breaker, each hedge."""

from __future__ import annotations

from llmops_sdk.store.schema._event_views import event_view_sql
from llmops_sdk.store.schema._shared_columns import IDS, TIME
from llmops_sdk.store.schema._types import Column, View
from llmops_sdk.tracing.records import _semconv as sc

__all__ = ["TRAFFIC_ATTRIBUTES", "TRAFFIC_VIEW"]

_COLUMNS = IDS + (
    TIME,
    Column("policy", "VARCHAR", "What decided: limit, breaker, cooldown, budget, hedge, balance or shared."),
    Column(
        "decision",
        "VARCHAR",
        "What was done: waited, refused, cancelled, opened, half_open, closed, paused, lowered, raised, hedged, won, "
        "lost, exceeded, corrected, away or back. Calls that just pass have no row.",
    ),
    Column("deployment", "VARCHAR", "The model's deployment, or the name of a decorated function's policy."),
    Column("subject", "VARCHAR", "Whose limit or budget it is: the budget's name, the user, and so on."),
    Column("reason", "VARCHAR", "Why."),
    Column(
        "wait_ms",
        "DOUBLE",
        "How long the call waited; of a refusal by a breaker or a cooldown, until the next call may pass.",
        "ms",
    ),
    Column("value", "DOUBLE", "The amount that mattered: calls, tokens, USD or failures."),
    Column("limit_value", "DOUBLE", "Its limit, in the same unit."),
    Column("cost", "DOUBLE", "What the decision cost, as of a hedge that lost.", "USD"),
)
TRAFFIC_ATTRIBUTES = {"limit_value": "limit"}
"""The attribute of each column whose attribute has another name: LIMIT is a keyword of SQL."""

TRAFFIC_VIEW = View(
    "traffic",
    "Every decision of traffic control.",
    _COLUMNS,
    event_view_sql(sc.EVENT_TRAFFIC, "traffic_events", _COLUMNS, TRAFFIC_ATTRIBUTES),
    "SELECT policy, decision, deployment, count(*), avg(wait_ms) FROM traffic GROUP BY ALL",
    "trace_id span_id time policy decision deployment subject reason wait_ms cost",
)
