"""The view `traffic`: who waited for what, what was refused, changes of breakers, hedges; and the view `routes`."""

from __future__ import annotations

from llmops_sdk.store.schema._event_views import event_view_sql
from llmops_sdk.store.schema._shared_columns import IDS, TIME
from llmops_sdk.store.schema._types import Column, View
from llmops_sdk.tracing.records import _semconv as sc

__all__ = ["EVENT_ATTRIBUTES", "ROUTES_VIEW", "TRAFFIC_VIEW"]

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
EVENT_ATTRIBUTES = {"limit_value": "limit", "default_model": "default"}
"""The attribute of each column whose attribute has another name: LIMIT and DEFAULT are keywords of SQL."""

TRAFFIC_VIEW = View(
    "traffic",
    "Every decision of traffic control.",
    _COLUMNS,
    event_view_sql(sc.EVENT_TRAFFIC, "traffic_events", _COLUMNS, EVENT_ATTRIBUTES),
    "SELECT policy, decision, deployment, count(*), avg(wait_ms) FROM traffic GROUP BY ALL",
    "trace_id span_id time policy decision deployment subject reason wait_ms cost",
)

_ROUTE = IDS + (
    TIME,
    Column("router", "VARCHAR", "The routed model, by its name in `[models]`."),
    Column("model", "VARCHAR", "The model that was chosen, as the route names it."),
    Column("serves", "VARCHAR", "The model that got the call: in shadow mode the default."),
    Column("default_model", "VARCHAR", "The model for calls of which too little is known."),
    Column("policy", "VARCHAR", "rules, cascade, learned or online."),
    Column("mode", "VARCHAR", "serve or shadow."),
    Column(
        "reason",
        "VARCHAR",
        "Why: cheapest_good_enough, best, unfamiliar, unproven, doubtful_scores, incapable, pinned, rule, default, "
        "explored, cascade or escalated.",
    ),
    Column("rule", "VARCHAR", "The rule that chose; NULL without one."),
    Column("candidates", "JSON", "The models of the route: a list of {model, quality, error, cost, able}."),
    Column("propensity", "DOUBLE", "The probability with which the model that got the call was chosen."),
    Column("explored", "BOOLEAN", "Whether chance decided, to learn."),
    Column("familiarity", "DOUBLE", "How similar the nearest scored prompt is, at most 1; NULL without a router."),
    Column("version", "VARCHAR", "The version of the trained router; NULL without one."),
    Column("served_model", "VARCHAR", "The model that answered, by its own name: after a fallback another one."),
    Column("deployment", "VARCHAR", "The deployment that answered, as in `llm_calls`."),
    Column("cost", "DOUBLE", "What the call cost, all attempts together; NULL when unknown.", "USD"),
)
_OF_SPAN = {"served_model": "coalesce(model, request_model)", "deployment": "deployment", "cost": "cost"}
"""The columns of `routes` that the span has, with their SQL."""

ROUTES_VIEW = View(
    "routes",
    "Every decision of a router: a row for each call of a routed model, and one for each step of a cascade.",
    _ROUTE,
    event_view_sql(sc.EVENT_ROUTE, "route_events", _ROUTE, EVENT_ATTRIBUTES, _OF_SPAN),
    "SELECT model, reason, count(*), avg(cost) FROM routes GROUP BY ALL",
    "trace_id span_id time router model default_model policy mode reason candidates propensity explored version",
)
